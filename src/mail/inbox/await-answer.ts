import { setTimeout as pause } from 'node:timers/promises';
import type { MailServer } from '../../config.ts';
import { LOOP_HEADER } from '../headers.ts';
import { DEADLINES, openMailbox, within } from './connect.ts';
import { hearNews } from './news.ts';
import { searchUids } from './uids.ts';

export type AwaitAnswerOptions = {
  server: MailServer;
  password: string;
  /** The Message-ID, with its angle brackets, of the mail that is answered. */
  inReplyTo: string;
  /** `notice`: what the bot wrote in that conversation without being asked. */
  kind?: 'answer' | 'notice';
  timeoutMs: number;
  signal?: AbortSignal;
};

const RETRY_MS = 1_000;
const LOOK_EVERY_MS = 15_000;

/**
 * Waits in the INBOX of whoever wrote a mail for the first answer to it (RFC 5322, 3.6.4: In-Reply-To).
 *
 * @throws with `code: 'NO_ANSWER'` when none has come in time, `'IMAP_LOGIN_REFUSED'` at once for a wrong user or
 *   password, and the signal's reason when it ends
 */
export async function awaitAnswer(options: AwaitAnswerOptions): Promise<Buffer> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  let cause: unknown;
  while (!signal.aborted) {
    try {
      return await lookFor(options, signal);
    } catch (error) {
      if ((error as { code?: string }).code === 'IMAP_LOGIN_REFUSED') throw error;
      if (!signal.aborted) cause = error;
      // Rejects only when it is to end; the loop sees that.
      await pause(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }
  options.signal?.throwIfAborted();
  const trouble = cause ? ` (${(cause as Error).message})` : '';
  throw Object.assign(
    new Error(`No answer to ${options.inReplyTo} has come within ${options.timeoutMs} ms${trouble}`, {
      cause,
    }),
    { code: 'NO_ANSWER' },
  );
}

/** A word on why it takes so long is not the answer yet. What bears no such word is somebody else's, and is one. */
function kindOf(raw: Buffer): string {
  const header = raw.subarray(0, raw.indexOf('\r\n\r\n')).toString('latin1');
  return new RegExp(`^${LOOP_HEADER}: *(delay|notice)\\s*$`, 'im').exec(header)?.[1] ?? 'answer';
}

async function lookFor(
  { server, password, inReplyTo, kind = 'answer' }: AwaitAnswerOptions,
  signal: AbortSignal,
): Promise<Buffer> {
  const client = await openMailbox(server, password, 'INBOX', { signal });
  const stop = (): void => client.close();
  signal.addEventListener('abort', stop);
  try {
    const news = hearNews(client);
    for (;;) {
      signal.throwIfAborted();
      const uids = await searchUids(client, { header: { 'in-reply-to': inReplyTo } }, DEADLINES.answerMs);
      for (const uid of uids) {
        const mail = client.fetchOne(String(uid), { source: true }, { uid: true });
        const found = await within(client, DEADLINES.fetchMs, mail);
        if (found && found.source && kindOf(found.source) === kind) return found.source;
      }
      await news.wait(LOOK_EVERY_MS);
    }
  } finally {
    signal.removeEventListener('abort', stop);
    client.close();
  }
}
