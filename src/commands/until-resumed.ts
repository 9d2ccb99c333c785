import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '../log.ts';
import { renderNotice } from '../mail/notices.ts';
import type { PartState } from '../part-state.ts';
import { retryForEver } from '../retry.ts';
import { commandById, type Command, type CommandState } from '../store/commands.ts';
import { messageToAnswer } from '../store/messages.ts';
import { readPause, type Pause } from '../store/pause.ts';
import { tellsNow } from '../store/told-notices.ts';
import { answerMessage } from './answer-message.ts';
import { masksFor } from './repository-secrets.ts';
import type { TellParts } from './tell-sender.ts';

const LOOK_EVERY_MS = 1_000;

type ResumeParts = TellParts & { states: { database: PartState }; signal: AbortSignal; log: Log };

/**
 * Holds a command back while Threadbox is paused. Its sender is told, once for each pause however many commands they have
 * sent.
 *
 * @param holds a command in one of these states; one in another, or that is to be cancelled, is let through
 * @returns false when it was let through during a pause
 * @throws an AbortError when the bot stops
 */
export async function untilResumed(
  parts: ResumeParts,
  commandId: number,
  holds: readonly CommandState[],
): Promise<boolean> {
  const { db, signal, states, log } = parts;
  let isLogged = false;
  const look = async (): Promise<'resumed' | 'let through' | 'held'> => {
    const paused = await readPause(db);
    if (!paused) return 'resumed';
    const command = await commandById(db, commandId);
    if (!holds.includes(command.state) || command.cancelRequestedAt) return 'let through';
    if (!isLogged)
      log.info({ command: commandId, reason: paused.reason }, 'a command waits: Threadbox is paused');
    isLogged = true;
    await tellPaused(parts, command, paused);
    return 'held';
  };
  for (;;) {
    const seen = await retryForEver(look, {
      signal,
      onFailure: (error) => states.database.isDown(error),
    });
    if (seen !== 'held') return seen === 'resumed';
    await pause(LOOK_EVERY_MS, undefined, { signal });
  }
}

async function tellPaused(
  parts: ResumeParts,
  { messageId, script, threadId, repositoryId, userAddress }: Command,
  { since, reason }: Pause,
): Promise<void> {
  const { db, config, now, wakeOutbox } = parts;
  const command = (await masksFor(parts, { id: repositoryId }, script)).text(script);
  const told = await db.transaction(async (transaction) => {
    if (!(await tellsNow(transaction, userAddress, 'paused', since))) return false;
    const message = await messageToAnswer(transaction, messageId);
    const notice = renderNotice({ kind: 'paused', command, reason, since, now: now() });
    const content = { ...notice, kind: 'delay' } as const;
    await answerMessage(transaction, config, message, content, threadId, now());
    return true;
  });
  if (told) wakeOutbox();
}
