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

export async function metricFigures(db: Db, boundsSeconds: readonly number[]): Promise<MetricFigures> {
  const [messages, refusals, commands, sessions, savedStates, times, answers] = await Promise.all([
    rowsOf<MetricFigures['messages'][number]>(
      db,
      `select direction, coalesce(outcome, 'received') as outcome, count(*) as count,
         sum(size_bytes)::bigint as bytes from messages group by 1, 2`,
    ),
    rowsOf<MetricFigures['refusals'][number]>(
      db,
      `select coalesce(reason, '') as reason, count(*) as count from messages
       where direction = 'in' and outcome in ('dropped', 'failed') group by 1 order by 2 desc limit 1000`,
    ),
    rowsOf<MetricFigures['commands'][number]>(db, 'select state, count(*) as count from commands group by 1'),
    rowsOf<MetricFigures['sessions'][number]>(
      db,
      `select coalesce(end_reason, '') as reason, count(*) as count from container_sessions group by 1`,
    ),
    rowsOf<MetricFigures['savedStates'][number]>(
      db,
      'select state, count(*) as count from saved_states where snapshot is not null group by 1',
    ),
    rowsOf<{ run: number[]; wait: number[]; bytes: number }>(
      db,
      `select ${histogramOf('duration_ms / 1000.0', boundsSeconds)} as run,
         ${histogramOf('extract(epoch from started_at - created_at)', boundsSeconds)} as wait,
         coalesce(sum(output_bytes), 0)::bigint as bytes
       from commands where control is null`,
    ),
    rowsOf<{ answer: number[] }>(
      db,
      `select ${histogramOf('extract(epoch from outbox.sent_at - commands.created_at)', boundsSeconds)} as answer
       from commands
       join lateral (select id from messages where in_reply_to_message = commands.message_id
         order by id desc limit 1) answers on true
       join outbox on outbox.message_id = answers.id and outbox.sent_at is not null`,
    ),
  ]);
  return {
    messages,
    refusals,
    commands,
    sessions,
    sessionsOpened: sessions.reduce((sum, { count }) => sum + count, 0),
    savedStates,
    outputBytes: times[0]?.bytes ?? 0,
    run: asHistogram(times[0]?.run),
    wait: asHistogram(times[0]?.wait),
    answer: asHistogram(answers[0]?.answer),
  };
}

/** One array: a count for each bound, then of all, then the sum. */
function histogramOf(seconds: string, boundsSeconds: readonly number[]): string {
  const counts = boundsSeconds.map((bound) => `count(*) filter (where ${seconds} <= ${bound})`);
  return `array[${counts.join(', ')}, count(${seconds}), coalesce(sum(${seconds}), 0)]::float8[]`;
}

function asHistogram(values: readonly number[] = []): Histogram {
  return { counts: values.slice(0, -2), total: values.at(-2) ?? 0, sumSeconds: values.at(-1) ?? 0 };
}
