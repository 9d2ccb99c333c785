import type { Db } from './database.ts';

/** How much there is now. */
export type Figures = {
  containers: { active: number; busy: number; warned: number; saveFailed: number; users: number };
  commands: { queued: number; running: number };
  threads: number;
  saves: { kept: number; soonestExpiry: Date | null };
  outbox: { waiting: number; failed: number };
};

export async function figuresNow(db: Db): Promise<Figures> {
  const [row] = await rowsOf<{
    active: number;
    busy: number;
    warned: number;
    failed: number;
    users: number;
    queued: number;
    running: number;
    threads: number;
    kept: number;
    soonest: Date | null;
    waiting: number;
    undelivered: number;
  }>(
    db,
    `select sessions.*, open.*, kept.*, mails.*, (select count(*) from threads) as threads
     from
       (select count(*) as active,
          count(*) filter (where exists (select from commands
            where commands.thread_id = container_sessions.thread_id and state in ('queued', 'running'))) as busy,
          count(*) filter (where warned_at is not null and state = 'active') as warned,
          count(*) filter (where state = 'save_failed') as failed,
          count(distinct user_id) as users
        from container_sessions where is_active) sessions,
       (select count(*) filter (where state = 'queued') as queued, count(*) filter (where state = 'running') as running
        from commands where state in ('queued', 'running')) open,
       (select count(*) as kept, min(expires_at) as soonest
        from saved_states where state in ('current', 'aside') and snapshot is not null) kept,
       -- Each has an index of its own; most mails are sent, and stay for ever.
       (select (select count(*) from outbox where state = 'waiting') as waiting,
          (select count(*) from outbox where state in ('failed', 'bounced')) as undelivered) mails`,
  );
  if (!row) throw new Error('A query without a condition has no row');
  return {
    containers: {
      active: row.active,
      busy: row.busy,
      warned: row.warned,
      saveFailed: row.failed,
      users: row.users,
    },
    commands: { queued: row.queued, running: row.running },
    threads: row.threads,
    saves: { kept: row.kept, soonestExpiry: row.soonest },
    outbox: { waiting: row.waiting, failed: row.undelivered },
  };
}

/** What happened in one hour. */
export type HourFigures = {
  hour: Date;
  commands: number;
  /** Of those, the ones that did not end with exit code 0. */
  failed: number;
  medianMs: number | null;
  p95Ms: number | null;
  /** Containers that were there for some of that hour. */
  containers: number;
};

/** The last hours, the oldest first; the last one is the one that goes on. */
export async function figuresByHour(db: Db, now: Date, hours: number): Promise<HourFigures[]> {
  return rowsOf<HourFigures>(
    db,
    `with hours as (
       select generate_series(date_trunc('hour', :now::timestamptz) - make_interval(hours => :before),
         date_trunc('hour', :now::timestamptz), interval '1 hour') as hour)
     select hour,
       ran.commands, ran.failed, round(ran.median) as "medianMs", round(ran.p95) as "p95Ms", there.containers
     from hours
     left join lateral (
       select count(*) as commands,
         count(*) filter (where ended_at is not null and (state <> 'finished' or exit_code <> 0)) as failed,
         percentile_disc(0.5) within group (order by duration_ms) as median,
         percentile_disc(0.95) within group (order by duration_ms) as p95
       from commands
       where created_at >= hour and created_at < hour + interval '1 hour' and control is null) ran on true
     left join lateral (
       select count(*) as containers from container_sessions
       where created_at < hour + interval '1 hour' and (is_active or ended_at >= hour)) there on true
     order by hour`,
    { now, before: hours - 1 },
  );
}

export async function rowsOf<Row>(
  db: Db,
  query: string,
  values: Record<string, unknown> = {},
): Promise<Row[]> {
  return (await db.raw<{ rows: Row[] }>(query, values as never)).rows;
}
