import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** What a repository's commands may use, where that is not as the server is set; and the time a mail has asked for. */
export const limits: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table repositories
      add column command_timeout_ms bigint check (command_timeout_ms > 0),
      add column memory_bytes bigint check (memory_bytes > 0),
      add column cpus double precision check (cpus > 0),
      add column background_processes text check (background_processes in ('keep', 'end'));
    alter table commands add column timeout_ms bigint check (timeout_ms > 0);
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table commands drop column timeout_ms;
    alter table repositories
      drop column command_timeout_ms, drop column memory_bytes, drop column cpus, drop column background_processes;
  `);
}
