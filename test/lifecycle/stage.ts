import type { Overrides } from '../../src/app.ts';
import type { ParsedMessage } from '../../src/mail/parse.ts';
import type { Db } from '../../src/store/database.ts';
import { NEXT_STATES } from '../../src/store/session-states.ts';
import { ALICE, startTestApp, type TestApp } from '../support/app.ts';
import { engine, inContainer } from '../support/engine.ts';
import { ask, readMails } from '../support/mailbox.ts';
import { until } from '../support/until.ts';

const THREAD = 'alice@example.com-sample';
/** What is waited for in PostgreSQL; nobody else asks for it. */
const HOLD = 4_711;

/** A bot whose clock the test sets, and whose sweeps it starts. */
export type Stage = {
  bot: TestApp;
  /** Moves the bot's clock. */
  forward: (minutes: number) => void;
  now: () => Date;
  /** One sweep, to its end. */
  sweep: () => Promise<void>;
  ask: (body: string, more?: Ask) => Promise<ParsedMessage>;
  /** The first mail to somebody whose text is like that. */
  mailLike: (pattern: RegExp, to?: string) => Promise<ParsedMessage>;
  /** How many there are. */
  mailsLike: (pattern: RegExp, to?: string) => Promise<number>;
  session: (threadId?: string) => Promise<SessionRow | undefined>;
  /** In the thread's container. */
  inside: (script: string, threadId?: string) => Promise<string>;
  /** Waits until a process with these words runs in the thread's container. */
  untilRuns: (words: string, threadId?: string) => Promise<void>;
  isThere: (container: string) => Promise<boolean>;
  close: () => Promise<void>;
};

type Ask = { from?: string; subject?: string; inReplyTo?: ParsedMessage };

type SessionRow = {
  id: number;
  thread_id: string;
  container_id: string;
  container_name: string;
  volume_name: string;
  state: string;
  is_active: boolean;
  is_saved: boolean;
  network: string | null;
  save_failures: number;
  end_reason: string | null;
  last_activity_at: Date;
  last_command_at: Date;
  keep_until: Date | null;
};

export async function openStage(
  env: Readonly<Record<string, string>> = {},
  overrides: Overrides = {},
): Promise<Stage> {
  let aheadMs = 0;
  const now = (): Date => new Date(Date.now() + aheadMs);
  // Only the sweeps of the test itself; and its clock goes ahead of the mail server's.
  const never = {
    CONTAINER_CHECK_INTERVAL_MS: String(86_400_000),
    MAX_MAIL_AGE_MS: String(365 * 86_400_000),
  };
  const bot = await startTestApp({ env: { ...never, ...env }, overrides: { ...overrides, now } });
  await watchStates(bot.app.db);
  const mails = (to: string) => readMails(bot.userAt(to));
  const session = async (threadId = THREAD): Promise<SessionRow | undefined> =>
    bot.app.db('container_sessions').where({ thread_id: threadId }).orderBy('id', 'desc').first();
  return {
    bot,
    now,
    session,
    forward: (minutes) => void (aheadMs += minutes * 60_000),
    sweep: () => bot.app.lifecycle.sweep(),
    ask: (body, { from = ALICE, subject = '[sample] Work', inReplyTo } = {}) =>
      ask(bot.userAt(from), { to: bot.botAddress, subject, body, inReplyTo }),
    mailLike: (pattern, to = ALICE) =>
      until(async () => (await mails(to)).find(({ text }) => pattern.test(text))),
    mailsLike: async (pattern, to = ALICE) =>
      (await mails(to)).filter(({ text }) => pattern.test(text)).length,
    async inside(script, threadId = THREAD) {
      const found = await session(threadId);
      if (!found) throw new Error(`no session of ${threadId}`);
      return inContainer(found.container_id, script);
    },
    async untilRuns(words, threadId = THREAD) {
      await until(async () => {
        const found = await session(threadId);
        if (!found) return false;
        const { Processes: processes } = await engine.getContainer(found.container_id).top();
        return processes.some((line: string[]) => line.join(' ').includes(words));
      });
    },
    isThere: (container) =>
      engine
        .getContainer(container)
        .inspect()
        .then(
          () => true,
          () => false,
        ),
    close: () => bot.close(),
  };
}

/** No session takes a way that the docs do not draw: whoever makes it take one fails. */
export async function watchStates(db: Db): Promise<void> {
  const ways = Object.entries(NEXT_STATES).flatMap(([from, next]) => next.map((to) => `${from} to ${to}`));
  await db.raw(`
    create function watch_session() returns trigger language plpgsql as
      'begin raise exception ''a session goes from % to %'', old.state, new.state; end';
    create trigger watch_session before update on container_sessions for each row
      when (old.state <> new.state and old.state || ' to ' || new.state not in ('${ways.join(`', '`)}'))
      execute function watch_session()`);
}

/** Holds whoever brings a session into that state, in the moment before it is recorded. */
export async function holdBefore(
  db: Db,
  state: string,
): Promise<{ isHolding: () => Promise<boolean>; letGo: () => Promise<void> }> {
  const holder = await db.transaction();
  await holder.raw('select pg_advisory_xact_lock(?)', [HOLD]);
  await db.raw(`
    create function hold_session() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock_shared(${HOLD}); return new; end';
    create trigger hold_session before update on container_sessions for each row
      when (new.state = '${state}' and old.state <> new.state) execute function hold_session()`);
  return {
    isHolding: async () => {
      const waiting = { locktype: 'advisory', objid: HOLD, granted: false };
      return (await db('pg_locks').where(waiting)).length > 0;
    },
    async letGo() {
      await holder.commit();
      await db.raw('drop function hold_session cascade');
    },
  };
}
