import type { Db } from './database.ts';
import { rowsOf } from './figures.ts';

/** How many values lie at or below each bound, and their sum. Bounds in seconds. */
export type Histogram = { counts: number[]; total: number; sumSeconds: number };

/** Since this database was made: a restart of the bot sets nothing back. */
export type MetricFigures = {
  messages: { direction: string; outcome: string; count: number; bytes: number }[];
  refusals: { reason: string; count: number }[];
  commands: { state: string; count: number }[];
  sessions: { reason: string; count: number }[];
  sessionsOpened: number;
  savedStates: { state: string; count: number }[];
  outputBytes: number;
  run: Histogram;
  wait: Histogram;
  answer: Histogram;
};

/** Asked one after another: how long it takes is what it costs, and other work keeps its connections. */
export async function metricFigures(db: Db, boundsSeconds: readonly number[]): Promise<MetricFigures> {
  const messages = await rowsOf<MetricFigures['messages'][number]>(
    db,
    `select direction, coalesce(outcome, 'received') as outcome, count(*) as count,
       sum(size_bytes)::bigint as bytes from messages group by 1, 2`,
  );
  const refusals = await rowsOf<MetricFigures['refusals'][number]>(
    db,
    `select coalesce(reason, '') as reason, count(*) as count from messages
     where direction = 'in' and outcome in ('dropped', 'failed') group by 1 order by 2 desc limit 1000`,
  );
  const commands = await rowsOf<MetricFigures['commands'][number]>(
    db,
    'select state, count(*) as count from commands group by 1',
  );
  const sessions = await rowsOf<MetricFigures['sessions'][number]>(
    db,
    `select coalesce(end_reason, '') as reason, count(*) as count from container_sessions group by 1`,
  );
  const savedStates = await rowsOf<MetricFigures['savedStates'][number]>(
    db,
    'select state, count(*) as count from saved_states where snapshot is not null group by 1',
  );
  const output = await rowsOf<{ bytes: number }>(
    db,
    'select coalesce(sum(output_bytes), 0)::bigint as bytes from commands',
  );
  const run = await histogram(
    db,
    boundsSeconds,
    'select duration_ms / 1000.0 as seconds from commands where control is null',
  );
  const wait = await histogram(
    db,
    boundsSeconds,
    'select extract(epoch from started_at - created_at) as seconds from commands where control is null',
  );
  // An answer is stored in one transaction with the end of its command, which tells it from what was said before.
  const answer = await histogram(
    db,
    boundsSeconds,
    `select extract(epoch from outbox.sent_at - commands.created_at) as seconds
     from commands
     join messages on messages.in_reply_to_message = commands.message_id
     join outbox on outbox.message_id = messages.id and outbox.created_at = commands.ended_at
     where commands.control is null`,
  );
  return {
    messages,
    refusals,
    commands,
    sessions,
    sessionsOpened: sessions.reduce((sum, { count }) => sum + count, 0),
    savedStates,
    outputBytes: output[0]?.bytes ?? 0,
    run,
    wait,
    answer,
  };
}

/** Half of what is counted in: a value that equals a bound lies at or below it. */
const SLACK_SECONDS = 0.0005;

/** @param values a query whose rows have `seconds`, or null */
async function histogram(db: Db, boundsSeconds: readonly number[], values: string): Promise<Histogram> {
  const above = boundsSeconds.map((bound) => bound + SLACK_SECONDS).join(', ');
  const rows = await rowsOf<{ bucket: number; count: number; sum: number }>(
    db,
    `select width_bucket(seconds::float8, array[${above}]::float8[]) as bucket, count(*) as count,
       sum(seconds)::float8 as sum
     from (${values}) each where seconds is not null group by 1`,
  );
  return histogramOf(rows, boundsSeconds.length);
}

/** @param buckets how many lie between a bound and the next, 0 for those below the first */
export function histogramOf(
  buckets: readonly { bucket: number; count: number; sum: number }[],
  boundCount: number,
): Histogram {
  const upTo = (bound: number): number =>
    buckets.reduce((total, { bucket, count }) => (bucket <= bound ? total + count : total), 0);
  return {
    counts: Array.from({ length: boundCount }, (_, bound) => upTo(bound)),
    total: upTo(boundCount),
    sumSeconds: buckets.reduce((total, { sum }) => total + sum, 0),
  };
}
