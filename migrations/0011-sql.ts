import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** Queries of admins: who asked what, by which conversation, and what is saved under a name. See docs/sql.md. */
export const sql: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- The queries of one mail thread of an admin, once its sender has shown that they read their mail.
    create table sql_conversations (
      id bigint generated always as identity primary key,
      address text not null,
      created_at timestamptz not null,
      confirmed_at timestamptz,
      trusted_until timestamptz
    );
    create index sql_conversations_address on sql_conversations (address, id);

    -- Every query, also those that were refused: never changed after its end, never removed.
    create table sql_queries (
      id bigint generated always as identity primary key,
      via text not null check (via in ('mail', 'command-line')),
      -- An address, or the user of the machine.
      asked_by text not null,
      conversation_id bigint references sql_conversations (id),
      message_id bigint references messages (id),
      name text,
      query text not null,
      parameters text[] not null default '{}',
      -- waiting: for its sender to confirm that they asked
      state text not null check (state in ('waiting', 'queued', 'ended')),
      -- Counted before each: one that takes its connection, or the bot, down with it must come to an end.
      attempts integer not null default 0,
      outcome text check (outcome in ('rows', 'cut', 'error', 'timeout', 'refused')),
      error text,
      row_count bigint,
      duration_ms bigint,
      asked_at timestamptz not null,
      ended_at timestamptz,
      check ((state = 'ended') = (outcome is not null))
    );
    create index sql_queries_open on sql_queries (message_id, id) where state = 'queued';
    create index sql_queries_conversation on sql_queries (conversation_id, id);

    create table saved_queries (
      name text primary key check (name = lower(name)),
      query text not null,
      saved_by text not null,
      saved_at timestamptz not null
    );

    -- Of the role that reads for admins.
    alter table installation add column reader_password text;
    update installation set reader_password = replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
    alter table installation alter column reader_password set not null;
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop schema if exists threadbox_admin cascade;
    alter table installation drop column reader_password;
    drop table saved_queries, sql_queries, sql_conversations;
  `);
}
