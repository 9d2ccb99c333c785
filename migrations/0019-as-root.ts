import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** Whether the commands of a repository are root in their containers. */
export const asRoot: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table repositories add column as_root boolean not null default false');
}

async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table repositories drop column as_root');
}
