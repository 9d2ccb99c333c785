import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** Who sent a mail, and what they may use. Words as in docs/sender-verification.md. */
export const sender: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Of the signatures of a verified mail: whatever is changed about a copy of it, one of them stays.
    alter table messages add column signature_ids text[];
    create index messages_signatures on messages using gin (signature_ids) where signature_ids is not null;

    alter table users
      add column role text not null default 'user' check (role in ('user', 'admin')),
      -- False: may use every repository, also those to come. True: those of user_repositories alone.
      add column is_restricted boolean not null default false;
    create table user_repositories (
      user_id bigint not null references users (id),
      repository_id bigint not null references repositories (id),
      created_at timestamptz not null default now(),
      primary key (user_id, repository_id)
    );

    -- What the tokens of Reply-To are signed with.
    alter table installation add column token_key bytea;
    update installation
      set token_key = decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
    alter table installation alter column token_key set not null;
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table installation drop column token_key;
    drop table user_repositories;
    alter table users drop column role, drop column is_restricted;
    drop index messages_signatures;
    alter table messages drop column signature_ids;
  `);
}
