import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** A repository's containers may reach some hosts by name; and of each container it is known which network it is on. */
export const allowLists: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table repositories drop constraint repositories_network_check;
    alter table repositories add constraint repositories_network_check
      check (network in ('internet', 'none') or network ~ '^allow:[a-z0-9.*,-]+$');
    alter table container_sessions add column network text check (network in ('internet', 'none', 'allow'));
  `);
}

async function down(knex: Knex): Promise<void> {
  // What knows no lists must not open what they had closed.
  await knex.raw(`
    alter table container_sessions drop column network;
    alter table repositories drop constraint repositories_network_check;
    update repositories set network = 'none' where network like 'allow:%';
    alter table repositories add constraint repositories_network_check check (network in ('internet', 'none'));
  `);
}
