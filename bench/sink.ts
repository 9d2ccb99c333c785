import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import { parseMessage } from '../src/mail/parse.ts';

/** `acceptedAt` by the clock of `performance.now()`. */
export type Answer = { acceptedAt: number; raw: Buffer };

/** The SMTP server that the bot sends its answers to: it takes every mail, and remembers when. */
export type Sink = {
  /** To be given to the bot as SMTP_URL. */
  url: string;
  /** The answer to a mail of ours, come or to come. */
  answerTo: (messageId: string, signal: AbortSignal) => Promise<Answer>;
  close: () => Promise<void>;
};

const ANSWER_TIMEOUT_MS = 120_000;

export async function startSink(): Promise<Sink> {
  const answers = new Map<string, PromiseWithResolvers<Answer>>();
  const slot = (messageId: string): PromiseWithResolvers<Answer> => {
    const known = answers.get(messageId) ?? Promise.withResolvers<Answer>();
    answers.set(messageId, known);
    return known;
  };
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    onAuth: ({ username }, _, callback) => callback(null, { user: username }),
    onData(stream, _, callback) {
      void accept(stream, callback);
    },
  });

  async function accept(stream: Readable, callback: (error?: Error) => void): Promise<void> {
    try {
      const raw = await buffer(stream);
      callback();
      const acceptedAt = performance.now();
      const inReplyTo = /^In-Reply-To:\s*(<[^>]+>)/im.exec(raw.toString('latin1'))?.[1];
      if (inReplyTo !== undefined) slot(inReplyTo).resolve({ acceptedAt, raw });
    } catch (error) {
      callback(error as Error);
    }
  }

  server.on('error', () => undefined);
  const listener = server.listen({ port: 0, host: '127.0.0.1' });
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  return {
    url: `smtp://bot:sink@127.0.0.1:${port}`,
    async answerTo(messageId, signal) {
      const answer = await inTime(slot(messageId).promise, signal, ANSWER_TIMEOUT_MS, 'the answer');
      answers.delete(messageId);
      return answer;
    },
    async close() {
      const closed = new Promise<void>((resolve) => {
        server.close(resolve);
      });
      for (const connection of server.connections) connection.close();
      await closed;
    },
  };
}

/** A figure is worth nothing when the command behind it has failed. @throws with what the bot answered instead */
export async function expectSuccess({ raw }: Answer, output: string): Promise<void> {
  const { text } = await parseMessage(raw);
  if (/^exit code 0/i.test(text) && text.includes(output)) return;
  throw new Error(
    `Expected an answer with exit code 0 and ${JSON.stringify(output)}, got:\n${text.slice(0, 2_000)}`,
  );
}

/** @throws when it does not come in time, or the signal's reason */
export async function inTime<T>(
  awaited: Promise<T>,
  signal: AbortSignal,
  timeoutMs: number,
  what: string,
): Promise<T> {
  signal.throwIfAborted();
  const { promise: never, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => reject(new Error(`No end within ${timeoutMs} ms: ${what}`)), timeoutMs);
  try {
    return await Promise.race([awaited, never]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
