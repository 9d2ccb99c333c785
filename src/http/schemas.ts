import { z } from 'zod';
import { cursorOf, readCursorText } from './cursor.ts';
import type { Listed, Page } from '../store/pages.ts';

// What goes in and out, each thing once.

export const time = z.iso.datetime().describe('ISO 8601, UTC');
export const count = z.int().min(0);
const nothing = z.null();
export const orNull = <T extends z.ZodType>(schema: T) => z.union([schema, nothing]);

/** PostgreSQL takes no NUL in a text. */
export const text = (longest: number) =>
  z
    .string()
    .max(longest)
    .refine((value) => !value.includes('\0'), 'expected a text without NUL');

export const flag = z.enum(['true', 'false']).transform((value) => value === 'true');

/** Which part of a list. */
export const paging = {
  limit: z
    .string()
    .regex(/^\d{1,3}$/)
    .transform(Number)
    .refine((value) => value >= 1 && value <= 200, 'expected 1 to 200')
    .optional()
    .describe('How many, 1 to 200; 50 when not given'),
  cursor: z
    .string()
    .max(100)
    .transform((written, context) => {
      const before = readCursorText(written);
      if (before !== null) return before;
      context.addIssue('expected a nextCursor as it was given out');
      return z.NEVER;
    })
    .optional()
    .describe('`nextCursor` of the part before'),
};

export const pageOfQuery = ({
  limit = 50,
  cursor,
}: {
  limit?: number | undefined;
  cursor?: number | undefined;
}): Page => ({
  limit,
  before: cursor ?? null,
});

export const list = <T extends z.ZodType>(item: T) =>
  z.strictObject({ items: z.array(item), nextCursor: orNull(z.string()).describe('null at the end') });

export const listBody = <T, Shown>({ items, next }: Listed<T>, shown: (item: T) => Shown) => ({
  items: items.map(shown),
  nextCursor: cursorOf(next),
});

const user = z.strictObject({ address: z.string(), name: z.string() });

export const session = z.strictObject({
  id: z.int(),
  containerId: orNull(z.string()).describe("Docker's id: what extend and cleanup take"),
  containerName: z.string(),
  threadId: z.string(),
  user,
  repository: z.string(),
  state: z.enum(['active', 'removing', 'save_failed', 'ended']),
  isActive: z.boolean(),
  isBusy: z.boolean().describe('A command runs, or waits'),
  image: z.string(),
  createdAt: time,
  lastActivityAt: time,
  lastCommandAt: time,
  idleSeconds: count,
  idleTimeoutSeconds: count,
  warnedAt: orNull(time),
  keepUntil: orNull(time),
  cleanupAt: orNull(time).describe('When it goes if nothing happens; null while a command runs or waits'),
  secondsUntilCleanup: orNull(count),
  cleanupRequestedAt: orNull(time),
  running: orNull(z.strictObject({ commandId: z.int(), script: z.string(), startedAt: orNull(time) })),
  workspaceUsedBytes: orNull(count).describe('Of the disk, when its work was saved last'),
  workspaceLimitBytes: orNull(count).describe('What it may take; null: as much as there is'),
  waitingCommands: count,
  isSaved: z.boolean(),
  saveError: orNull(z.string()),
  endedAt: orNull(time),
  endReason: orNull(z.string()),
});

export const commandStates = [
  'queued',
  'running',
  'finished',
  'timed_out',
  'interrupted',
  'failed',
  'cancelled',
] as const;

const commandShape = {
  id: z.int(),
  threadId: z.string(),
  messageId: z.int(),
  user: z.strictObject({ address: z.string() }),
  repository: z.string(),
  script: z.string(),
  controlWord: orNull(z.string()).describe('Where it is a word to Threadbox and not a script'),
  state: z.enum(commandStates),
  attempt: count,
  exitCode: orNull(z.int()),
  error: orNull(z.string()),
  branch: orNull(z.string()),
  outputBytes: orNull(count),
  durationMs: orNull(count),
  createdAt: time,
  startedAt: orNull(time),
  endedAt: orNull(time),
  cancelRequestedAt: orNull(time),
  cancelledBy: orNull(z.string()).describe(
    'The token it was cancelled with, or the address of an admin; null for its sender',
  ),
};

export const command = z.strictObject(commandShape);

export const commandWithOutput = z.strictObject({
  ...commandShape,
  output: orNull(
    z.strictObject({
      head: z
        .string()
        .describe('UTF-8; what is not is replaced by U+FFFD. The bytes are at /commands/{id}/output'),
      tail: z.string(),
      omittedBytes: count.describe('Between head and tail'),
      hasLog: z.boolean().describe('All of it is at /commands/{id}/log'),
      isLive: z.boolean().describe('It still runs: these are its last bytes by now'),
    }),
  ),
});

export const thread = z.strictObject({
  id: z.string(),
  user,
  repository: z.string(),
  label: z.string(),
  createdAt: time,
  lastCommandAt: time,
  commandCount: count,
  hasContainer: z.boolean(),
});

export const message = z.strictObject({
  id: z.int(),
  direction: z.enum(['in', 'out']),
  at: time,
  address: orNull(z.string()),
  subject: orNull(z.string()),
  outcome: orNull(z.enum(['command', 'answered', 'dropped', 'failed', 'answer'])),
  reason: orNull(z.string()),
  threadId: orNull(z.string()),
  sizeBytes: count,
  commandId: orNull(z.int()).describe('That it has asked for, or is about'),
  commandState: orNull(z.enum(commandStates)),
  delivery: orNull(z.enum(['waiting', 'sent', 'failed', 'bounced'])),
  deliveryError: orNull(z.string()),
});

export const savedState = z.strictObject({
  id: z.int(),
  threadId: z.string(),
  user: z.strictObject({ address: z.string() }),
  repository: z.string(),
  state: z.enum(['current', 'aside']),
  commit: orNull(z.string()),
  branch: orNull(z.string()),
  filesModified: count,
  unpushedCommits: count,
  leftOut: z.array(z.string()),
  hasVolume: z.boolean(),
  savedAt: orNull(time),
  expiresAt: orNull(time).describe('null while a container has the work'),
  endReason: orNull(z.string()),
});

export const pauseState = z.strictObject({
  isPaused: z.boolean(),
  since: orNull(time),
  reason: orNull(z.string()),
});
