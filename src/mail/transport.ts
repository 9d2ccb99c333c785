import { Readable } from 'node:stream';
import { callbackify } from 'node:util';
import { createTransport } from 'nodemailer';
import type { MailServer } from '../config.ts';
import type { Credential } from './oauth.ts';
import { isAboutAccount, refusalOf } from './refusal.ts';

type RawMail = { raw: Buffer; from: string; to: readonly string[] };

/** One SMTP server, over connections that stay open from one mail to the next. */
export type MailTransport = {
  /**
   * Resolves when the server has taken the mail on.
   *
   * @throws {SendError}
   */
  send(mail: RawMail): Promise<void>;
  /** Ends all connections; what is being sent fails. */
  close(): Promise<void>;
};

/**
 * What a mail was refused for. `mail`: this mail, so others may go through; `server`: the server is away or unwell;
 * `login`: it does not let us in.
 */
export type SendFault = 'mail' | 'server' | 'login';

export class SendError extends Error {
  readonly code = 'SEND';
  readonly fault: SendFault;
  /** The same mail would be refused again (RFC 5321, 4.2.1: a 5yz reply). */
  readonly isPermanent: boolean;
  readonly statusCode: string | null;
  /** A smaller mail may go through. */
  readonly isTooLarge: boolean;

  constructor(message: string, fault: SendFault, isPermanent: boolean, cause: unknown) {
    super(message, { cause });
    this.name = 'SendError';
    this.fault = fault;
    this.isPermanent = isPermanent;
    const { response, responseCode, message: words } = (cause ?? {}) as Partial<SmtpFailure>;
    const { statusCode, isTooLarge } = refusalOf(response ?? words ?? '', responseCode ?? null);
    this.statusCode = statusCode;
    this.isTooLarge = fault === 'mail' && isTooLarge;
  }
}

export type TransportLimits = {
  /** Connecting, TLS and the greeting, each. */
  connectTimeoutMs: number;
  /** All that comes before the text of a mail, and each block of it (RFC 5321, 4.5.3.2.5: three minutes). */
  sendTimeoutMs: number;
  /**
   * The server's word on a whole mail (4.5.3.2.6: ten minutes). One that is only slow would get the mail once more, and bring
   * it twice.
   */
  lastWordTimeoutMs: number;
};

export const MOST_CONNECTIONS = 3;
const LIMITS: TransportLimits = {
  connectTimeoutMs: 20_000,
  sendTimeoutMs: 180_000,
  lastWordTimeoutMs: 600_000,
};
const BLOCK_BYTES = 64 * 1024;
/** Just below what servers allow at least (RFC 5321, 4.5.3.2.7: five minutes). */
const IDLE_TIMEOUT_MS = 280_000;

/** Opens nothing yet: the first mail does. */
export function connectSmtp(
  server: MailServer,
  password: Credential,
  limits: TransportLimits = LIMITS,
): MailTransport {
  const where = `${server.host}:${server.port}`;
  const pool = createPool(server, password, limits);
  const patiences = new WeakMap<AbortSignal, Patience>();
  pool.use('stream', ({ data, message }, done) => {
    const patience = data.signal && patiences.get(data.signal);
    // Nothing of it is read before the server has asked for the text: what comes before would have the patience of its end.
    if (patience) message.processFunc((text) => Readable.from(patience.follow(text), { objectMode: false }));
    done();
  });
  return {
    async send({ raw, from, to }) {
      const patience = createPatience(limits);
      const { signal } = patience;
      patiences.set(signal, patience);
      try {
        // With its size, a server that has announced a limit is not given what it would refuse (RFC 1870).
        const envelope = { from, to: [...to], size: raw.length };
        await pool.sendMail({ envelope, raw, signal });
      } catch (error) {
        throw sendError(error as SmtpFailure, where, patience.limitMs());
      } finally {
        patience.end();
      }
    },
    // oxlint-disable-next-line typescript/require-await -- a closer is awaited, whatever it closes
    async close() {
      pool.close({ force: true });
    },
  };
}

/**
 * Connects and logs in, and sends nothing.
 *
 * @throws {SendError}
 */
export async function tryLogin(
  server: MailServer,
  password: Credential,
  limits: TransportLimits = LIMITS,
): Promise<void> {
  const pool = createPool(server, password, limits);
  try {
    await pool.verify();
  } catch (error) {
    throw sendError(error as SmtpFailure, `${server.host}:${server.port}`, limits.sendTimeoutMs);
  } finally {
    pool.close({ force: true });
  }
}

function createPool(
  { host, port, user, tls, verifyCertificate }: MailServer,
  password: Credential,
  limits: TransportLimits,
) {
  const pool = createTransport({
    pool: true,
    maxConnections: MOST_CONNECTIONS,
    maxMessages: 10_000,
    maxRequeues: 1,
    idleTimeout: IDLE_TIMEOUT_MS,
    host,
    port,
    secure: tls === 'implicit',
    requireTLS: tls === 'required',
    auth: typeof password === 'string' ? { user, pass: password } : { type: 'OAuth2', user },
    tls: { rejectUnauthorized: verifyCertificate },
    connectionTimeout: limits.connectTimeoutMs,
    greetingTimeout: limits.connectTimeoutMs,
    dnsTimeout: limits.connectTimeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  if (typeof password !== 'string') {
    let last: string | undefined;
    const give = callbackify(async (isRefused: boolean) => {
      last = await password.accessToken(isRefused ? last : undefined);
      return last;
    });
    pool.set('oauth2_provision_cb', (_user, isRefused, done) => give(isRefused, done));
  }
  return pool;
}

type Patience = ReturnType<typeof createPatience>;

/** Gives up where nothing goes on: however long a large mail takes over a slow line. */
function createPatience({ sendTimeoutMs, lastWordTimeoutMs }: TransportLimits) {
  const givingUp = new AbortController();
  let limitMs = sendTimeoutMs;
  const wait = (): NodeJS.Timeout => setTimeout(() => givingUp.abort(), limitMs);
  let timer = wait();
  let hasEnded = false;
  const goOn = (): void => {
    clearTimeout(timer);
    if (!hasEnded) timer = wait();
  };
  return {
    signal: givingUp.signal,
    /** What was waited for last may take so long. */
    limitMs: () => limitMs,
    /** Hands on the text of the mail, in blocks, each when the connection takes it. */
    async *follow(text: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const part of text) {
        for (let at = 0; at < part.length; at += BLOCK_BYTES) {
          goOn();
          yield part.subarray(at, at + BLOCK_BYTES);
        }
      }
      limitMs = lastWordTimeoutMs;
      goOn();
    },
    end() {
      hasEnded = true;
      clearTimeout(timer);
    },
  };
}

type SmtpFailure = Error & {
  code?: string;
  /** What it was before the driver gave it one of its own. */
  originalCode?: string;
  response?: string;
  responseCode?: number;
};

/** RFC 4954, 6 and RFC 3207, 4: replies that are about us and our connection, not about the mail. */
const LOGIN_REPLIES = new Set([530, 534, 535, 538]);
/** Service shutting down, and a bad sequence: another connection may do. */
const SERVER_REPLIES = new Set([421, 503]);
/** RFC 3463, 3.4: its disk is full, or it takes no mail at all for now. What it says of this mail, it says of each. */
const SERVER_UNWELL = /^4\d\d[ -]4\.3\.[12]\b/;

function sendError(error: SmtpFailure, where: string, limitMs: number): SendError {
  const { code, responseCode } = error;
  const said = error.response?.replace(/\s+/g, ' ').slice(0, 500) ?? error.message;
  if (code === 'EAUTH' || code === 'ENOAUTH' || LOGIN_REPLIES.has(responseCode ?? 0)) {
    const fault = isPassing(error, said) ? 'server' : 'login';
    return new SendError(`the SMTP server ${where} does not let us in: ${said}`, fault, false, error);
  }
  const isAboutMail = code === 'EENVELOPE' || code === 'EMESSAGE';
  if (isAboutMail && !SERVER_REPLIES.has(responseCode ?? 0) && !SERVER_UNWELL.test(said)) {
    const isFinal = responseCode === undefined || responseCode >= 500;
    const isPermanent = isFinal && !isAboutAccount(said);
    return new SendError(`the SMTP server ${where} refused the mail: ${said}`, 'mail', isPermanent, error);
  }
  const why = code === 'EABORT' ? `no end after ${limitMs / 1000} s` : said;
  return new SendError(`the SMTP server ${where} could not be used: ${why}`, 'server', false, error);
}

/**
 * The password may be right: who checks it is away (RFC 4954, 4.7: 454), or who gives access tokens. Not where the server says
 * that we come too often.
 */
function isPassing({ responseCode = 0, originalCode }: SmtpFailure, said: string): boolean {
  if (originalCode === 'OAUTH_UNAVAILABLE') return true;
  return responseCode >= 400 && responseCode < 500 && !/\btoo many\b/i.test(said);
}
