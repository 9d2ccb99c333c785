import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** A mail to several people is sent to each of them on its own: a server may take it for one and refuse it for another. */
export const recipients: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table outbox drop constraint outbox_message_id_key;
    insert into outbox (message_id, envelope_from, envelope_to, attempts, next_attempt_at, last_error, created_at)
      select message_id, envelope_from, array[recipient], attempts, next_attempt_at, last_error, created_at
      from outbox, unnest(envelope_to[2:]) with ordinality as other (recipient, place)
      where state = 'waiting' order by id, place;
    update outbox set envelope_to = envelope_to[1:1] where state = 'waiting';
    -- What was sent before may still have several in its one row.
    create unique index outbox_recipient on outbox (message_id, envelope_to);
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop index outbox_recipient;
    update outbox set replaced_by = null;
    update outbox set envelope_to = (select array_agg(recipient order by one.id)
      from outbox one, unnest(one.envelope_to) recipient where one.message_id = outbox.message_id);
    delete from outbox using outbox first where first.message_id = outbox.message_id and first.id < outbox.id;
    alter table outbox add constraint outbox_message_id_key unique (message_id);
  `);
}
