import type { Db } from './database.ts';

/** What PostgreSQL knows of a thread's container, and of what is kept of its work. All null: neither is there. */
export type KnownState = {
  threadId: string;
  containerId: string | null;
  containerName: string | null;
  lastActivityAt: Date | null;
  commit: string | null;
  branch: string | null;
  savedAt: Date | null;
  filesModified: number | null;
  expiresAt: Date | null;
};

/** The same for each of these threads, as they are at one moment. */
export async function containerStates(db: Db, threadIds: readonly string[]): Promise<KnownState[]> {
  const { rows } = await db.raw<{ rows: KnownState[] }>(
    `select t.id as "threadId", s.container_id as "containerId", s.container_name as "containerName",
       s.last_activity_at as "lastActivityAt", v.commit_hash as "commit", v.branch, v.saved_at as "savedAt",
       v.files_modified as "filesModified", v.expires_at as "expiresAt"
     from unnest(?::text[]) t (id)
     left join container_sessions s on s.thread_id = t.id and s.is_active
     left join saved_states v on v.thread_id = t.id and v.state = 'current'`,
    [[...threadIds]],
  );
  return rows;
}

/** The threads of which there is a container, or work that is kept. */
export async function threadsWithState(db: Db): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { id: string }[] }>(
    `select thread_id as id from container_sessions where is_active
     union select thread_id from saved_states where state = 'current' and expires_at is not null`,
  );
  return rows.map(({ id }) => id);
}
