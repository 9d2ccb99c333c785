import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Docker } from '../containers/client.ts';
import { peekOutput } from '../containers/peek-output.ts';
import type { Log } from '../log.ts';
import { renderLifecycleNotice } from '../mail/lifecycle-notices.ts';
import { commandById, recordToldRunning, type Command } from '../store/commands.ts';
import { messageToAnswer } from '../store/messages.ts';
import { activeSession } from '../store/sessions.ts';
import { answerMessage } from './answer-message.ts';
import { longRunStep } from './still-running.ts';
import type { TellParts } from './tell-sender.ts';

export type WatchParts = Omit<TellParts, 'config'> & {
  config: Pick<Config, 'botAddress' | 'replyToken' | 'stillRunningAfterMs' | 'commandTimeoutMs'>;
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
export function watchLong(parts: WatchParts, command: Command): { close: () => void } {
  const { stillRunningAfterMs: firstMs } = parts.config;
  const closing = new AbortController();
  const signal = AbortSignal.any([parts.signal, closing.signal]);
  const isTakenUp = command.state === 'running';

  async function watch(): Promise<void> {
    let waitMs: number | null = isTakenUp ? 0 : firstMs;
    while (waitMs !== null) {
      await pause(waitMs, undefined, { signal });
      try {
        waitMs = await look(parts, command.id, signal);
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
async function look(parts: WatchParts, commandId: number, signal: AbortSignal): Promise<number | null> {
  const { db, config, now } = parts;
  const command = await commandById(db, commandId);
  const { state, startedAt } = command;
  const soonMs = Math.min(LOOK_AGAIN_MS, config.stillRunningAfterMs);
  if (state === 'queued' || !startedAt) return soonMs;
  if (state !== 'running' || command.cancelRequestedAt) return null;
  const times = { firstMs: config.stillRunningAfterMs, timeoutMs: config.commandTimeoutMs };
  const ranMs = now().getTime() - startedAt.getTime();
  const step = longRunStep({ ranMs, toldMs: command.toldRunningMs }, times);
  if (step === null || 'waitMs' in step) return step && step.waitMs;
  return (await tell(parts, { ...command, startedAt }, { ...step, ranMs }, signal)) ? 0 : soonMs;
}

/** @returns false when there is nothing to be told now: nothing is known to run, as its end is being read */
async function tell(
  { db, docker, config, now, wakeOutbox }: WatchParts,
  command: Command & { startedAt: Date },
  { tellMs, isLast, ranMs }: { tellMs: number; isLast: boolean; ranMs: number },
  signal: AbortSignal,
): Promise<boolean> {
  const session = await activeSession(db, command.threadId);
  const peeked = session && (await peekOutput(docker, session.containerId, command.id));
  if (!peeked?.isAlive || signal.aborted) return false;
  const message = await messageToAnswer(db, command.messageId);
  const { commandTimeoutMs: timeoutMs } = config;
  const notice = renderLifecycleNotice({
    kind: 'still-running',
    command: command.script,
    ranMs,
    lastLines: peeked.text,
    endsAt: new Date(command.startedAt.getTime() + timeoutMs),
    timeoutMs,
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
