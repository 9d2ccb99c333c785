import { setTimeout as pause } from 'node:timers/promises';
import { watchPart } from '../../part-state.ts';
import { pauseMs } from '../../retry.ts';
import { DEADLINES } from './connect.ts';
import { readMailbox, type Reader, type Timings } from './read-mailbox.ts';

export type ListenOptions = Omit<Reader, 'timings' | 'obstacle'> & {
  /** Called for each look at the mailbox, so that silence can be told from quiet. */
  onState?: (state: 'listening' | 'away', error?: Error) => void;
  /** Tests alone set these. */
  timings?: Partial<Timings>;
};

export type Listener = {
  /** Resolves at the end of the signal or after `close`, when nothing is being recorded any more. */
  closed: Promise<void>;
  close: () => Promise<void>;
};

const TIMINGS: Timings = {
  ...DEADLINES,
  lookEveryMs: 60_000,
  renewAfterMs: 3_600_000,
  pauses: { firstMs: 1_000, longestMs: 60_000 },
};

type ListenError = Error & { code?: string; timeoutMs?: number };

/** So many times the usual. */
const MOST_PATIENCE = 16;

/**
 * How many times as long as usual the server may take for an answer: twice as long after each that did not come, since a large
 * mailbox that it has not looked at for long would else never be opened. What has worked for a while was only cut off.
 */
export function patienceAfter(
  error: ListenError,
  { patience, answerMs, hasHeld }: { patience: number; answerMs: number; hasHeld: boolean },
): number {
  const before = hasHeld ? 1 : patience;
  const isSlow = error.code === 'IMAP_TIMEOUT' && error.timeoutMs === answerMs * patience;
  return isSlow ? Math.min(before * 2, MOST_PATIENCE) : before;
}

/**
 * Listens to a mailbox by IMAP IDLE and hands over every mail, in the order of the UIDs, for ever: whatever fails is
 * tried again. `record` gets a batch and the cursor to store together with it, in one transaction. A mail can come
 * again after a crash, or when the server has rebuilt the mailbox.
 */
export function listenToMailbox(options: ListenOptions): Listener {
  const stopping = new AbortController();
  const signal = AbortSignal.any([options.signal, stopping.signal]);
  const timings = { ...TIMINGS, ...options.timings };
  const closed = keepReading({ ...options, signal, timings, obstacle: null }, options.onState);
  return {
    closed,
    close() {
      stopping.abort(new Error('Closed'));
      return closed;
    },
  };
}

async function keepReading(reader: Reader, onState: ListenOptions['onState'] = () => {}): Promise<void> {
  const { log, signal } = reader;
  const { pauses, answerMs } = reader.timings;
  let patience = 1;
  const part = watchPart('IMAP', log);
  const ownership = watchPart('the mailbox', log, {
    up: 'is ours',
    down: "is another Threadbox's: this one reads nothing until that has changed",
  });
  let failures = 0;
  while (!signal.aborted) {
    const startedAt = performance.now();
    let hasListened = false;
    reader.timings = { ...reader.timings, answerMs: answerMs * patience };
    try {
      await readMailbox(reader, () => {
        hasListened = true;
        part.isUp();
        ownership.isUp();
        onState('listening');
      });
    } catch (error) {
      if (signal.aborted) return;
      if ((error as ListenError).code === 'MAILBOX_CLAIMED') {
        part.isUp();
        ownership.isDown(error as Error);
      } else part.isDown(error as Error);
      onState('away', error as Error);
      // Not at the first success: a server that accepts and drops would be asked without a pause.
      const hasHeld = performance.now() - startedAt > pauses.longestMs;
      failures = hasHeld ? 1 : failures + 1;
      // An answer that never came may have been waited for as long as that.
      patience = patienceAfter(error as ListenError, { patience, answerMs, hasHeld: hasHeld && hasListened });
      // Rejects only when it is to end; the loop sees that.
      await pause(pauseMs(failures, pauses), undefined, { signal }).catch(() => {});
    }
  }
}
