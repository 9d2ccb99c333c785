import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';

/**
 * Where containers have nothing to look for: the special-purpose addresses of RFC 6890 (2.2.2) that lead to the host or
 * to its neighbours, and what clouds have put among the public ones. Networks for documentation are not among them: they
 * lead nowhere, or are used as public ones where there is no internet.
 */
export const CLOSED_NETWORKS: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  // The metadata of most clouds, with the credentials of the machine: 169.254.169.254.
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // Azure's own services for its machines.
  '168.63.129.16/32',
];

export type Family = 'ipv4' | 'ipv6';

/** What is to be closed: all that comes from one bridge. */
export type Guarded = OpenBridge | ListedBridge;

/** A bridge from which one port of the host is reached, and nothing else: `172.19.0.1:15432`. */
export type ListedBridge = { bridge: string; proxy: string };

/** A bridge from which the internet is reached. */
type OpenBridge = {
  bridge: string;
  /** As resolv.conf has them: reached on port 53, wherever they are, since Docker asks them from within the container. */
  nameservers: readonly string[];
  /** What is left open by TCP: `10.1.2.3:4873`, `10.1.2.0/24:443`. */
  open: readonly string[];
  /** The host's own address on the bridge, where the proxy of allow-lists goes out from, if there is one. */
  proxyFrom?: string | null;
};

/** A chain's rules as `iptables -S` prints them, without `-A` and its name. */
type Chain = { name: string; rules: string[] };
type Jump = { from: string; rule: string };

/**
 * What brings the filter table to where it should be, in one transaction of `iptables-restore --noflush`; null where it
 * is there already.
 *
 * - From the bridge to the host itself: nothing, whatever its address.
 * - From the bridge to others: neither among themselves nor to {@link CLOSED_NETWORKS}.
 * - From the proxy to the host and to {@link CLOSED_NETWORKS}: nothing, whatever a name is said to be the address of.
 * - IPv6: nothing at all.
 *
 * What is refused is told so at once: a command that waits for a time limit helps nobody.
 *
 * @param listed what `iptables -S` or `ip6tables -S` prints
 */
export function guardChange(guarded: Guarded, family: Family, listed: string): string | null {
  const lines = linesOf(listed);
  const chains = chainsOf(guarded, family);
  const jumps = jumpsOf(guarded, chains, lines);
  if (isInPlace(guarded.bridge, { lines, chains, jumps })) return null;
  return restoreText([
    ...chains.map(({ name }) => `:${name} - [0:0]`),
    ...chains.flatMap(({ name, rules }) => rules.map((rule) => `-A ${name} ${rule}`)),
    ...ownJumps(guarded.bridge, lines).map((line) => line.replace(/^-A/, '-D')),
    ...jumps.map(({ from, rule }) => `-I ${from} 1 ${rule}`),
    ...dropChains(
      ownChains(guarded.bridge, lines).filter((name) => chains.every((one) => one.name !== name)),
    ),
  ]);
}

/** The same for taking all of it away. */
export function guardRemoval(bridge: string, listed: string): string | null {
  const lines = linesOf(listed);
  const jumps = ownJumps(bridge, lines).map((line) => line.replace(/^-A/, '-D'));
  const chains = ownChains(bridge, lines);
  return jumps.length + chains.length === 0 ? null : restoreText([...jumps, ...dropChains(chains)]);
}

function chainsOf(guarded: Guarded, family: Family): Chain[] {
  const { bridge } = guarded;
  const refuse = [
    // Unlike the other kind of answer, of these there may be any number in a second.
    '-p tcp -j REJECT --reject-with tcp-reset',
    `-j REJECT --reject-with ${family === 'ipv4' ? 'icmp-admin-prohibited' : 'icmp6-adm-prohibited'}`,
  ];
  const no = named(bridge, 'no', refuse);
  if (family === 'ipv6') return [no];
  const refused = `-j ${no.name}`;
  if ('proxy' in guarded) {
    const toHost = named(bridge, 'in', [...byTcp([guarded.proxy]), refused]);
    return [no, toHost, named(bridge, 'fw', [refused])];
  }
  const { nameservers, open, proxyFrom = null } = guarded;
  const asksNames = [...new Set(nameservers)]
    .filter((address) => isIPv4(address) && !/^(127|0)\./.test(address))
    .toSorted()
    .flatMap((address) =>
      ['udp', 'tcp'].map((protocol) => `-d ${address}/32 -p ${protocol} -m ${protocol} --dport 53 -j RETURN`),
    );
  const mayReach = byTcp(open);
  const closed = CLOSED_NETWORKS.map((network) => `-d ${network} ${refused}`);
  const toHost = named(bridge, 'in', [...asksNames, ...mayReach, refused]);
  const toOthers = named(bridge, 'fw', [...asksNames, `-o ${bridge} ${refused}`, ...mayReach, ...closed]);
  if (proxyFrom === null) return [no, toHost, toOthers];
  // What leaves by the bridge itself are the refusals of the other chains.
  const ofProxy = named(bridge, 'px', [`-o ${bridge} -j RETURN`, ...mayReach, `-o lo ${refused}`, ...closed]);
  return [no, toHost, toOthers, ofProxy];
}

const byTcp = (open: readonly string[]): string[] =>
  [...new Set(open)].toSorted().map((one) => {
    const [address = '', port] = one.split(':');
    return `-d ${address}${address.includes('/') ? '' : '/32'} -p tcp -m tcp --dport ${port} -j RETURN`;
  });

/** A chain is never changed: other rules have another name, and so no listing has to be compared word by word. */
function named(bridge: string, kind: 'in' | 'fw' | 'no' | 'px', rules: string[]): Chain {
  const hash = createHash('sha256').update(rules.join('\n')).digest('hex').slice(0, 6);
  return { name: `${bridge}-${kind}-${hash}`, rules };
}

function jumpsOf(guarded: Guarded, chains: readonly Chain[], lines: readonly string[]): Jump[] {
  const { bridge } = guarded;
  const to = (kind: string, from = `-i ${bridge}`): string =>
    `${from} -j ${(chains.find(({ name }) => name.startsWith(`${bridge}-${kind}-`)) ?? chains[0])?.name}`;
  const jumps: Jump[] = [
    { from: 'INPUT', rule: to('in') },
    { from: forwardHook(lines), rule: to('fw') },
  ];
  const hasProxy = chains.some(({ name }) => name.startsWith(`${bridge}-px-`));
  if (!hasProxy || !('proxyFrom' in guarded)) return jumps;
  return [...jumps, { from: 'OUTPUT', rule: to('px', `-s ${guarded.proxyFrom}/32`) }];
}

/**
 * Docker has its own rules at the beginning of FORWARD, time and again, and a chain before them for those of others.
 * Where that is not what comes first (Docker with another kind of firewall, or none), FORWARD itself is the place.
 */
function forwardHook(lines: readonly string[]): 'DOCKER-USER' | 'FORWARD' {
  return firstOf('FORWARD', lines) === '-A FORWARD -j DOCKER-USER' ? 'DOCKER-USER' : 'FORWARD';
}

/** The first rule of a chain that is not the jump of a guard, of this installation or another. */
function firstOf(chain: string, lines: readonly string[]): string | undefined {
  return lines.find((line) => line.startsWith(`-A ${chain} `) && !GUARD_JUMP.test(line));
}

const GUARD_JUMP =
  /^-A (?:(?:INPUT|FORWARD|DOCKER-USER) -i (tb-[0-9a-f]{10}) -j \1-(?:in|fw|no)|OUTPUT -s [\d.]+\/32 -j tb-[0-9a-f]{10}-px)-[0-9a-f]{6}$/;

function isInPlace(
  bridge: string,
  { lines, chains, jumps }: { lines: readonly string[]; chains: readonly Chain[]; jumps: readonly Jump[] },
): boolean {
  const isWhole = ({ name, rules }: Chain): boolean =>
    lines.includes(`-N ${name}`) &&
    lines.filter((line) => line.startsWith(`-A ${name} `)).length === rules.length;
  const isFirst = ({ from, rule }: Jump): boolean => {
    const ofChain = lines.filter((line) => line.startsWith(`-A ${from} `));
    const place = ofChain.indexOf(`-A ${from} ${rule}`);
    return place >= 0 && ofChain.slice(0, place).every((line) => GUARD_JUMP.test(line));
  };
  return (
    chains.every(isWhole) &&
    jumps.every(isFirst) &&
    ownChains(bridge, lines).length === chains.length &&
    ownJumps(bridge, lines).length === jumps.length
  );
}

function ownChains(bridge: string, lines: readonly string[]): string[] {
  return lines.flatMap((line) => (line.startsWith(`-N ${bridge}-`) ? [line.slice('-N '.length)] : []));
}

function ownJumps(bridge: string, lines: readonly string[]): string[] {
  return lines.filter((line) => line.includes(` -j ${bridge}-`) && !line.startsWith(`-A ${bridge}-`));
}

/** First all are emptied, as one may lead to another. */
const dropChains = (names: readonly string[]): string[] => [
  ...names.map((name) => `-F ${name}`),
  ...names.map((name) => `-X ${name}`),
];

const restoreText = (lines: readonly string[]): string => ['*filter', ...lines, 'COMMIT', ''].join('\n');

const linesOf = (listed: string): string[] => listed.split('\n').filter((line) => line !== '');

/** The addresses of the `nameserver` lines of resolv.conf(5). */
export function nameserversOf(resolvConf: string): string[] {
  return resolvConf.split('\n').flatMap((line) => /^nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
}
