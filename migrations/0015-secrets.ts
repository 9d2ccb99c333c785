import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/**
 * What the commands of a repository get in their environment, sealed: see src/secrets/sealing.ts. One that was replaced
 * or removed stays for a while, so that it is masked where an old command still prints it.
 */
export const secrets: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table secrets (
      id bigint generated always as identity primary key,
      repository_id bigint not null references repositories,
      name text not null check (name ~ '^[A-Z][A-Z0-9_]{0,63}$'),
      key_id text not null,
      sealed bytea not null,
      set_by text not null,
      set_at timestamptz not null default now(),
      retired_at timestamptz
    );
    create unique index on secrets (repository_id, name) where retired_at is null;
    create index on secrets (repository_id);
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw('drop table secrets');
}
