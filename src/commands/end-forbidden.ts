import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { endCommand, type Command } from '../store/commands.ts';
import { mayUse } from '../store/permissions.ts';
import type { Repository } from '../store/repositories.ts';
import { isLetIn } from './let-in.ts';
import { tellFailure, type TellParts } from './tell-sender.ts';

/** What only ends something is done all the same. */
const STILL_DONE: ReadonlySet<string | undefined> = new Set(['stop', 'save']);

/**
 * Ends a command that waited while its sender lost the right to it, without running it. Who may not write to us any more
 * is not answered either.
 *
 * @returns false when it may start
 */
export async function endForbidden(
  parts: TellParts & {
    config: Pick<Config, 'allowedSenders'>;
    log: Log;
    tellControlFailure: (command: Command, error: Error) => Promise<void>;
  },
  command: Command,
  repository: Repository,
): Promise<boolean> {
  if (command.state !== 'queued') return false;
  const { db, config, log } = parts;
  const { id, userAddress, control } = command;
  const [isUser, isUsable] = await Promise.all([
    isLetIn({ db, config }, userAddress),
    mayUse(db, userAddress, repository.id),
  ]);
  if (isUser && (isUsable || STILL_DONE.has(control?.word))) return false;
  const reason = isUser
    ? `You may not use ${repository.name} any more: whoever runs this Threadbox has changed that while this waited.`
    : 'the sender is not allowed any more';
  log.info({ command: id, reason }, 'a command is not started: its sender may not run it any more');
  if (!isUser) await endCommand(db, id, { state: 'failed', error: reason });
  else if (control) await parts.tellControlFailure(command, new Error(reason));
  else {
    const known = { executed: null, tries: { notBegun: null, givenUp: null, hasBegun: false } };
    await tellFailure(parts, command, repository, new NotAllowed(reason), known);
  }
  return true;
}

class NotAllowed extends Error {
  readonly code = 'NOT_ALLOWED';
}
