import { domainToASCII } from 'node:url';

/** What the containers of a repository reach: the internet and nothing nearer, nothing, or some hosts by name. */
export type Network = 'internet' | 'none' | `allow:${string}`;

/** Which kind of network a container is on. */
export type NetworkKind = 'internet' | 'none' | 'allow';

/** A list is read by people, and tried for each request. */
const MOST_HOSTS = 100;
const LONGEST_NAME = 253;
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const HOST = new RegExp(String.raw`^(?:\*\.)?${LABEL}(?:\.${LABEL})+$`);
/** What looks like an address to one program or another: `127.1`, `10.0.0.0x1`. */
const ADDRESS = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

export const kindOf = (network: Network): NetworkKind =>
  network === 'internet' || network === 'none' ? network : 'allow';

/** The hosts that are allowed, as in `registry.npmjs.org` or `*.github.com`; null where no list says it. */
export function allowedHosts(network: Network): string[] | null {
  return kindOf(network) === 'allow' ? network.slice('allow:'.length).split(',') : null;
}

/**
 * A network as an operator writes it: `internet`, `none` or `allow:HOST,HOST`. Names are brought to the one form they have in
 * requests: small letters, the ASCII form of IDNA (RFC 5891, 4), without a dot at the end.
 *
 * @returns the network; or, in `fault`, what is wrong with it
 */
export function readNetwork(written: string): { network: Network } | { fault: string } {
  if (written === 'internet' || written === 'none') return { network: written };
  if (!written.startsWith('allow:')) {
    return { fault: `expected internet, none, or allow:HOST,HOST; got ${JSON.stringify(written)}` };
  }
  const hosts: string[] = [];
  for (const one of written.slice('allow:'.length).split(',')) {
    const read = readHost(one);
    if ('fault' in read) return read;
    if (!hosts.includes(read.host)) hosts.push(read.host);
  }
  if (hosts.length > MOST_HOSTS) return { fault: `expected up to ${MOST_HOSTS} hosts, got ${hosts.length}` };
  return { network: `allow:${hosts.join(',')}` };
}

function readHost(written: string): { host: string } | { fault: string } {
  const fault = (why: string): { fault: string } => ({ fault: `${JSON.stringify(written)} ${why}` });
  if (written === '') return fault('is no host: expected names with commas between them, and nothing else');
  if (written === '*') return fault('would be all hosts: that is --network internet');
  const name = written.replace(/\.$/, '');
  if (/[:/[\]@]/.test(name)) return fault('is no host: give the name alone, without scheme, port or path');
  if (!/^(?:\*\.)?[\p{L}\p{M}\p{N}.-]+$/u.test(name)) {
    return fault(
      'is no host: expected letters, digits, - and dots, as in registry.npmjs.org or *.github.com',
    );
  }
  const isBelow = name.startsWith('*.');
  const bare = (isBelow ? name.slice('*.'.length) : name).toLowerCase();
  const ascii = ADDRESS.test(bare) ? bare : domainToASCII(bare);
  if (ADDRESS.test(ascii)) return fault('is an address: hosts are allowed by name');
  const host = isBelow ? `*.${ascii}` : ascii;
  if (!ascii.includes('.')) {
    return fault(`is not a whole name: expected one with a dot in it${isBelow ? ' after the *.' : ''}`);
  }
  if (!HOST.test(host) || host.length > LONGEST_NAME) {
    return fault('is no host: a part of it is empty, too long, or begins or ends with -');
  }
  return { host };
}
