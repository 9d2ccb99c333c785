import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** Links that let admins in on the page, and how much of the disk a workspace takes. */
export const monitor: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table login_links (
      id bigint generated always as identity primary key,
      -- Of the admin who has asked for it, and whom alone it was mailed to.
      address text not null,
      -- SHA-256 of what is in the link.
      hash bytea not null unique,
      message_id bigint not null references messages,
      created_at timestamptz not null,
      expires_at timestamptz not null,
      used_at timestamptz,
      used_from text
    );
    create index on login_links (address, created_at);

    -- As it was last measured.
    alter table container_sessions add column workspace_used_bytes bigint;
    -- Of a thread all its mails are shown, ours as well.
    drop index messages_thread;
    create index messages_thread on messages (thread_id, id) where thread_id is not null;
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop index messages_thread;
    create index messages_thread on messages (thread_id, id) where direction = 'in' and thread_id is not null;
    alter table container_sessions drop column workspace_used_bytes;
    drop table login_links;
  `);
}
