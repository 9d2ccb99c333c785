import type { Log } from '../log.ts';
import { commandById } from '../store/commands.ts';
import { readPause } from '../store/pause.ts';
import { tellDelay, type TellParts } from './tell-sender.ts';

/** Whoever still waits so long after the command's turn in its thread has come is told why. */
export const DELAY_TOLD_AFTER_MS = 60_000;

/** A sender is told once of a command's delay, whatever it waits for. */
export type DelayTold = { isTold: boolean };

type WaitParts = TellParts & {
  config: { commandConcurrency: number };
  signal: AbortSignal;
  log: Log;
  delayToldAfterMs?: number | undefined;
};

/**
 * Tells the sender of a command that waits for a place: those of other threads may take all of them for hours.
 *
 * @returns what ends that
 */
export function tellOfNoPlace(parts: WaitParts, commandId: number, delay: DelayTold): () => void {
  const { db, config, signal, log } = parts;
  let isOver = false;

  async function tell(): Promise<void> {
    if (delay.isTold || isOver || signal.aborted) return;
    delay.isTold = true;
    try {
      const command = await commandById(db, commandId);
      // Of a pause its sender knows, and a control word is done at once where it can be.
      const isWaiting = command.state === 'queued' && command.control === null && !command.cancelRequestedAt;
      delay.isTold = isWaiting && (await readPause(db)) === null && !isOver;
      if (delay.isTold) await tellDelay(parts, command, whyNoPlace(config.commandConcurrency));
    } catch (error) {
      delay.isTold = false;
      log.warn({ err: error, command: commandId }, 'the sender could not be told of a delay');
    }
  }
  const telling = setInterval(() => void tell(), parts.delayToldAfterMs ?? DELAY_TOLD_AFTER_MS);
  return () => {
    isOver = true;
    clearInterval(telling);
  };
}

const whyNoPlace = (places: number): string =>
  places === 1
    ? 'another command is running, and one runs at a time here'
    : `${places} other commands are running, and no more than that run at the same time here`;
