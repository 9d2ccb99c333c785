import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';
import { execText } from './exec.ts';
import { asOurs } from './inside.ts';

/** What a workspace takes, where that is more than it may. */
export type Oversize = { usedBytes: number; maxBytes: number; wasStopped: boolean };

export type WorkspaceWatch = {
  /** Aborted when a command has to be stopped for what it adds to the workspace. */
  outgrown: AbortSignal;
  /** To be called when the command has ended. @returns null where all is well, as far as it is known */
  finish: () => Promise<Oversize | null>;
};

type WatchTimes = { firstMs: number; everyMs: number };

/** A look takes as long as there are many files: most commands are over before, and it shall take no more than 1/20. */
const TIMES: WatchTimes = { firstMs: 2_000, everyMs: 5_000 };
const SHARE = 20;
const MEASURE_MS = 60_000;
/** What a command may add to a workspace that is too large already: it may have to, to make room. */
const SLACK_BYTES = 64 * 2 ** 20;

/** What each workspace took when it was looked at last, by its container. */
const lastKnown = new WeakMap<Docker, Map<string, number>>();

/**
 * Whether a command is to be stopped. One that runs in a workspace which was too large before may be the one that makes
 * room.
 *
 * @param beforeBytes what the workspace took before it, or when it was first looked at
 */
export function isOutgrown(beforeBytes: number, usedBytes: number, maxBytes: number): boolean {
  if (usedBytes <= maxBytes) return false;
  return beforeBytes <= maxBytes || usedBytes > beforeBytes + SLACK_BYTES;
}

/**
 * Looks at the size of a workspace while a command runs in it, and when it has ended: where nothing better can be had.
 * What is deleted and still open, or in a directory that nobody may read, is not seen.
 */
export function watchWorkspace(
  docker: Docker,
  containerId: string,
  { maxBytes, signal, times = TIMES }: { maxBytes: number; signal: AbortSignal; times?: WatchTimes },
): WorkspaceWatch {
  const known = lastKnown.get(docker) ?? new Map<string, number>();
  lastKnown.set(docker, known);
  const outgrown = new AbortController();
  const closing = new AbortController();
  const either = AbortSignal.any([signal, closing.signal]);
  let stoppedAtBytes: number | null = null;

  /** @returns null when it cannot be found out now */
  async function look(until: AbortSignal): Promise<number | null> {
    const usedBytes = await measureWorkspace(docker, containerId, until).catch(() => null);
    if (usedBytes !== null) known.set(containerId, usedBytes);
    return usedBytes;
  }

  async function watch(): Promise<void> {
    let beforeBytes = known.get(containerId) ?? null;
    await pause(times.firstMs, undefined, { signal: either });
    for (;;) {
      const startedAt = performance.now();
      const usedBytes = await look(either);
      if (usedBytes !== null) {
        beforeBytes ??= usedBytes;
        if (isOutgrown(beforeBytes, usedBytes, maxBytes)) {
          stoppedAtBytes = usedBytes;
          return outgrown.abort();
        }
      }
      const tookMs = performance.now() - startedAt;
      await pause(Math.max(times.everyMs, SHARE * tookMs), undefined, { signal: either });
    }
  }
  // Rejects only when it is to end.
  const watching = watch().catch(() => undefined);
  return {
    outgrown: outgrown.signal,
    async finish() {
      closing.abort();
      await watching;
      const wasOver = (known.get(containerId) ?? 0) > maxBytes;
      // Nobody waits for it where there is nothing to be told.
      const looking = look(signal);
      const usedBytes = wasOver ? await looking : null;
      if (stoppedAtBytes !== null) return { usedBytes: stoppedAtBytes, maxBytes, wasStopped: true };
      return usedBytes !== null && usedBytes > maxBytes ? { usedBytes, maxBytes, wasStopped: false } : null;
    },
  };
}

/** @throws when it cannot be asked, or does not end in time */
async function measureWorkspace(docker: Docker, containerId: string, signal: AbortSignal): Promise<number> {
  const command = asOurs('threadbox-measure', ['du', '-sx', '--block-size=1', '/workspace']);
  const soon = AbortSignal.any([signal, AbortSignal.timeout(MEASURE_MS)]);
  const { stdout } = await execText(docker, containerId, { command, env: {}, signal: soon });
  const [, usedBytes] = /^(\d{1,18})\t/.exec(stdout) ?? [];
  if (usedBytes === undefined) throw new Error('the workspace could not be measured');
  return Number(usedBytes);
}
