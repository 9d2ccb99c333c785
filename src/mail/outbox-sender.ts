import { createBell } from '../bell.ts';
import type { Log } from '../log.ts';
import { watchPart } from '../part-state.ts';
import { PATIENT, pauseMs, retryForEver, type Pauses } from '../retry.ts';
import type { Refusal } from './refusal.ts';
import { countBreaks, TWO_DAYS_MS } from './breaks.ts';
import { MOST_CONNECTIONS, SendError, type MailTransport } from './transport.ts';

/** A rendered mail that waits to be sent. `attempts`: how often it was tried; `ageMs`: since it was stored. */
export type OutboxMail = {
  id: number;
  raw: Buffer;
  from: string;
  to: string[];
  attempts: number;
  ageMs: number;
};

export type OutboxParts = {
  /** Closed together with the sender. */
  transport: MailTransport;
  /** The mails that are due, the longest due first. Those being sent may be among them. */
  due(limit: number): Promise<OutboxMail[]>;
  sent(id: number): Promise<void>;
  /** It is due again after `afterMs`, by the clock that `due` goes by: no other is asked. */
  retryLater(id: number, error: string, afterMs: number): Promise<void>;
  /** It is not tried again. */
  failed(mail: OutboxMail, refusal: Refusal): Promise<void>;
  /** The server has answered, or (with why) has not. */
  onServer?: ((error: Error | null) => void) | undefined;
  log: Log;
};

export type OutboxSender = {
  /** There is a new mail: send it now. */
  wake(): void;
  /** What is being sent may end; nothing else begins. */
  close(): Promise<void>;
};

const MAIL_PAUSES: Pauses = { firstMs: 5000, longestMs: 1_800_000 };
const SERVER_PAUSES: Pauses = { firstMs: 500, longestMs: 60_000 };
/** Servers lock out who tries a wrong password too often. */
const LOGIN_PAUSES: Pauses = { firstMs: 30_000, longestMs: 1_800_000 };
/** Mails that another process stored, and retries from before a restart, are found by looking. */
const LOOK_EVERY_MS = 5000;
const CLOSE_WAIT_MS = 5000;
/** The mail that tried last is due again by the database's clock, and that it failed takes a moment to be recorded. */
const CLOCK_SLACK_MS = 50;

/**
 * After how many milliseconds a mail that the server put off is tried again (RFC 5321, 4.5.4.1), or null when it was put
 * off for two days.
 *
 * @param attempts how often it has been tried, this time included
 */
export function retryAfterMs(attempts: number, ageMs: number, random = Math.random): number | null {
  return ageMs >= TWO_DAYS_MS ? null : pauseMs(attempts, MAIL_PAUSES, random);
}

/**
 * Sends what lies in the outbox, a few at once, for as long as it runs. While the server is away one mail at a time
 * tries, for ever, and none is given up for it; but one that it breaks off at while others get through is, after two days.
 * A mail is sent at least once: when the end of a sending could not be recorded before the program died, it goes out again
 * with the same Message-ID.
 */
export function startOutboxSender(parts: OutboxParts): OutboxSender {
  const { log } = parts;
  const bell = createBell();
  const server = watchServer(log, parts.onServer);
  const database = watchPart('PostgreSQL (outbox)', log);
  const sending = new Map<number, Promise<void>>();
  const closing = new AbortController();
  const givingUp = new AbortController();
  /** More may be due than there was room for: to be looked for as soon as one is done, and not before. */
  let isMoreDue = false;

  async function startDue(): Promise<number> {
    const leftMs = server.pauseLeftMs();
    if (leftMs > 0) return leftMs;
    const free = (server.isDown() ? 1 : MOST_CONNECTIONS) - sending.size;
    isMoreDue = true;
    if (free <= 0) return LOOK_EVERY_MS;
    const limit = sending.size + free;
    const mails = await parts.due(limit);
    isMoreDue = mails.length >= limit;
    for (const mail of mails.filter(({ id }) => !sending.has(id)).slice(0, free)) {
      if (closing.signal.aborted) break;
      const done = sendOne(parts, mail, server, givingUp.signal).finally(() => {
        sending.delete(mail.id);
        if (isMoreDue || server.isDown()) bell.ring();
      });
      sending.set(mail.id, done);
    }
    return LOOK_EVERY_MS;
  }

  async function run(): Promise<void> {
    let failures = 0;
    while (!closing.signal.aborted) {
      let delayMs: number;
      try {
        delayMs = await startDue();
        failures = 0;
        database.isUp();
      } catch (error) {
        failures += 1;
        delayMs = pauseMs(failures, PATIENT);
        database.isDown(error as Error);
      }
      if (!closing.signal.aborted) await bell.wait(delayMs);
    }
  }

  const running = run();
  return {
    wake: () => bell.ring(),
    async close() {
      closing.abort();
      bell.ring();
      await running;
      const giveUp = setTimeout(() => {
        givingUp.abort(new Error('the outbox closes'));
        void parts.transport.close();
      }, CLOSE_WAIT_MS);
      await Promise.all(sending.values());
      clearTimeout(giveUp);
      await parts.transport.close();
    },
  };
}

/** Never rejects: what cannot be recorded is tried until it can, or until the sender closes. */
async function sendOne(
  parts: OutboxParts,
  mail: OutboxMail,
  server: ServerState,
  signal: AbortSignal,
): Promise<void> {
  const { transport, log } = parts;
  let record: () => Promise<void>;
  try {
    await transport.send(mail);
    server.answered(mail.id);
    record = () => parts.sent(mail.id);
  } catch (thrown) {
    if (signal.aborted) return;
    const error =
      thrown instanceof SendError ? thrown : new SendError(String(thrown), 'server', false, thrown);
    const { message } = error;
    if (error.fault === 'mail') server.answered(mail.id);
    else server.failed(error, mail.id);
    const afterMs = server.isItselfToBlame(mail) ? null : nextTryMs(error, mail);
    if (afterMs === null) {
      const { statusCode, isTooLarge } = error;
      record = () => parts.failed(mail, { error: message, statusCode, isTooLarge });
    } else {
      if (error.fault === 'mail')
        log.info({ outbox: mail.id, reason: message, afterMs }, 'a mail was put off by the server');
      record = () => parts.retryLater(mail.id, message, afterMs);
    }
  }
  try {
    await retryForEver(record, {
      signal,
      onFailure: (error, failures) => {
        if (failures === 1)
          log.warn({ err: error, outbox: mail.id }, 'what became of a mail cannot be recorded yet');
      },
    });
  } catch (error) {
    log.warn({ err: error, outbox: mail.id }, 'what became of a mail was not recorded: it may be sent again');
  }
}

function nextTryMs(error: SendError, mail: OutboxMail): number | null {
  if (error.isPermanent) return null;
  const attempts = mail.attempts + 1;
  return error.fault === 'mail' ? retryAfterMs(attempts, mail.ageMs) : pauseMs(attempts, SERVER_PAUSES);
}

type ServerState = ReturnType<typeof watchServer>;

/** Whether the server answers, and how long to leave it alone. */
function watchServer(log: Log, onServer: OutboxParts['onServer'] = () => {}) {
  const part = watchPart('SMTP', log);
  let failures = 0;
  let pausedUntilMs = 0;
  let isLockedOut = false;
  const breaks = countBreaks();
  const pauseLeftMs = () => Math.max(0, pausedUntilMs - performance.now());
  return {
    pauseLeftMs,
    isDown: () => failures > 0,
    isItselfToBlame: ({ id, ageMs }: OutboxMail) => breaks.isItselfToBlame(id, ageMs),
    answered(id: number) {
      breaks.answered(id);
      failures = 0;
      pausedUntilMs = 0;
      isLockedOut = false;
      part.isUp();
      onServer(null);
    },
    failed(error: SendError, id: number) {
      breaks.brokeOff(id);
      if (error.fault === 'login' && !isLockedOut)
        log.error({ reason: error.message }, 'no answer can be sent');
      isLockedOut = error.fault === 'login';
      part.isDown(error);
      onServer(error);
      // Mails that were on their way together fail together: that is one failure.
      if (pauseLeftMs() > 0) return;
      failures += 1;
      const pause = pauseMs(failures, isLockedOut ? LOGIN_PAUSES : SERVER_PAUSES);
      pausedUntilMs = performance.now() + pause + CLOCK_SLACK_MS;
    },
  };
}
