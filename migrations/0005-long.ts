import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** Commands that are ended on request or run for long, and what becomes of a mail after it was sent. */
export const long: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    alter table commands
      drop constraint commands_state_check,
      add constraint commands_state_check check
        (state in ('queued', 'running', 'finished', 'timed_out', 'interrupted', 'failed', 'cancelled')),
      -- While it runs: it is to be ended, whatever happens to the bot in between.
      add column cancel_requested_at timestamptz,
      -- Its sender was told that it still runs, last when it had run for so long.
      add column told_running_ms bigint not null default 0;

    alter table outbox
      drop constraint outbox_state_check,
      -- bounced: taken by our server, and sent back by another one
      add constraint outbox_state_check check (state in ('waiting', 'sent', 'failed', 'bounced')),
      -- Of a refusal or a bounce (RFC 3463): 5.3.4
      add column status_code text,
      add column failed_at timestamptz,
      -- The same answer without its attachment.
      add column replaced_by bigint references outbox (id),
      -- What becomes of the copy in the Sent mailbox; null where none is made.
      add column sent_copy text check (sent_copy in ('due', 'filed', 'left')),
      add column copy_attempts integer not null default 0;
    update outbox set failed_at = created_at where state = 'failed';
    create index outbox_failed on outbox (id) where state in ('failed', 'bounced');
    create index outbox_copies on outbox (id) where sent_copy = 'due';
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(`
    drop index outbox_failed, outbox_copies;
    update outbox set state = 'failed' where state = 'bounced';
    alter table outbox
      drop constraint outbox_state_check,
      add constraint outbox_state_check check (state in ('waiting', 'sent', 'failed')),
      drop column status_code, drop column failed_at, drop column replaced_by, drop column sent_copy,
      drop column copy_attempts;
    update commands set state = 'interrupted' where state = 'cancelled';
    alter table commands
      drop constraint commands_state_check,
      add constraint commands_state_check check
        (state in ('queued', 'running', 'finished', 'timed_out', 'interrupted', 'failed')),
      drop column cancel_requested_at, drop column told_running_ms;
  `);
}
