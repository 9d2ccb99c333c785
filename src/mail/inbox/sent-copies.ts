import { setTimeout as pause } from 'node:timers/promises';
import type { ImapFlow } from 'imapflow';
import { createBell } from '../../bell.ts';
import type { MailServer } from '../../config.ts';
import type { Log } from '../../log.ts';
import { watchPart } from '../../part-state.ts';
import { pauseMs, type Pauses } from '../../retry.ts';
import type { Credential } from '../oauth.ts';
import { DEADLINES, openMailbox, within } from './connect.ts';
import { searchUids } from './uids.ts';

/** A mail that was sent, and is to lie in the Sent mailbox. `attempts`: how often that was begun. */
type SentCopy = { id: number; raw: Buffer; messageId: string; sentAt: Date; attempts: number };

export type SentCopiesParts = {
  server: MailServer;
  password: Credential;
  /** The mailbox that is opened to log in: the one that is listened to. */
  mailbox: string;
  due: (limit: number) => Promise<SentCopy[]>;
  /** A copy is about to be made. */
  begun: (id: number) => Promise<void>;
  filed: (id: number) => Promise<void>;
  /** No copy is made of it. */
  left: (id: number) => Promise<void>;
  log: Log;
  /** Tests alone set this. */
  restMs?: number;
};

const PORTION = 20;
/** Nobody waits for a copy: first the answers, and several copies over one connection. */
const REST_MS = 2_000;
const LOOK_EVERY_MS = 300_000;
const PAUSES: Pauses = { firstMs: 5_000, longestMs: 1_800_000 };
/** Where the mailbox is full or takes nothing from us. */
const MOST_ATTEMPTS = 10;

/**
 * Puts a copy of each mail that was sent into the Sent mailbox (RFC 6154: \Sent; else `Sent`), at least once. That one is
 * begun is recorded before; after that it is looked for by its Message-ID first.
 */
export function startSentCopies(parts: SentCopiesParts): { wake: () => void; close: () => Promise<void> } {
  const closing = new AbortController();
  const { signal } = closing;
  const part = watchPart('IMAP (copies of sent mail)', parts.log);
  const bell = createBell();

  /** Rejects never: the loop sees the end by itself. */
  async function rest(ms: number): Promise<void> {
    await pause(ms, undefined, { signal }).catch(() => {});
  }

  async function run(): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      try {
        await fileAll(parts, signal);
        failures = 0;
        part.isUp();
        await bell.wait(LOOK_EVERY_MS);
        await rest(parts.restMs ?? REST_MS);
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        part.isDown(error as Error);
        await rest(pauseMs(failures, PAUSES));
      }
    }
  }
  const running = run();
  return {
    wake: () => bell.ring(),
    async close() {
      closing.abort(new Error('Closed'));
      bell.ring();
      await running;
    },
  };
}

async function fileAll(parts: SentCopiesParts, signal: AbortSignal): Promise<void> {
  let copies = await parts.due(PORTION);
  if (copies.length === 0) return;
  const client = await openMailbox(parts.server, parts.password, parts.mailbox, { signal });
  const stop = (): void => client.close();
  signal.addEventListener('abort', stop);
  try {
    const path = await sentMailbox(client);
    for (; copies.length > 0; copies = await parts.due(PORTION)) {
      for (const copy of copies) await file(parts, client, path, copy);
    }
  } finally {
    signal.removeEventListener('abort', stop);
    client.close();
  }
}

async function file(
  { begun, filed, left, log }: SentCopiesParts,
  client: ImapFlow,
  path: string,
  copy: SentCopy,
): Promise<void> {
  if (copy.attempts >= MOST_ATTEMPTS) {
    log.warn({ outbox: copy.id, mailbox: path }, 'no copy of a sent mail could be made; it is left');
    return left(copy.id);
  }
  await begun(copy.id);
  if (copy.attempts > 0 && (await isThere(client, path, copy.messageId))) return filed(copy.id);
  await within(client, DEADLINES.fetchMs, client.append(path, copy.raw, ['\\Seen'], copy.sentAt));
  await filed(copy.id);
}

async function isThere(client: ImapFlow, path: string, messageId: string): Promise<boolean> {
  await within(client, DEADLINES.answerMs, client.mailboxOpen(path, { readOnly: true }));
  const uids = await searchUids(client, { header: { 'message-id': messageId } }, DEADLINES.answerMs);
  return uids.length > 0;
}

/** Its path, made where there is none. */
async function sentMailbox(client: ImapFlow): Promise<string> {
  const mailboxes = await within(client, DEADLINES.answerMs, client.list());
  const known = mailboxes.find(({ specialUse }) => specialUse === '\\Sent');
  if (known) return known.path;
  const named = mailboxes.find(({ name }) => name.toLowerCase() === 'sent');
  if (named) return named.path;
  // Some servers keep everything below INBOX.
  const prefix = client.namespace ? client.namespace.prefix : '';
  const { path } = await within(client, DEADLINES.answerMs, client.mailboxCreate(`${prefix}Sent`));
  return path;
}
