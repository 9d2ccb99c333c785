/** What admins read with SQL: a schema of views, of which no other schema of ours needs to be seen. */
export const ADMIN_SCHEMA = 'threadbox_admin';

type View = { name: string; columns: string; from?: string };

/** Without the user name and password, and without what stands behind a question mark (which knex wants escaped). */
const PLAIN_URL = String.raw`regexp_replace(regexp_replace(url, '^([A-Za-z][A-Za-z0-9+.-]*://)[^/]*@', '\1'), '[\?#].*$', '') as url`;

/**
 * Each column by its name: one that is added to a table is not shown before somebody has decided so. None of them is a
 * key, a token, a password or the source of a mail.
 */
const VIEWS: readonly View[] = [
  {
    name: 'container_sessions',
    columns:
      'id, container_id, container_name, volume_name, image, thread_id, user_id, repository_id, is_active, state, ' +
      'last_activity_at, last_command_at, created_at, warned_at, keep_until, check_at, ended_at, end_reason, is_saved, ' +
      'save_failures, save_error, removal_asked_at, notes, workspace_used_bytes',
  },
  {
    name: 'users',
    columns: 'id, address, name, role, is_registered, is_restricted, idle_timeout_ms, created_at',
  },
  { name: 'user_repositories', columns: 'user_id, repository_id, created_at' },
  {
    name: 'repositories',
    columns:
      `id, name, ${PLAIN_URL}, branch, thread_by, idle_timeout_ms, restore, network, command_timeout_ms, ` +
      'memory_bytes, cpus, workspace_bytes, background_processes, as_root, created_at, removed_at',
  },
  { name: 'threads', columns: 'id, user_id, repository_id, label, created_at' },
  {
    name: 'commands',
    columns:
      'id, thread_id, message_id, container_session_id, script, control, state, attempt, exit_code, error, branch, ' +
      'output_bytes, duration_ms, has_files, builtin, timeout_ms, created_at, started_at, ended_at, ' +
      'cancel_requested_at, cancelled_by',
  },
  {
    name: 'messages',
    columns:
      'id, direction, mailbox, uid, address, sender_name, message_id, subject, thread_id, in_reply_to_message, ' +
      'size_bytes, is_truncated, state, outcome, reason, attempts, received_at, handled_at, filed_at, copy_to',
  },
  {
    name: 'outbox',
    columns:
      'id, message_id, envelope_from, envelope_to, state, attempts, next_attempt_at, last_error, status_code, ' +
      'created_at, sent_at, failed_at, replaced_by, sent_copy',
  },
  {
    name: 'saved_states',
    columns:
      'id, thread_id, user_id, repository_id, state, commit_hash, branch, files_modified, unpushed_commits, left_out, ' +
      'volume_name, created_at, saved_at, expires_at, announced_at, end_reason, aside_at, cleaned_at',
  },
  { name: 'mailboxes', columns: 'mailbox, uid_validity, last_uid, updated_at' },
  { name: 'told_notices', columns: 'address, kind, told_at, holds_until' },
  { name: 'installation', columns: 'id, created_at, paused_at, pause_reason' },
  {
    name: 'sql_queries',
    columns:
      'id, via, asked_by, conversation_id, message_id, name, query, parameters, state, attempts, outcome, error, ' +
      'row_count, duration_ms, asked_at, ended_at',
  },
  { name: 'api_tokens', columns: 'id, name, role, created_at, last_used_at, revoked_at' },
  { name: 'login_links', columns: 'id, address, message_id, created_at, expires_at, used_at, used_from' },
  { name: 'saved_queries', columns: 'name, query, saved_by, saved_at' },
];

/** Whole mails: only where SQL_MAIL_BODIES says so. */
export const BODIES_VIEW = 'message_sources';

/** Makes the schema anew. The views are no migration: what a later one changes, no view may hold fast. */
export const MAKE_VIEWS = [
  `drop schema if exists ${ADMIN_SCHEMA} cascade`,
  `create schema ${ADMIN_SCHEMA}`,
  ...VIEWS.map(
    ({ name, columns }) => `create view ${ADMIN_SCHEMA}.${name} as select ${columns} from ${name}`,
  ),
  `create view ${ADMIN_SCHEMA}.${BODIES_VIEW} as select id as message_id, raw as source from messages`,
].join(';\n');

/**
 * Functions of PostgreSQL that are not for reading: files, the network, settings, locks, sleep, large objects, other
 * sessions, what runs SQL that is given as text, and all that have effects. They have in common that PostgreSQL calls
 * them volatile, but for some whose names tell.
 */
const VOLATILE_BUT_HARMLESS = [
  'array_sample',
  'array_shuffle',
  'clock_timestamp',
  'gen_random_uuid',
  'pg_database_size',
  'pg_indexes_size',
  'pg_relation_size',
  'pg_table_size',
  'pg_total_relation_size',
  'random',
  'random_normal',
  'timeofday',
  'uuidv4',
  'uuidv7',
];

/** An expression over pg_proc as `p`. Handlers and triggers cannot be called, and PostgreSQL itself needs them. */
export const IS_FORBIDDEN_BUILTIN = `(
  p.pronamespace = 'pg_catalog'::regnamespace
  and p.prorettype not in (select oid from pg_type where typtype = 'p' and typname ~ '(trigger|handler|internal)$')
  and p.proname !~ '^(plpgsql_|RI_FKey)'
  and (p.provolatile = 'v' or p.proname ~ '^(pg_stat_|pg_ls_|pg_read_|lo_|pg_show_all_|pg_get_replication|pg_logical_)|_to_xml')
  and p.proname <> all (array[${VOLATILE_BUT_HARMLESS.map((name) => `'${name}'`).join(', ')}])
)`;
