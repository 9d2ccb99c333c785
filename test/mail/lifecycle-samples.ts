import type { LifecycleNotice } from '../../src/mail/lifecycle-notices.ts';

/** A time on the Monday that the samples play on. */
export const at = (time: string): Date => new Date(`2026-11-23T${time}Z`);
export const now = at('14:27:00');
const inAWeek = new Date('2026-11-30T14:27:00Z');
const repositoryName = 'my-react-app';
const threadId = 'john@example.com-my-react-app';

type Of<Kind extends LifecycleNotice['kind']> = Extract<LifecycleNotice, { kind: Kind }>;

/** One of each kind, as it mostly is. */
export const samples = {
  'idle-warning': {
    kind: 'idle-warning',
    leftOut: [],
    repositoryName,
    threadId,
    goesAt: at('14:32:00'),
    minutesRemaining: 5,
    filesModified: 3,
    unpushedCommits: 2,
    keptDays: 7,
    now,
  },
  expiring: {
    kind: 'expiring',
    repositoryName,
    isAside: false,
    savedAt: new Date('2026-11-17T14:32:00Z'),
    expiresAt: new Date('2026-11-24T14:32:00Z'),
    filesModified: 3,
    now,
  },
  'save-failed': {
    kind: 'save-failed',
    forWhom: 'owner',
    threadId,
    repositoryName,
    reason: 'git says: fatal: unable to write loose object file: No space left on device',
    retryAt: at('14:37:00'),
    now,
  },
  'repository-missing': {
    kind: 'repository-missing',
    repositoryName,
    threadId,
    warning: null,
    savedAt: at('14:20:00'),
    now,
  },
  'no-room': { kind: 'no-room', limit: 'user', maximum: 5 },
  extended: {
    kind: 'extended',
    until: at('16:27:00'),
    isCapped: false,
    capHours: 12,
    wasRestored: null,
    now,
  },
  saved: {
    kind: 'saved',
    savedAt: now,
    filesModified: 3,
    unpushedCommits: 2,
    commit: '1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d',
    leftOut: [],
    now,
  },
  stopped: {
    kind: 'stopped',
    savedAt: now,
    expiresAt: inAWeek,
    filesModified: 3,
    hasCommitted: true,
    commit: '1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d',
    leftOut: ['node_modules: 412 MB of files that git ignores'],
    now,
  },
  fresh: { kind: 'fresh', savedAt: now, now },
  lost: { kind: 'lost', repositoryName: 'my-react-app', savedAt: at('13:00'), now },
  'would-lose': { kind: 'would-lose', word: 'fresh', leftOut: ['dump.sql (700 MB)'] },
  'at-limit': { kind: 'at-limit', until: at('16:27'), capHours: 12, now },
  'not-done': { kind: 'not-done', word: 'fresh', reason: 'volume is in use', isUnderWay: false },
  restored: {
    kind: 'restored',
    isSwapped: true,
    savedAt: new Date('2026-11-22T09:05:00Z'),
    filesRestored: 12,
    now,
  },
  help: { kind: 'help', repositoryName, idleMinutes: 45 },
  keep: { kind: 'keep', expiresAt: inAWeek, now },
  later: { kind: 'later', word: 'stop', ahead: 1 },
  'nothing-there': { kind: 'nothing-there', word: 'stop', repositoryName },
  'not-understood': {
    kind: 'not-understood',
    fault: '"extend banana" names no length of time. Say it like this: extend 2h.',
  },
  'still-running': {
    kind: 'still-running',
    command: 'npm test -- --coverage\nnpm run report',
    ranMs: 301_200,
    lastLines:
      '\x1b[32m✓\x1b[0m adds a login form (12 ms)\n\x1b[32m✓\x1b[0m keeps the session (40 ms)\n\x1b[33m…\x1b[0m waits for the browser, https://example.com/run/17\n',
    endsAt: at('14:52:00'),
    timeAllowed: { timeoutMs: 1_800_000, mostMs: 14_400_000, keepsBackground: true },
    isLast: false,
    now,
  },
  cancelled: {
    kind: 'cancelled',
    running: 'npm test',
    isRepeated: false,
    dropped: ['npm run build', 'git status\ngit log -1'],
    waiting: [],
    controls: ['save'],
  },
  status: {
    kind: 'status',
    running: {
      command: 'npm test',
      since: at('14:23:55'),
      lastLines: '\x1b[32m✓\x1b[0m adds a login form (12 ms)\n\x1b[32m✓\x1b[0m keeps the session (40 ms)\n',
    },
    queued: ['npm run build', 'git status\ngit log -1'],
    container: 'running',
    goesAt: null,
    lastCommand: { command: 'npm ci', endedAt: at('14:20:00'), exitCode: 0, state: 'finished' },
    undelivered: [],
    saved: { savedAt: at('14:20:02'), filesModified: 3, expiresAt: null },
    now,
  },
  diff: {
    kind: 'diff',
    files: [
      { path: 'src/login-form.tsx', added: 84, removed: 0 },
      { path: 'src/app.tsx', added: 6, removed: 2 },
      { path: 'public/logo.png', added: null, removed: null },
      { path: 'src/session.ts', oldPath: 'src/auth/session-storage.ts', added: 1, removed: 1 },
    ],
    patch: Buffer.from('diff --git a/src/app.tsx b/src/app.tsx\n'),
    isCut: false,
  },
  log: {
    kind: 'log',
    commands: [
      {
        number: 14,
        command: 'npm run build',
        state: 'running',
        exitCode: null,
        startedAt: at('14:26:40'),
        durationMs: null,
      },
      {
        number: 13,
        command: 'npm test -- --watch=false --coverage --testPathPattern="src/(login|session)"',
        state: 'finished',
        exitCode: 1,
        startedAt: at('14:20:00'),
        durationMs: 41_300,
      },
      {
        number: 12,
        command: 'git pull\nnpm ci',
        state: 'finished',
        exitCode: 0,
        startedAt: new Date('2026-11-22T09:05:00Z'),
        durationMs: 8_210,
      },
      {
        number: 11,
        command: './deploy.sh',
        state: 'timed_out',
        exitCode: null,
        startedAt: new Date('2026-11-22T08:00:00Z'),
        durationMs: 1_800_000,
      },
    ],
    now,
  },
} satisfies { [Kind in LifecycleNotice['kind']]: Of<Kind> };
