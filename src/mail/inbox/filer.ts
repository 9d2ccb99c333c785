import { setTimeout as pause } from 'node:timers/promises';
import type { ImapFlow } from 'imapflow';
import { createBell } from '../../bell.ts';
import type { MailServer } from '../../config.ts';
import type { Log } from '../../log.ts';
import { watchPart } from '../../part-state.ts';
import { pauseMs, type Pauses } from '../../retry.ts';
import type { Credential } from '../oauth.ts';
import { DEADLINES, openMailbox, type Deadlines } from './connect.ts';
import { fileMails, type Folders, type MailToFile } from './file-mails.ts';

export type FilerParts = {
  server: MailServer;
  password: Credential;
  mailbox: string;
  folders: Folders;
  /** Handled and not filed yet, the oldest first. Nothing while it is not for us to file. */
  due: (afterId: number, limit: number) => Promise<MailToFile[]>;
  done: (ids: readonly number[]) => Promise<void>;
  log: Log;
  /** Tests alone set this. */
  timings?: Partial<FilerTimings>;
};

type FilerTimings = Deadlines & {
  /** After a ring: so that filing does not compete with the answer, and one move does for many mails. */
  settleMs: number;
  /** A connection with nothing to do is closed. */
  keepOpenMs: number;
  pauses: Pauses;
};

export type Filer = {
  /** A message was handled. */
  wake: () => void;
  close: () => Promise<void>;
};

const TIMINGS: FilerTimings = {
  ...DEADLINES,
  settleMs: 2_000,
  keepOpenMs: 60_000,
  pauses: { firstMs: 5_000, longestMs: 600_000 },
};
/** Named in one line, which servers limit to 8,000 characters or more (RFC 2683, 3.2.1.5). */
const MOST_AT_ONCE = 500;
/** What was left when the bot was stopped or had no say is found by looking. */
const LOOK_EVERY_MS = 600_000;

/**
 * Files handled mail for ever, over a connection of its own: the one that listens must never wait for a move. It works
 * from what is recorded, so nothing hangs on its being quick, or on its having been there.
 */
export function startFiler(parts: FilerParts): Filer {
  const bell = createBell();
  const stopping = new AbortController();
  const timings = { ...TIMINGS, ...parts.timings };
  const part = watchPart('IMAP (filing)', parts.log);
  let client: ImapFlow | null = null;

  const hangUp = (): void => {
    client?.close();
    client = null;
  };
  async function connected(): Promise<ImapFlow> {
    if (client?.usable) return client;
    const { server, password, mailbox } = parts;
    const { signal } = stopping;
    client = await openMailbox(server, password, mailbox, { deadlines: timings, isReadOnly: false, signal });
    return client;
  }

  /** @throws when the server refuses some, after all others */
  async function pass(): Promise<void> {
    let refused = 0;
    let reason: string | null = null;
    for (let afterId = 0; !stopping.signal.aborted;) {
      const mails = await parts.due(afterId, MOST_AT_ONCE);
      const last = mails.at(-1);
      if (!last) break;
      const filed = await fileMails(await connected(), mails, parts.folders, timings);
      if (filed.done.length > 0) await parts.done(filed.done);
      refused += filed.refused.length;
      reason ??= filed.reason;
      afterId = last.id;
    }
    if (refused === 0) return;
    throw new Error(`the server does not let us move ${refused} handled mails${reason ? `: ${reason}` : ''}`);
  }

  async function run(): Promise<void> {
    let failures = 0;
    while (!stopping.signal.aborted) {
      try {
        await pass();
        failures = 0;
        part.isUp();
      } catch (error) {
        hangUp();
        if (stopping.signal.aborted) return;
        failures += 1;
        part.isDown(error as Error);
      }
      await pauseAfter(failures);
    }
  }

  async function pauseAfter(failures: number): Promise<void> {
    // A ring does not cut short what a failure has to wait for.
    if (failures > 0) return sleep(pauseMs(failures, timings.pauses), stopping.signal);
    const isWoken = await bell.wait(client ? timings.keepOpenMs : LOOK_EVERY_MS);
    if (isWoken) await sleep(timings.settleMs, stopping.signal);
    else hangUp();
  }

  const running = run().finally(hangUp);
  return {
    wake: () => bell.ring(),
    async close() {
      stopping.abort(new Error('Closed'));
      bell.ring();
      client?.close();
      await running;
    },
  };
}

/** Rejects never: the loop sees the end by itself. */
async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => {});
}
