import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** What the workspaces of a repository may hold, where that is not as the server is set. */
export const workspaces: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw('alter table repositories add column workspace_bytes bigint check (workspace_bytes > 0)');
}

async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table repositories drop column workspace_bytes');
}
