import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { freeForImages, isShortOfDisk, LEAST_FREE_BYTES } from '../containers/disk-room.ts';
import type { WorkspaceLimit } from '../containers/workspace-limit.ts';
import type { Log } from '../log.ts';
import { sizeInWords } from '../mail/amounts.ts';
import { renderLifecycleNotice } from '../mail/lifecycle-notices.ts';
import type { PartState } from '../part-state.ts';
import { retryForEver } from '../retry.ts';
import { commandById, type Command, type CommandState } from '../store/commands.ts';
import { writeMail } from './answer-message.ts';
import { tellDelay, type TellParts } from './tell-sender.ts';
import type { DelayTold } from './wait-for-place.ts';

const LOOK_EVERY_MS = 1_000;

type RoomParts = TellParts & {
  config: Pick<Config, 'adminAddresses'>;
  workspaceLimit: Pick<WorkspaceLimit, 'way' | 'imagesDir'>;
  states: { database: PartState };
  signal: AbortSignal;
  log: Log;
};

/** What is known of the room on the disk of workspaces, for all commands of a bot. */
export class DiskRoom {
  isShort = false;
  /** Who was told of this shortage: each once, however many commands they have sent. */
  readonly #told = new Set<string>();

  /** @returns whether it is short of room now */
  note(freeBytes: number | null, log: Log): boolean {
    const wasShort = this.isShort;
    this.isShort = isShortOfDisk(freeBytes, wasShort);
    if (this.isShort && !wasShort)
      log.error({ freeBytes }, 'the disk that workspaces lie on is nearly full: no command is started');
    if (!this.isShort && wasShort) {
      log.info({ freeBytes }, 'the disk that workspaces lie on has room again');
      this.#told.clear();
    }
    return this.isShort;
  }

  /** Tells somebody, where that was not done yet; where it fails, it is done the next time. */
  async tellOnce(address: string, tell: () => Promise<void>): Promise<void> {
    if (this.#told.has(address)) return;
    this.#told.add(address);
    try {
      await tell();
    } catch (error) {
      this.#told.delete(address);
      throw error;
    }
  }
}

/**
 * Holds a command back while the disk below the workspaces has too little room: what it writes there could be lost, and what others
 * write. Its sender and the admins are told, once for each shortage. Control words go on, as they may make room.
 *
 * @param holds a command in one of these states; one in another, or that is to be cancelled, is let through
 * @returns whether it was held: hours may have gone by
 * @throws an AbortError when the bot stops
 */
export async function untilDiskRoom(
  parts: RoomParts,
  of: { room: DiskRoom; commandId: number; delay: DelayTold },
  holds: readonly CommandState[],
): Promise<boolean> {
  const { signal, states } = parts;
  const { room, delay } = of;
  const look = async (): Promise<boolean> => {
    const held = await heldWith(parts, of, holds);
    if (!held) return false;
    const { command, freeBytes } = held;
    await room.tellOnce(command.userAddress, () => tellSender(parts, command, freeBytes));
    delay.isTold = true;
    await tellAdmins(parts, room, freeBytes);
    return true;
  };
  const onFailure = (error: Error): void => states.database.isDown(error);
  for (let wasHeld = false; ; wasHeld = true) {
    if (!(await retryForEver(look, { signal, onFailure }))) return wasHeld;
    await pause(LOOK_EVERY_MS, undefined, { signal });
  }
}

/**
 * One look, for a command that has a place which others wait for.
 *
 * @returns whether it would be held
 * @throws an AbortError when the bot stops
 */
export async function hasNoDiskRoom(
  parts: RoomParts,
  of: { room: DiskRoom; commandId: number },
  holds: readonly CommandState[],
): Promise<boolean> {
  const { signal, states } = parts;
  const onFailure = (error: Error): void => states.database.isDown(error);
  return (await retryForEver(() => heldWith(parts, of, holds), { signal, onFailure })) !== null;
}

/** @returns null where the command is not held */
async function heldWith(
  { db, workspaceLimit, log }: RoomParts,
  { room, commandId }: { room: DiskRoom; commandId: number },
  holds: readonly CommandState[],
): Promise<{ command: Command; freeBytes: number } | null> {
  const freeBytes = await freeForImages(workspaceLimit).catch((error: unknown) => {
    log.warn({ err: error }, 'the disk that workspaces lie on cannot be measured');
    return null;
  });
  if (!room.note(freeBytes, log)) return null;
  const command = await commandById(db, commandId);
  if (command.control !== null || !holds.includes(command.state) || command.cancelRequestedAt) return null;
  return { command, freeBytes: freeBytes ?? 0 };
}

async function tellSender(parts: RoomParts, command: Command, freeBytes: number): Promise<void> {
  const least = sizeInWords(LEAST_FREE_BYTES);
  const reason = `the disk of the machine has ${sizeInWords(freeBytes)} left, and nothing is started there below ${least}, so that no work is lost; whoever runs this Threadbox has to make room`;
  await tellDelay(parts, command, reason);
}

async function tellAdmins(parts: RoomParts, room: DiskRoom, freeBytes: number): Promise<void> {
  const { db, config, now, workspaceLimit, wakeOutbox } = parts;
  for (const address of config.adminAddresses) {
    // As an admin; they may have sent a command, too.
    await room.tellOnce(`admin ${address}`, async () => {
      await writeMail(db, config, {
        to: address,
        subject: 'Threadbox: no room for workspaces',
        content: renderLifecycleNotice({
          kind: 'disk-short',
          dir: workspaceLimit.imagesDir,
          freeBytes,
          leastBytes: LEAST_FREE_BYTES,
        }),
        now: now(),
      });
      wakeOutbox();
    });
  }
}
