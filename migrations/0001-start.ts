import type { Knex } from 'knex';
import type { Migration } from './migration.ts';

/** The tables of the main job. Words as in docs/architecture.md. */
export const start: Migration = { up, down };

async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table installation (
      only_one boolean primary key default true check (only_one),
      id text not null,
      created_at timestamptz not null default now()
    );
    insert into installation (id) values (substr(md5(gen_random_uuid()::text), 1, 10));

    create table users (
      id bigint generated always as identity primary key,
      address text not null unique check (address = lower(address)),
      name text not null default '',
      -- Added by the operator. Senders that only ALLOWED_SENDERS lets in have a row too, which lets nobody in.
      is_registered boolean not null default false,
      created_at timestamptz not null default now()
    );

    create table repositories (
      id bigint generated always as identity primary key,
      name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]*$'),
      url text not null,
      branch text,
      thread_by text check (thread_by in ('repository', 'subject')),
      created_at timestamptz not null default now(),
      -- Removed from use; its threads and their history stay.
      removed_at timestamptz
    );
    create unique index repositories_name on repositories (lower(name));

    -- The id is the identity the guide shows: john@example.com-my-react-app
    create table threads (
      id text primary key,
      user_id bigint not null references users (id),
      repository_id bigint not null references repositories (id),
      label text not null default '',
      created_at timestamptz not null default now(),
      unique (user_id, repository_id, label)
    );

    -- How far each mailbox has been read (RFC 3501, 2.3.1.1: a UID means something only with its UIDVALIDITY).
    create table mailboxes (
      mailbox text primary key,
      uid_validity bigint not null,
      last_uid bigint not null,
      updated_at timestamptz not null default now()
    );

    create table messages (
      id bigint generated always as identity primary key,
      direction text not null check (direction in ('in', 'out')),
      mailbox text,
      uid_validity bigint,
      uid bigint,
      -- The other side: who sent it (in) or gets it (out).
      address text,
      sender_name text,
      message_id text,
      -- The References an answer continues, the oldest first (RFC 5322, 3.6.4).
      reference_ids text[],
      subject text,
      subject_key text,
      body_hash text,
      thread_id text references threads (id),
      in_reply_to_message bigint references messages (id),
      raw bytea not null,
      size_bytes bigint not null,
      -- Too large to be taken whole: raw holds the header only.
      is_truncated boolean not null default false,
      state text not null check (state in ('received', 'handled')),
      outcome text check (outcome in ('command', 'answered', 'dropped', 'failed', 'answer')),
      reason text,
      attempts integer not null default 0,
      received_at timestamptz not null default now(),
      handled_at timestamptz,
      -- With the time of its arrival: a mailbox restored from a backup gives the same UID to another mail.
      unique (mailbox, uid_validity, uid, received_at)
    );
    create index messages_to_handle on messages (id) where state = 'received';
    create index messages_body on messages (address, body_hash) where direction = 'in';
    create index messages_message_id on messages (message_id);
    create index messages_subject on messages (address, subject_key, id) where thread_id is not null;
    -- The same mail delivered twice starts one command. Only a verified sender's mail gets this far, so nobody
    -- can claim somebody else's Message-ID beforehand.
    create unique index messages_same_mail on messages (address, message_id, body_hash)
      where direction = 'in' and outcome = 'command' and message_id is not null;

    create table container_sessions (
      id bigint generated always as identity primary key,
      container_id text,
      container_name text not null,
      volume_name text not null,
      image text not null,
      thread_id text not null references threads (id),
      user_id bigint not null references users (id),
      repository_id bigint not null references repositories (id),
      is_active boolean not null default true,
      last_activity_at timestamptz not null default now(),
      created_at timestamptz not null default now(),
      ended_at timestamptz,
      end_reason text
    );
    create unique index container_sessions_active on container_sessions (thread_id) where is_active;
    create index container_sessions_idle on container_sessions (last_activity_at) where is_active;
    create index container_sessions_user on container_sessions (user_id, created_at desc);

    create table commands (
      id bigint generated always as identity primary key,
      thread_id text not null references threads (id),
      message_id bigint not null unique references messages (id),
      container_session_id bigint references container_sessions (id),
      script text not null,
      state text not null check (state in ('queued', 'running', 'finished', 'timed_out', 'interrupted', 'failed')),
      -- Counts the tries to start it; each has its own claim in the container, so at most one of them runs.
      attempt integer not null default 0,
      exit_code integer,
      error text,
      branch text,
      output_bytes bigint,
      duration_ms bigint,
      created_at timestamptz not null default now(),
      started_at timestamptz,
      ended_at timestamptz
    );
    create index commands_open on commands (id) where state in ('queued', 'running');
    create index commands_thread on commands (thread_id, id);

    create table outbox (
      id bigint generated always as identity primary key,
      message_id bigint not null unique references messages (id),
      envelope_from text not null,
      envelope_to text[] not null,
      state text not null default 'waiting' check (state in ('waiting', 'sent', 'failed')),
      attempts integer not null default 0,
      next_attempt_at timestamptz not null default now(),
      last_error text,
      created_at timestamptz not null default now(),
      sent_at timestamptz
    );
    create index outbox_due on outbox (next_attempt_at, id) where state = 'waiting';
  `);
}

async function down(knex: Knex): Promise<void> {
  await knex.raw(
    'drop table outbox, commands, container_sessions, messages, mailboxes, threads, repositories, users, installation',
  );
}
