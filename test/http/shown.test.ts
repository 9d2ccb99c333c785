import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { shownSession } from '../../src/http/shown.ts';
import type { ListedSession } from '../../src/store/session-lists.ts';

const NOON = new Date('2026-11-23T12:00:00Z');
const session: ListedSession = {
  id: 1,
  containerId: 'c'.repeat(64),
  containerName: 'threadbox-1',
  threadId: 'alice@example.com-web',
  userAddress: 'alice@example.com',
  userName: '',
  repositoryName: 'web',
  state: 'active',
  isActive: true,
  isBusy: false,
  isSaved: true,
  image: 'node:24-bookworm',
  createdAt: NOON,
  lastActivityAt: NOON,
  lastCommandAt: NOON,
  keepUntil: null,
  warnedAt: null,
  userTimeoutMs: null,
  repositoryTimeoutMs: null,
  endedAt: null,
  endReason: null,
  saveError: null,
  removalAskedAt: null,
  workspaceUsedBytes: 5_000,
  repositoryWorkspaceBytes: null,
  runningId: null,
  runningScript: null,
  runningSince: null,
  waitingCount: 0,
};

test("a workspace is shown beside its limit: the repository's own before the server's, none where there is none", () => {
  const cases = [
    ['measured', null, 1_000_000_000],
    ['image', 64_000_000, 64_000_000],
    ['quota', 20_000_000_000, 20_000_000_000],
    ['auto', 64_000_000, 64_000_000],
    ['off', null, null],
    ['off', 64_000_000, null],
  ] as const;
  for (const [limit, repositoryWorkspaceBytes, expected] of cases) {
    const { config } = loadConfig({ WORKSPACE_LIMIT: limit, WORKSPACE_SIZE_BYTES: '1000000000' });
    const shown = shownSession({ ...session, repositoryWorkspaceBytes }, config, NOON);
    const { workspaceUsedBytes, workspaceLimitBytes } = shown;
    assert.deepEqual([workspaceUsedBytes, workspaceLimitBytes], [5_000, expected], `${limit} ${expected}`);
  }
});
