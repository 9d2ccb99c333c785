import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** Files that come with a mail, and who else gets its answer. */
export const attachments: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table commands
      -- The message's files are put into the container before the command runs. They are in its raw bytes.
      add column has_files boolean not null default false,
      -- Run instead of the script, which is then only what is shown of it.
      add column builtin text check (builtin in ('apply'));
    -- Those on Cc who get the answer too.
    alter table messages add column copy_to text[] not null default '{}';
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table commands drop column has_files, drop column builtin;
    alter table messages drop column copy_to;
  `);
}
