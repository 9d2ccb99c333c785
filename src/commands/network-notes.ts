import type { Config } from '../config.ts';
import type { Refused } from '../containers/allow-lists.ts';
import { closedAddresses, wantsNetwork } from '../containers/closed-network.ts';
import type { ExecutionResult } from '../containers/execution.ts';
import { allowListNote, closedNote, noNetworkNote } from '../mail/network-note.ts';
import { allowedHosts } from '../network-choice.ts';
import type { Repository } from '../store/repositories.ts';
import type { ContainerParts } from './open-container.ts';

export type NetworkNoteParts = Pick<ContainerParts, 'guard' | 'log'> & {
  config: Pick<Config, 'containerMayReach'>;
};

/** So much of the end of the output is looked through. */
const LOOKED_AT_BYTES = 16 << 10;

/** What the answer to a command has to say of what its container does not reach; told in the log as well. */
export function networkNotes(
  { guard, config, log }: NetworkNoteParts,
  { name, network }: Repository,
  commandId: number,
  { exitCode, output }: ExecutionResult,
  refused: readonly Refused[],
): string[] {
  const hosts = allowedHosts(network);
  if (hosts && refused.length > 0) {
    log.info(
      { command: commandId, repository: name, refused },
      'a command wanted what is not on its allow-list',
    );
    return [allowListNote(name, hosts, refused)];
  }
  if (exitCode === 0) return [];
  const text = Buffer.concat([output.head, output.tail]).subarray(-LOOKED_AT_BYTES).toString();
  if (network === 'none') {
    if (!wantsNetwork(text)) return [];
    log.info(
      { command: commandId, repository: name },
      'a command wanted a network, which its repository has not',
    );
    return [noNetworkNote(name)];
  }
  if (hosts) return wantsNetwork(text) ? [allowListNote(name, hosts, [])] : [];
  const addresses = guard ? closedAddresses(text, config.containerMayReach) : [];
  if (addresses.length === 0) return [];
  log.info(
    { command: commandId, repository: name, addresses },
    'a command wanted what the network guard has closed',
  );
  return [closedNote(addresses)];
}
