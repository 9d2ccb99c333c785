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

const closed = new BlockList();
for (const network of CLOSED_NETWORKS) {
  const [address = '', bits = ''] = network.split('/');
  closed.addSubnet(address, Number(bits));
}

/** What a command that failed ran into, as far as the end of its output tells it: addresses that containers do not reach. */
export function closedAddresses(output: string): string[] {
  const found = output
    .split('\n')
    .filter((line) => line.length <= LONGEST_LINE && FAILURES.test(line))
    .flatMap((line) => line.match(ADDRESS) ?? [])
    .filter((address) => !OWN.test(address) && closed.check(address));
  return [...new Set(found)].slice(0, MOST_SHOWN);
}

/** Whether it looks as if a command had failed for want of a network. */
export function wantsNetwork(output: string): boolean {
  return output.split('\n').some((line) => line.length <= LONGEST_LINE && NO_NETWORK.test(line));
}
