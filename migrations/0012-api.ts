import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** What the API needs: tokens, the output of commands, and what an operator has asked for. */
export const api: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table api_tokens (
      id bigint generated always as identity primary key,
      name text not null,
      role text not null check (role in ('admin', 'read')),
      -- SHA-256 of the secret, which nobody has stored.
      hash bytea not null,
      created_at timestamptz not null default now(),
      last_used_at timestamptz,
      revoked_at timestamptz
    );
    -- A name is free again when its token is revoked.
    create unique index api_tokens_name on api_tokens (lower(name)) where revoked_at is null;

    create table command_outputs (
      command_id bigint primary key references commands (id) on delete cascade,
      -- The beginning and the end; all of it when nothing is omitted.
      head bytea not null,
      tail bytea not null,
      omitted_bytes bigint not null,
      -- All of it, compressed, as far as that was kept.
      log bytea,
      is_log_complete boolean not null default true
    );

    -- By whom, when not by its sender.
    alter table commands add column cancelled_by text;
    create index commands_created on commands (created_at);
    create index messages_refused on messages (id) where outcome in ('dropped', 'failed');
    create index messages_answers on messages (in_reply_to_message, id) where in_reply_to_message is not null;

    -- Since when its container is to be saved and removed, whatever its idle time.
    alter table container_sessions add column removal_asked_at timestamptz;
    create index container_sessions_container on container_sessions (container_id, id);
    create index container_sessions_ended on container_sessions (ended_at);
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop index container_sessions_ended, container_sessions_container, messages_answers, messages_refused, commands_created;
    alter table container_sessions drop column removal_asked_at;
    alter table commands drop column cancelled_by;
    drop table command_outputs, api_tokens;
  `);
}
