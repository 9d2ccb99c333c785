import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** The life of a container: idle, warned, saved, removed, restored. Words as in docs/lifecycle.md. */
export const lifecycle: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Before the server's own: a repository's goes before its user's. null: as the server is set.
    alter table users add column idle_timeout_ms bigint check (idle_timeout_ms > 0);
    alter table repositories
      add column idle_timeout_ms bigint check (idle_timeout_ms > 0),
      add column restore text not null default 'commit' check (restore in ('commit', 'uncommitted'));

    alter table container_sessions
      add column state text not null default 'active' check (state in ('active', 'removing', 'save_failed', 'ended')),
      add column last_command_at timestamptz not null default now(),
      add column keep_until timestamptz,
      add column warned_at timestamptz,
      -- When the sweep looks at it again, at the latest: never after something is due.
      add column check_at timestamptz not null default now(),
      -- False from the end of a command that changed something until that is saved.
      add column is_saved boolean not null default true,
      -- Its removal takes the volume, too: what it holds was put aside.
      add column drops_volume boolean not null default false,
      add column save_failures integer not null default 0,
      add column save_error text,
      -- What the next answer has to say besides: restored from when, evicted, expired.
      add column notes text[] not null default '{}';
    update container_sessions set state = 'ended' where not is_active;
    alter table container_sessions add constraint ended_is_inactive check ((state = 'ended') = not is_active);
    create index container_sessions_check on container_sessions (check_at) where is_active;
    create index container_sessions_active_user on container_sessions (user_id) where is_active;

    -- A control word that needs the thread's container waits in its queue, like a script.
    alter table commands add column control jsonb;
    create index commands_open_thread on commands (thread_id) where state in ('queued', 'running');

    create index messages_thread on messages (thread_id, id) where direction = 'in' and thread_id is not null;

    create table saved_states (
      id bigint generated always as identity primary key,
      thread_id text not null references threads (id),
      user_id bigint not null references users (id),
      repository_id bigint not null references repositories (id),
      -- current: what the thread goes on with; aside: put away by fresh or restore
      state text not null default 'current' check (state in ('current', 'aside', 'expired', 'deleted')),
      -- The save commit in the thread's store; null before the first one is verified.
      snapshot text,
      commit_hash text,
      branch text,
      files_modified integer not null default 0,
      unpushed_commits integer not null default 0,
      left_out text[] not null default '{}',
      -- Kept as a second layer while disk allows.
      volume_name text,
      created_at timestamptz not null default now(),
      saved_at timestamptz,
      -- null while a container has the work.
      expires_at timestamptz,
      announced_at timestamptz,
      -- Why its container went.
      end_reason text,
      aside_at timestamptz,
      expired_told_at timestamptz,
      -- When what it kept was removed, after it had expired.
      cleaned_at timestamptz
    );
    create unique index saved_states_current on saved_states (thread_id) where state = 'current';
    create index saved_states_thread on saved_states (thread_id, id);
    create index saved_states_expiry on saved_states (expires_at) where state in ('current', 'aside');
    create index saved_states_to_clean on saved_states (id) where state in ('expired', 'deleted') and cleaned_at is null;
    create index saved_states_volume on saved_states (saved_at) where volume_name is not null;
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop table saved_states;
    drop index commands_open_thread, messages_thread;
    alter table commands drop column control;
    drop index container_sessions_check, container_sessions_active_user;
    alter table container_sessions
      drop column state, drop column last_command_at, drop column keep_until, drop column warned_at, drop column check_at,
      drop column is_saved, drop column drops_volume, drop column save_failures, drop column save_error, drop column notes;
    alter table repositories drop column idle_timeout_ms, drop column restore;
    alter table users drop column idle_timeout_ms;
  `);
}
