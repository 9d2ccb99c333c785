import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/**
 * What is added to a GIN index waits in a list for the next vacuum, and each look-up reads through that list: in a backlog
 * it grew with each mail. Now the index is kept up at once.
 */
export const signatures: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter index messages_signatures set (fastupdate = off);
    select gin_clean_pending_list('messages_signatures');
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw('alter index messages_signatures reset (fastupdate)');
}
