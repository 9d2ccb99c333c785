import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** What the containers of a repository reach. */
export const network: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table repositories add column network text not null default 'internet'
      check (network in ('internet', 'none'));
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table repositories drop column network');
}
