import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/**
 * Mail whose signatures nobody has looked at has an empty list of them, and all those stood in the index under one key. That
 * was half of what it takes to store what became of such a mail.
 */
export const signedOnly: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    drop index messages_signatures;
    create index messages_signatures on messages using gin (signature_ids) with (fastupdate = off)
      where signature_ids <> '{}';
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop index messages_signatures;
    create index messages_signatures on messages using gin (signature_ids) with (fastupdate = off)
      where signature_ids is not null;
  `);
}
