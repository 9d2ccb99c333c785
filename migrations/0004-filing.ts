import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** Where handled mail goes. Words as in docs/mail.md. */
export const filing: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Moved away from the mailbox that is listened to, or found gone from there.
    alter table messages add column filed_at timestamptz;
    create index messages_to_file on messages (mailbox, id)
      where direction = 'in' and state = 'handled' and filed_at is null;
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop index messages_to_file;
    alter table messages drop column filed_at;
  `);
}
