import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** A sender who was told that there is room again at a certain time is told anew after it. */
export const toldUntil: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- What was told held until then; null where nothing was promised.
    alter table told_notices add column holds_until timestamptz;
    -- Now told for each cap.
    delete from told_notices where kind = 'cap';
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    delete from told_notices where kind like 'cap:%';
    alter table told_notices drop column holds_until;
  `);
}
