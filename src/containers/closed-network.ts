import { BlockList } from 'node:net';
import { CLOSED_NETWORKS } from './guard-rules.ts';

/** Of a container's own loopback addresses nobody keeps it. */
const OWN = /^(?:127|0)\./;
const FAILURES =
  /refused|unreachable|no route to host|EHOSTUNREACH|prohibited|(?:failed|could ?n[o']t|unable) (?:to )?connect/i;
const NO_NETWORK =
  /network is unreachable|ENETUNREACH|could not resolve|failure resolving|name resolution|name or service not known|EAI_AGAIN|ENOTFOUND|network unreachable/i;
const ADDRESS = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g;
const LONGEST_LINE = 1_000;
const MOST_SHOWN = 3;

const closed = blockList(CLOSED_NETWORKS);

/**
 * What a command that failed ran into, as far as the end of its output tells it: addresses that containers do not reach.
 *
 * @param mayReach what is left open, as in `10.1.2.3:4873`
 */
export function closedAddresses(output: string, mayReach: readonly string[]): string[] {
  const open = blockList(mayReach.map((one) => one.split(':')[0] ?? ''));
  const found = output
    .split('\n')
    .filter((line) => line.length <= LONGEST_LINE && FAILURES.test(line))
    .flatMap((line) => line.match(ADDRESS) ?? [])
    .filter((address) => !OWN.test(address) && closed.check(address) && !open.check(address));
  return [...new Set(found)].slice(0, MOST_SHOWN);
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits = '32'] = network.split('/');
    list.addSubnet(address, Number(bits));
  }
  return list;
}

/** Whether it looks as if a command had failed for want of a network. */
export function wantsNetwork(output: string): boolean {
  return output.split('\n').some((line) => line.length <= LONGEST_LINE && NO_NETWORK.test(line));
}
