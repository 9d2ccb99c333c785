import { createHash } from 'node:crypto';
import type { ServedList } from '../containers/allow-lists.ts';
import { CLOSED_NETWORKS } from '../containers/guard-rules.ts';

export type SquidSettings = {
  lists: readonly ServedList[];
  port: number;
  /** The address that it goes out from: what else that may reach, the network guard says. */
  from: string;
  /** Whom it asks for names; empty: whom this machine asks. */
  nameservers: readonly string[];
  /** What is open of the closed networks, as in `10.1.2.3:4873`. */
  mayReach: readonly string[];
  /** A file with a certificate and its key: Squid looks into TLS nowhere else, and shows it to nobody. */
  certificate: string;
};

/** So many connections at once from one container: a browser's downloads and some more. */
const MOST_CONNECTIONS = 128;
const MOST_FILES = 8_192;
/** What comes before each line that {@link readLine} reads. */
const LINE = 'threadbox';
/** Names below it never are anybody's (RFC 2606, 2). */
const PROBE = 'threadbox.invalid';

/**
 * The configuration of Squid. Each list has a port of its own, at an address that only its containers reach: that, and not what
 * a client says, tells whose list counts.
 *
 * A CONNECT goes to port 443 of a host of the list, and then has to begin TLS for a host of the list: Squid looks at the
 * ClientHello, and hands on all there is as it is ("splice"), or ends the connection. That a CONNECT is refused by `ssl_bump` and
 * not by `http_access` has a reason: for the latter Squid would begin TLS itself, to show an error within.
 *
 * @returns the text, and what the proxy calls itself with it: so it can be seen which configuration is in force
 */
export function squidConfig(settings: SquidSettings): { text: string; mark: string } {
  const lines = squidLines(settings);
  const mark = `threadbox-${createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16)}`;
  return { text: [...lines, `visible_hostname ${mark}`, ''].join('\n'), mark };
}

function squidLines({ lists, port, from, nameservers, mayReach, certificate }: SquidSettings): string[] {
  const open = mayReach.map((one, index) => ({ name: `open${index}`, address: one.split(':') }));
  const tls = `ssl-bump generate-host-certificates=off tls-cert=${certificate}`;
  return [
    ...lists.flatMap(({ repositoryId, hosts, gateway }) => [
      `http_port ${gateway}:${port} name=list${repositoryId} ${tls}`,
      `acl list${repositoryId} myportname list${repositoryId}`,
      // A line for each: what is longer than 8 KB, Squid cuts off.
      ...hosts.flatMap((host) => [
        `acl asked${repositoryId} dstdom_regex -n -i ${hostPattern(host)}`,
        `acl named${repositoryId} ssl::server_name_regex -i ${hostPattern(host)}`,
      ]),
    ]),
    'acl http port 80',
    'acl https port 443',
    `acl many maxconn ${MOST_CONNECTIONS}`,
    `acl closed dst ${CLOSED_NETWORKS.join(' ')}`,
    ...open.flatMap(({ name, address: [to = '', toPort = ''] }) => [
      `acl ${name} dst ${to}`,
      `acl ${name}port port ${toPort}`,
    ]),
    'acl hello at_step SslBump1',
    'acl told at_step SslBump2',
    '',
    'http_access deny manager',
    // A name that is on no list is not even asked for: questions carry data out.
    ...lists.flatMap(({ repositoryId: id }) => [
      `http_access allow CONNECT list${id}`,
      `http_access deny many list${id}`,
      ...open.map(({ name }) => `http_access allow list${id} asked${id} ${name}port ${name}`),
      `http_access allow list${id} asked${id} http !closed`,
    ]),
    'http_access deny all',
    '',
    'ssl_bump terminate hello many',
    ...lists.flatMap(({ repositoryId: id }) => [
      ...open.map(({ name }) => `ssl_bump peek hello list${id} asked${id} ${name}port ${name}`),
      `ssl_bump peek hello list${id} asked${id} https !closed`,
      `ssl_bump splice told list${id} named${id}`,
    ]),
    'ssl_bump terminate all',
    '',
    `tcp_outgoing_address ${from}`,
    // No address of this machine: so nothing goes out by IPv6, which has no rules.
    'tcp_outgoing_address 2001:db8::1',
    ...(nameservers.length === 0 ? [] : [`dns_nameservers ${nameservers.join(' ')}`]),
    'dns_defnames off',
    '',
    `logformat ${LINE} ${LINE} %>a %Ss %rm %#>rd %>rP %ssl::bump_mode %#ssl::>sni`,
    `access_log stdio:/dev/stdout logformat=${LINE}`,
    'cache_log /dev/null',
    '',
    'cache deny all',
    'cache_mem 0',
    'memory_pools off',
    'server_persistent_connections off',
    'sslproxy_session_cache_size 0',
    'global_internal_static off',
    'via off',
    'forwarded_for delete',
    'httpd_suppress_version_string on',
    'pid_filename none',
    'coredump_dir none',
    'netdb_filename none',
    'pinger_enable off',
    'shutdown_lifetime 0 seconds',
    `max_filedescriptors ${MOST_FILES}`,
  ];
}

/** `*.github.com`: all below, however deep, but not itself. */
function hostPattern(host: string): string {
  const isBelow = host.startsWith('*.');
  const name = (isBelow ? host.slice('*.'.length) : host).replaceAll('.', String.raw`\.`);
  return `^${isBelow ? String.raw`[a-z0-9_-][a-z0-9_.-]*\.` : ''}${name}$`;
}

/** What is wrong with a configuration, as `squid -k parse` says it; null where it does not. */
export function faultIn(said: string): string | null {
  return /FATAL: (?:Bungled \S+ )?(.{1,200})/.exec(said)?.[1] ?? null;
}

/** A host that is asked for to see whether the proxy answers, and which lines came before. */
export const probeHost = (nonce: string): string => `${nonce}.${PROBE}`;

/** What a line of the log tells: who asked for what, and whether it was refused. */
export type ProxyLine = { client: string; host: string; what: string; isRefused: boolean };

const LOG_LINE = new RegExp(String.raw`^${LINE} (\S+) (\S+) (\S+) (\S+) (\S+) (\S+) (\S+)$`);
/** What may be shown: a name, or an address. The others were made by hand to look like something else. */
const SHOWABLE = /^(?:[a-z0-9_][a-z0-9_.-]{0,252}|\[[0-9a-f:.]{2,45}\])$/i;

/** @returns null for any other line */
export function readLine(line: string): ProxyLine | null {
  const [, client = '', status = '', method = '', host = '', port = '', bumped = '', sni = ''] =
    LOG_LINE.exec(line) ?? [];
  if (client === '') return null;
  const shown = (name: string): string => (SHOWABLE.test(name) ? name.toLowerCase() : '(no name)');
  const what = `${shown(host)}:${/^\d{1,5}$/.test(port) ? port : '?'}`;
  if (method !== 'CONNECT') return { client, host, what, isRefused: status.startsWith('TCP_DENIED') };
  const isOther = sni !== '-' && sni.toLowerCase() !== host.toLowerCase();
  return {
    client,
    host,
    what: isOther ? `${shown(sni)} by way of ${what}` : what,
    isRefused: bumped === 'terminate',
  };
}
