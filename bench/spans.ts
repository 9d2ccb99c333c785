import type { Db } from '../src/store/database.ts';
import { median, table } from './figures.ts';

/** Where the time of one warm command went, in ms, beside what its floor took at the same place. */
export type Spans = Record<SpanName, { ms: number; floorMs: number }>;

type SpanName = 'notified' | 'taken' | 'begun' | 'run' | 'sent' | 'all';

const NAMES: Record<SpanName, string> = {
  notified: 'announced by the IMAP server, fetched, being recorded',
  taken: 'recorded, parsed, its thread found, the command being stored',
  begun: 'queued, looked up, its attempt being recorded',
  run: 'docker exec, until the end is being stored',
  sent: 'end and answer stored, sent by SMTP',
  all: 'all',
};

type Times = { recordedAt: number; queuedAt: number; startedAt: number; endedAt: number };

/**
 * From the times that the database has of the newest command. They are those of the begin of the transactions
 * (PostgreSQL's `now()`), by the clock of the machine.
 */
export async function readSpans(
  db: Db,
  run: { acceptedAt: number; answeredAt: number; floor: { ms: number; heardMs: number } },
): Promise<Spans> {
  const { rows } = await db.raw<{ rows: Times[] }>(`
    select (extract(epoch from (select max(updated_at) from mailboxes)) * 1000)::float8 as "recordedAt",
      (extract(epoch from created_at) * 1000)::float8 as "queuedAt",
      (extract(epoch from started_at) * 1000)::float8 as "startedAt",
      (extract(epoch from ended_at) * 1000)::float8 as "endedAt"
    from commands order by id desc limit 1`);
  const { recordedAt, queuedAt, startedAt, endedAt } = rows[0] as Times;
  // The clock of `performance.now()` does not follow the machine's when that is set: so the distance of just now.
  const clockOffset = Date.now() - performance.now();
  const acceptedAt = run.acceptedAt + clockOffset;
  const answeredAt = run.answeredAt + clockOffset;
  const { ms, heardMs } = run.floor;
  return {
    notified: { ms: recordedAt - acceptedAt, floorMs: heardMs },
    taken: { ms: queuedAt - recordedAt, floorMs: 0 },
    begun: { ms: startedAt - queuedAt, floorMs: 0 },
    run: { ms: endedAt - startedAt, floorMs: ms - heardMs },
    sent: { ms: answeredAt - endedAt, floorMs: 0 },
    all: { ms: answeredAt - acceptedAt, floorMs: ms },
  };
}

export function spanTable(spans: readonly Spans[]): string {
  const lines = (Object.keys(NAMES) as SpanName[]).map((name) => {
    const ms = median(spans.map((span) => span[name].ms));
    const floorMs = median(spans.map((span) => span[name].floorMs));
    return [NAMES[name], ms.toFixed(1), floorMs.toFixed(1), (ms - floorMs).toFixed(1)];
  });
  return table(['a warm command, median ms', 'bot', 'floor', 'above floor'], lines);
}
