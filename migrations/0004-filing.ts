import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** Where handled mail goes, what its senders are told besides, and what holds the bot back. Words as in docs/mailbox.md. */
export const filing: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Moved away from the mailbox that is listened to, or found gone from there.
    alter table messages add column filed_at timestamptz;
    create index messages_to_file on messages (mailbox, id)
      where direction = 'in' and state = 'handled' and filed_at is null;

    -- What its sender is still to be told of it, once for all mails of one sender.
    alter table messages add column owed_notice text check (owed_notice in ('too-old'));
    create index messages_owed on messages (id) where owed_notice is not null;

    -- What is counted by the hour.
    create index messages_counted_sender on messages (address, handled_at)
      where direction = 'in' and outcome in ('command', 'answered');
    create index messages_counted_thread on messages (thread_id, handled_at)
      where direction = 'in' and outcome in ('command', 'answered');
    create index messages_counted on messages (handled_at)
      where direction = 'in' and outcome in ('command', 'answered');
    create index messages_written on messages (address, received_at) where direction = 'out';

    -- What is told to one address once for a time, and when it was told last.
    create table told_notices (
      address text not null,
      kind text not null,
      told_at timestamptz not null,
      primary key (address, kind)
    );

    -- While it is set, no command is started.
    alter table installation add column paused_at timestamptz, add column pause_reason text;
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table installation drop column paused_at, drop column pause_reason;
    drop table told_notices;
    drop index messages_to_file, messages_owed, messages_counted_sender, messages_counted_thread, messages_counted,
      messages_written;
    alter table messages drop column filed_at, drop column owed_notice;
  `);
}
