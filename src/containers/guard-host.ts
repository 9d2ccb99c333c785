import { readFile } from 'node:fs/promises';
import type Docker from 'dockerode';
import { nameserversOf } from './guard-rules.ts';
import { END, runHere, runInHelper } from './host-script.ts';

/** The filter tables of the engine's host, as `iptables -S` and `ip6tables -S` print them. */
export type Tables = { ipv4: string; ipv6: string };

/** What a look at that host has found. */
export type Found = Tables & {
  /** Frames from one container to another on a bridge come by these tables; else no rule keeps them apart. */
  seesBridges: boolean;
};

/** How the firewall of the engine's host is reached. */
export type GuardHost = {
  /** In words, for people. */
  way: string;
  look: () => Promise<Found>;
  /** Makes the tables see what goes over bridges. */
  seeBridges: () => Promise<void>;
  /** Empty: nothing to change there. */
  change: (texts: Tables) => Promise<void>;
  /** Whom the engine asks for names. */
  nameservers: () => Promise<string[]>;
};

/** Others may be changing the tables in this moment. */
const IPTABLES_WAIT = '-w 5';
/** Of a host without IPv6 nothing has to be closed. */
const HAS_IPV6 = '[ -e /proc/sys/net/ipv6 ]';
const BETWEEN = '# threadbox: ip6tables';

/** Of br_netfilter; it is not there without that module. Each network namespace has its own. */
const SEES_BRIDGES = '/proc/sys/net/bridge/bridge-nf-call-iptables';
const SEES = '# threadbox: bridges are seen';

const LOOK = `set -e
if [ "$(cat ${SEES_BRIDGES} 2>/dev/null)" = 1 ]; then echo '${SEES}'; fi
iptables ${IPTABLES_WAIT} -S
echo '${BETWEEN}'
if ${HAS_IPV6}; then ip6tables ${IPTABLES_WAIT} -S; fi
echo '${END}'`;

const CHANGE = `set -e
if [ -n "$1" ]; then printf %s "$1" | iptables-restore ${IPTABLES_WAIT} --noflush; fi
if [ -n "$2" ] && ${HAS_IPV6}; then printf %s "$2" | ip6tables-restore ${IPTABLES_WAIT} --noflush; fi
echo '${END}'`;

const SEE_BRIDGES = `set -e
[ -e ${SEES_BRIDGES} ] || modprobe br_netfilter || true
echo 1 >${SEES_BRIDGES}
echo '${END}'`;

const RUN_LIMIT_MS = 30_000;

type Run = (script: string, args: readonly string[]) => Promise<string>;

/** This process's own host, as root. */
export function ownHost(): GuardHost {
  return {
    ...throughShell((script, args) => runHere(script, args, RUN_LIMIT_MS)),
    way: 'set directly',
    nameservers: async () => {
      const configured = nameserversOf(await readText('/etc/resolv.conf'));
      // Docker looks behind systemd's own resolver, which listens on loopback alone.
      const isResolved = configured.every((address) => address === '127.0.0.53');
      return isResolved ? nameserversOf(await readText('/run/systemd/resolve/resolv.conf')) : configured;
    },
  };
}

/**
 * Through a container on the engine that shares the network of its host, and may change that alone: where the bot is not
 * root, or is in a container itself, or the engine is on another machine.
 *
 * @param image has `iptables` and a shell
 */
export function helperHost(
  docker: Docker,
  { image, instance }: { image: string; instance: string },
): GuardHost {
  const helper = (networkMode: 'host' | 'none', capabilities: string[]): Run => {
    const host = { NetworkMode: networkMode, CapAdd: capabilities };
    const of = { image, instance, limitMs: RUN_LIMIT_MS, doing: 'look at the firewall of its host', host };
    return (script, args) => runInHelper(docker, { ...of, script, args });
  };
  // In a container without a network the file has what all containers ask in the end.
  const ask = (): Promise<string> => helper('none', [])(`cat /etc/resolv.conf; echo '${END}'`, []);
  let asked: Promise<string> | null = null;
  return {
    ...throughShell(helper('host', ['NET_ADMIN'])),
    way: 'set by a helper container',
    nameservers: async () => nameserversOf(await (asked ??= ask())),
  };
}

function throughShell(run: Run): Pick<GuardHost, 'look' | 'change' | 'seeBridges'> {
  return {
    async look() {
      return foundBy(await run(LOOK, []));
    },
    async seeBridges() {
      await run(SEE_BRIDGES, []);
    },
    async change({ ipv4, ipv6 }) {
      await run(CHANGE, [ipv4, ipv6]);
    },
  };
}

/** @param text what the look has printed */
export function foundBy(text: string): Found {
  const seesBridges = text.startsWith(`${SEES}\n`);
  const listed = seesBridges ? text.slice(SEES.length + 1) : text;
  const [ipv4 = '', ipv6 = ''] = listed.split(`${BETWEEN}\n`);
  return { ipv4, ipv6, seesBridges };
}

/**
 * Whether the bridge of a network is in the network namespace of this process: an engine that answers here may run
 * elsewhere. Asked of the routes, as `/sys` may be that of another namespace.
 *
 * @param routes /proc/net/route
 * @param subnet of that network, as in `172.18.0.0/16`
 */
export function isBridgeHere(routes: string, bridge: string, subnet: string): boolean {
  const [address = '', bits = ''] = subnet.split('/');
  const destination = littleEndian(address.split('.').map(Number));
  const mask = littleEndian(
    [0, 8, 16, 24].map((from) => 256 - 2 ** (8 - Math.min(8, Math.max(0, Number(bits) - from)))),
  );
  return routes.split('\n').some((line) => {
    const [name, to, , , , , , ofMask] = line.split(/\s+/);
    return name === bridge && to === destination && ofMask === mask;
  });
}

/** As the kernel prints an address there on the machines we run on. */
const littleEndian = (bytes: readonly number[]): string =>
  bytes
    .toReversed()
    .map((byte) => byte.toString(16).padStart(2, '0').toUpperCase())
    .join('');

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
}
