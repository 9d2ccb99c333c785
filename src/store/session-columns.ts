/** A session as it is read. */
export const columns = {
  id: 'id',
  containerId: 'container_id',
  containerName: 'container_name',
  volumeName: 'volume_name',
  state: 'state',
  isSaved: 'is_saved',
  dropsVolume: 'drops_volume',
  notes: 'notes',
  network: 'network',
};

const ownColumns = Object.entries(columns).map(([name, column]) => [name, `container_sessions.${column}`]);

/** The same with all that its end depends on. */
export const dueColumns = {
  ...Object.fromEntries(ownColumns),
  threadId: 'container_sessions.thread_id',
  userId: 'container_sessions.user_id',
  userAddress: 'users.address',
  repositoryId: 'container_sessions.repository_id',
  repositoryName: 'repositories.name',
  lastActivityAt: 'container_sessions.last_activity_at',
  lastCommandAt: 'container_sessions.last_command_at',
  keepUntil: 'container_sessions.keep_until',
  warnedAt: 'container_sessions.warned_at',
  checkAt: 'container_sessions.check_at',
  saveFailures: 'container_sessions.save_failures',
  userTimeoutMs: 'users.idle_timeout_ms',
  repositoryTimeoutMs: 'repositories.idle_timeout_ms',
};
