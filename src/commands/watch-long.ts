import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Docker } from '../containers/client.ts';
import { peekOutput } from '../containers/peek-output.ts';
import type { Log } from '../log.ts';
import { renderLifecycleNotice } from '../mail/lifecycle-notices.ts';
import type { TimeAllowed } from '../mail/time-in-words.ts';
import { commandById, recordToldRunning, type Command } from '../store/commands.ts';
import { messageToAnswer } from '../store/messages.ts';
import type { Repository } from '../store/repositories.ts';
import { activeSession } from '../store/sessions.ts';
import { answerMessage } from './answer-message.ts';
import { withTokens } from './repository-secrets.ts';
import { longRunStep } from './still-running.ts';
import type { TellParts } from './tell-sender.ts';
import { timeAllowed } from './time-allowed.ts';

export type WatchParts = Omit<TellParts, 'config'> & {
  config: Pick<Config, 'botAddress' | 'replyToken' | 'stillRunningAfterMs'> & TellParts['config'];
  docker: Docker;
  signal: AbortSignal;
  log: Log;
};

/** One that has not begun yet, or could not be looked at. */
const LOOK_AGAIN_MS = 5_000;

/**
 * Tells a command's sender at growing distances that it still runs. Each mail is stored together with the point of time
 * it is for, so none is sent twice, whatever happens to the bot. `close` as soon as the command has ended.
 */
export function watchLong(
  parts: WatchParts,
  command: Command,
  repository: Repository,
): { close: () => void } {
  const { stillRunningAfterMs: firstMs } = parts.config;
  const closing = new AbortController();
  const signal = AbortSignal.any([parts.signal, closing.signal]);
  const isTakenUp = command.state === 'running';

  async function watch(): Promise<void> {
    let waitMs: number | null = isTakenUp ? 0 : firstMs;
    while (waitMs !== null) {
      await pause(waitMs, undefined, { signal });
      try {
        waitMs = await look(parts, { commandId: command.id, repository }, signal);
      } catch (error) {
        if (signal.aborted) return;
        parts.log.warn({ err: error, command: command.id }, 'it could not be told that a command still runs');
        waitMs = LOOK_AGAIN_MS;
      }
    }
  }
  // Rejects only when it is to end.
  if (firstMs > 0) watch().catch(() => {});
  return { close: () => closing.abort() };
}

/** @returns when to look again; null when there is nothing left to be told */
async function look(
  parts: WatchParts,
  { commandId, repository }: { commandId: number; repository: Repository },
  signal: AbortSignal,
): Promise<number | null> {
  const { db, config, now } = parts;
  const command = await commandById(db, commandId);
  const { state, startedAt } = command;
  const soonMs = Math.min(LOOK_AGAIN_MS, config.stillRunningAfterMs);
  if (state === 'queued' || !startedAt) return soonMs;
  if (state !== 'running' || command.cancelRequestedAt) return null;
  const allowed = timeAllowed(command, repository, config);
  const times = { firstMs: config.stillRunningAfterMs, timeoutMs: allowed.timeoutMs };
  const ranMs = now().getTime() - startedAt.getTime();
  const step = longRunStep({ ranMs, toldMs: command.toldRunningMs }, times);
  if (step === null || 'waitMs' in step) return step && step.waitMs;
  return (await tell(parts, { ...command, startedAt }, { ...step, ranMs, allowed }, signal)) ? 0 : soonMs;
}

/** @returns false when there is nothing to be told now: nothing is known to run, as its end is being read */
async function tell(
  { db, docker, config, now, wakeOutbox, secretsOf }: WatchParts,
  command: Command & { startedAt: Date },
  {
    tellMs,
    isLast,
    ranMs,
    allowed,
  }: { tellMs: number; isLast: boolean; ranMs: number; allowed: TimeAllowed },
  signal: AbortSignal,
): Promise<boolean> {
  const session = await activeSession(db, command.threadId);
  const { masks } = withTokens(await secretsOf(command.repositoryId), command.script);
  const peeked = session && (await peekOutput(docker, session.containerId, command.id, masks));
  if (!peeked?.isAlive || signal.aborted) return false;
  const message = await messageToAnswer(db, command.messageId);
  const notice = renderLifecycleNotice({
    kind: 'still-running',
    command: masks.text(command.script),
    ranMs,
    lastLines: peeked.text,
    endsAt: new Date(command.startedAt.getTime() + allowed.timeoutMs),
    timeAllowed: allowed,
    isLast,
    now: now(),
  });
  await db.transaction(async (transaction) => {
    if (!(await recordToldRunning(transaction, command, tellMs))) return;
    const content = { ...notice, kind: 'delay' } as const;
    await answerMessage(transaction, config, message, content, command.threadId, now());
  });
  wakeOutbox();
  return true;
}
