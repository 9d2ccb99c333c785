import { statfs } from 'node:fs/promises';
import type { Docker } from './containers/client.ts';
import { freeForImages, LEAST_FREE_BYTES } from './containers/disk-room.ts';
import type { WorkspaceLimit } from './containers/workspace-limit.ts';
import type { PartBook, PartNote } from './part-book.ts';
import type { Db } from './store/database.ts';
import type { SharedState } from './store/shared-state.ts';

/** The parts that are listened to. */
export type ListenedPart = 'imap' | 'smtp';

export type PartReport = {
  isReady: boolean;
  /** In plain words, with what is wrong. */
  detail: string;
  lastHeardAt: Date | null;
};

export type Readiness = { isReady: boolean; at: Date; parts: Readonly<Record<string, PartReport>> };

export type ReadinessParts = {
  db: Db;
  docker: Docker;
  sharedState: Pick<SharedState, 'ping'>;
  book: PartBook<ListenedPart>;
  lock: { isHeld: () => boolean };
  dataDir: string;
  /** Disk images may lie on another disk than all else. */
  workspaceLimit: Pick<WorkspaceLimit, 'way' | 'imagesDir'>;
  /** Why no command can be run though the engine answers: a setting, say, that it does not go with. */
  engineFault: () => Error | null;
  now: () => Date;
};

/** The listener asks its mailbox every minute, whatever the server announces: two of these, and time for an answer. */
const IMAP_SILENCE_MS = 150_000;
const ANSWER_MS = 3_000;
/** Idle times are counted by one clock and stored by another. */
const MOST_SKEW_MS = 60_000;
/** Whoever asks more often gets the same answer. */
const KEPT_MS = 2_000;

/** Asks each part how it is, all at once and none for long. */
export function createReadiness(parts: ReadinessParts): () => Promise<Readiness> {
  let last: { atMs: number; readiness: Promise<Readiness> } | null = null;
  return () => {
    const nowMs = performance.now();
    if (!last || nowMs - last.atMs > KEPT_MS) last = { atMs: nowMs, readiness: askAll(parts) };
    return last.readiness;
  };
}

async function askAll({
  db,
  docker,
  sharedState,
  book,
  lock,
  dataDir,
  workspaceLimit,
  engineFault,
  now,
}: ReadinessParts): Promise<Readiness> {
  const askedAt = now();
  const clock = Promise.withResolvers<PartReport>();
  const questions: Record<string, Promise<PartReport>> = {
    imap: Promise.resolve(imapReport(book.of('imap'), askedAt)),
    smtp: Promise.resolve(smtpReport(book.of('smtp'))),
    postgresql: report(async () => {
      const { rows } = await db.raw<{ rows: { now: Date }[] }>('select clock_timestamp() as now');
      clock.resolve(clockReport(rows[0]?.now ?? null, now()));
      return up('answers', now());
    }),
    redis: report(async () => {
      await sharedState.ping();
      return up('answers', now());
    }),
    docker: report(async () => {
      await docker.ping();
      return engineReport(engineFault(), now());
    }),
    disk: report(async () => {
      const { bavail, bsize } = await statfs(dataDir);
      const images = await freeForImages(workspaceLimit);
      const own = bavail * bsize;
      return images !== null && images < Math.min(own, LEAST_FREE_BYTES)
        ? diskReport(images, now(), 'for workspaces, below DATA_DIR/workspaces: commands wait')
        : diskReport(own, now());
    }),
    lock: Promise.resolve(
      lock.isHeld() ? up('this bot works', now()) : down('another bot works on this database', null),
    ),
  };
  void questions['postgresql']?.then(({ isReady }) => {
    if (!isReady) clock.resolve(down('PostgreSQL, which it is compared with, does not answer', null));
  });
  questions['clock'] = clock.promise;
  const answers = await Promise.all(
    Object.entries(questions).map(async ([name, answer]) => [name, await answer] as const),
  );
  return {
    isReady: answers.every(([, { isReady }]) => isReady),
    at: askedAt,
    parts: Object.fromEntries(answers),
  };
}

/** One that has heard nothing for too long is dead, however open its connection looks. */
export function imapReport({ state, heardAt, reason }: PartNote, now: Date): PartReport {
  if (heardAt === null) return down(reason ?? 'has not been reached yet', null);
  const silenceMs = now.getTime() - heardAt.getTime();
  if (state === 'down') return down(reason ?? 'does not answer', heardAt);
  if (silenceMs > IMAP_SILENCE_MS) {
    return down(`nothing was heard for ${Math.round(silenceMs / 1000)} s`, heardAt);
  }
  return up('listens', heardAt);
}

/** It is only spoken to when there is something to send. */
export function smtpReport({ state, heardAt, reason }: PartNote): PartReport {
  if (state === 'down') return down(reason ?? 'does not answer', heardAt);
  return up(state === 'unknown' ? 'nothing was to be sent yet' : 'answers', heardAt);
}

function engineReport(fault: Error | null, now: Date): PartReport {
  return fault ? down(`answers, but no command can be run: ${fault.message}`, now) : up('answers', now);
}

export function diskReport(freeBytes: number, now: Date, where = 'below DATA_DIR'): PartReport {
  const free = `${Math.floor(freeBytes / 2 ** 20)} MB free ${where}`;
  return freeBytes < LEAST_FREE_BYTES ? down(`only ${free}`, now) : up(free, now);
}

export function clockReport(database: Date | null, now: Date): PartReport {
  if (!database) return down('PostgreSQL does not tell the time', null);
  const skewMs = Math.abs(now.getTime() - database.getTime());
  const apart = `${Math.round(skewMs / 1000)} s apart from PostgreSQL's`;
  return skewMs > MOST_SKEW_MS ? down(`${apart}: synchronise the clocks`, now) : up(apart, now);
}

const up = (detail: string, lastHeardAt: Date | null): PartReport => ({ isReady: true, detail, lastHeardAt });
const down = (detail: string, lastHeardAt: Date | null): PartReport => ({
  isReady: false,
  detail,
  lastHeardAt,
});

async function report(ask: () => Promise<PartReport>): Promise<PartReport> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<PartReport>((resolve) => {
    timer = setTimeout(() => resolve(down(`no answer within ${ANSWER_MS / 1000} s`, null)), ANSWER_MS);
  });
  try {
    return await Promise.race([ask(), late]);
  } catch (error) {
    return down((error as Error).message, null);
  } finally {
    clearTimeout(timer);
  }
}
