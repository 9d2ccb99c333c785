import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { listenToMailbox, type ListenOptions } from '../../src/mail/inbox/listen.ts';
import type { FetchedMessage } from '../../src/mail/inbox/fetch-messages.ts';
import type { Cursor, StoredCursor } from '../../src/mail/inbox/starting-place.ts';
import { collectedLog, type LogLine } from './collected-log.ts';
import type { Dovecot } from './dovecot.ts';
import { until } from './until.ts';

const WARN = 40;
export const HOUR_MS = 3_600_000;
/** Where the periodic look would hide what is tested. */
export const NEVER = { lookEveryMs: HOUR_MS };

let mailboxes = 0;
export const newUser = (): string => `box${(mailboxes += 1)}@example.com`;

export const mail = (subject: string, body = 'hello'): string =>
  `From: alice@example.com\r\nTo: bot@example.com\r\nSubject: ${subject}\r\n\r\n${body}\r\n`;

export const subjectOf = ({ raw }: FetchedMessage): string =>
  /^Subject: (.*?)\r?$/m.exec(raw.toString())?.[1] ?? '';

/** What a database would hold. */
export type Store = { cursor: StoredCursor | null; taken: FetchedMessage[]; batches: number[] };

export type Listening = {
  store: Store;
  lines: LogLine[];
  /** The first warning: its text and its reason. */
  warning: () => { msg?: string; reason?: unknown };
  states: ('listening' | 'away')[];
  subjects: () => string[];
  /** Until so many mails are recorded. */
  count: (mails: number, timeoutMs?: number) => Promise<void>;
  /** Until it has said so often that it listens. */
  listening: (times?: number) => Promise<void>;
  close: () => Promise<void>;
};

/** A listener to one mailbox, with a stand-in for the database; closed at the end of the test. */
export function listen(
  dovecot: Dovecot,
  context: TestContext,
  user: string,
  options: Partial<ListenOptions> = {},
  store: Store = { cursor: null, taken: [], batches: [] },
): Listening {
  const { log, lines } = collectedLog();
  const states: Listening['states'] = [];
  const listener = listenToMailbox({
    server: dovecot.account(user),
    password: dovecot.password,
    mailbox: 'INBOX',
    maxMessageBytes: 1 << 20,
    longestLookBackMs: 24 * HOUR_MS,
    getCursor: () => Promise.resolve(store.cursor),
    record: (batch: FetchedMessage[], cursor: Cursor) => {
      store.cursor = { ...cursor, movedAt: new Date() };
      store.taken.push(...batch);
      store.batches.push(batch.length);
      return Promise.resolve();
    },
    log,
    onState: (state) => states.push(state),
    signal: new AbortController().signal,
    ...options,
  });
  context.after(() => listener.close());
  return {
    store,
    lines,
    states,
    warning: () => lines.find(({ level }) => level === WARN) ?? {},
    subjects: () => store.taken.map(subjectOf),
    count: async (mails, timeoutMs) => {
      await until(() => store.taken.length >= mails, timeoutMs);
      assert.equal(store.taken.length, mails);
    },
    listening: async (times = 1) => {
      await until(() => states.filter((state) => state === 'listening').length >= times);
    },
    close: () => listener.close(),
  };
}
