/** Queries that come with Threadbox, by the name they are asked for. Question marks stand for values. */
export type NamedQuery = { name: string; about: string; query: string };

export const SHIPPED_QUERIES: readonly NamedQuery[] = [
  {
    name: 'active',
    about: 'containers that are there now, and what runs in them',
    query: `SELECT s.thread_id AS thread, date_trunc('second', now() - s.last_activity_at) AS idle,
  (SELECT left(c.script, 60) FROM commands c WHERE c.thread_id = s.thread_id AND c.state = 'running' LIMIT 1) AS runs,
  s.state, s.is_saved AS saved, s.container_name AS container
FROM container_sessions s WHERE s.is_active ORDER BY s.last_activity_at DESC`,
  },
  {
    name: 'idle',
    about: 'containers that nobody has used for 30 minutes',
    query: `SELECT thread_id AS thread, date_trunc('second', now() - last_activity_at) AS idle, warned_at, keep_until
FROM container_sessions WHERE is_active AND last_activity_at < now() - INTERVAL '30 minutes'
ORDER BY last_activity_at`,
  },
  {
    name: 'history',
    about: 'the containers of one user: history ADDRESS',
    query: `SELECT s.id, s.thread_id AS thread, s.created_at AS made, s.ended_at AS ended, s.end_reason AS why
FROM container_sessions s JOIN users u ON u.id = s.user_id
WHERE lower(?) IN (u.address, u.id::text) ORDER BY s.created_at DESC`,
  },
  {
    name: 'slowest',
    about: 'the commands of the last 7 days that took longest',
    query: `SELECT id, round(duration_ms / 1000.0, 1) AS seconds, state, thread_id AS thread, left(script, 80) AS script
FROM commands WHERE duration_ms IS NOT NULL AND ended_at > now() - INTERVAL '7 days'
ORDER BY duration_ms DESC LIMIT 20`,
  },
  {
    name: 'failures',
    about: 'the commands of today (UTC) that did not end well',
    query: `SELECT id, ended_at AS ended, state, exit_code AS exit, thread_id AS thread, left(script, 80) AS script, error
FROM commands WHERE ended_at >= date_trunc('day', now()) AND (state <> 'finished' OR exit_code <> 0)
ORDER BY ended_at DESC`,
  },
  {
    name: 'disk',
    about: 'what each thread keeps, as far as the database knows: mails, output, saved states',
    query: `SELECT t.id AS thread,
  pg_size_pretty((SELECT coalesce(sum(m.size_bytes), 0) FROM messages m WHERE m.thread_id = t.id)) AS mails,
  pg_size_pretty((SELECT coalesce(sum(c.output_bytes), 0) FROM commands c WHERE c.thread_id = t.id)) AS output,
  (SELECT count(*) FROM saved_states v WHERE v.thread_id = t.id AND v.state IN ('current', 'aside')) AS saves,
  (SELECT count(*) FROM saved_states v WHERE v.thread_id = t.id AND v.volume_name IS NOT NULL AND v.cleaned_at IS NULL)
    + (SELECT count(*) FROM container_sessions s WHERE s.thread_id = t.id AND s.is_active) AS volumes
FROM threads t ORDER BY (SELECT coalesce(sum(m.size_bytes), 0) FROM messages m WHERE m.thread_id = t.id) DESC`,
  },
  {
    name: 'refused',
    about: 'mails of the last 7 days of which nothing was run, by reason',
    query: `SELECT count(*) AS mails, outcome, reason, count(DISTINCT address) AS senders, max(received_at) AS latest
FROM messages WHERE direction = 'in' AND outcome <> 'command' AND received_at > now() - INTERVAL '7 days'
GROUP BY outcome, reason ORDER BY mails DESC`,
  },
];
