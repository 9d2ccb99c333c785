import type { LoggedCommand } from '../store/commands.ts';

const HOUR_MS = 3_600_000;
/** Nobody reads an answer and sends the same again so quickly; programs that answer by themselves do. */
const AT_ONCE_MS = 20_000;
/** A mail server tells the time of an arrival in whole seconds. */
const SECOND_MS = 1_000;
/** What bash exits with when the first word of a line is no command: as the first word of prose. */
const NOT_FOUND = 127;

/**
 * True when a command seems to come from a program that answers our answers and does not say so, such as "I am away until
 * Monday": the very text that was run last in its thread, and failed as prose fails, again.
 */
export function isEcho(
  { script, isReply, receivedAt }: { script: string; isReply: boolean; receivedAt: Date },
  last: Pick<LoggedCommand, 'script' | 'state' | 'exitCode' | 'endedAt'> | undefined,
): boolean {
  if (!last?.endedAt || last.state !== 'finished' || last.script !== script) return false;
  const afterMs = receivedAt.getTime() - last.endedAt.getTime();
  // Sent before there was an answer.
  if (afterMs < -SECOND_MS) return false;
  if (last.exitCode === NOT_FOUND) return afterMs < HOUR_MS;
  return isReply && last.exitCode !== 0 && afterMs < AT_ONCE_MS;
}

/** What is recorded of it. */
export const ECHO = 'the same text again, right after it had failed: taken for an automatic answer';
