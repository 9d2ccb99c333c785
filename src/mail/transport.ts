import { callbackify } from 'node:util';
import { createTransport } from 'nodemailer';
import type { MailServer } from '../config.ts';
import type { Credential } from './oauth.ts';
import { refusalOf } from './refusal.ts';

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
  /** One mail, from the first byte to the server's last word. */
  sendTimeoutMs: number;
};

export const MOST_CONNECTIONS = 3;
const LIMITS: TransportLimits = { connectTimeoutMs: 20_000, sendTimeoutMs: 180_000 };
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
  return {
    async send({ raw, from, to }) {
      const signal = AbortSignal.timeout(limits.sendTimeoutMs);
      try {
        // With its size, a server that has announced a limit is not given what it would refuse (RFC 1870).
        const envelope = { from, to: [...to], size: raw.length };
        await pool.sendMail({ envelope, raw, signal });
      } catch (error) {
        throw sendError(error as SmtpFailure, where, limits);
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
    throw sendError(error as SmtpFailure, `${server.host}:${server.port}`, limits);
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

type SmtpFailure = Error & { code?: string; response?: string; responseCode?: number };

/** RFC 4954, 6 and RFC 3207, 4: replies that are about us and our connection, not about the mail. */
const LOGIN_REPLIES = new Set([530, 534, 535, 538]);
/** Service shutting down, and a bad sequence: another connection may do. */
const SERVER_REPLIES = new Set([421, 503]);

function sendError(error: SmtpFailure, where: string, limits: TransportLimits): SendError {
  const { code, responseCode } = error;
  const said = error.response?.replace(/\s+/g, ' ').slice(0, 500) ?? error.message;
  if (code === 'EAUTH' || code === 'ENOAUTH' || LOGIN_REPLIES.has(responseCode ?? 0)) {
    return new SendError(`the SMTP server ${where} does not let us in: ${said}`, 'login', false, error);
  }
  const isAboutMail = code === 'EENVELOPE' || code === 'EMESSAGE';
  if (isAboutMail && !SERVER_REPLIES.has(responseCode ?? 0)) {
    const isPermanent = responseCode === undefined || responseCode >= 500;
    return new SendError(`the SMTP server ${where} refused the mail: ${said}`, 'mail', isPermanent, error);
  }
  const why = code === 'EABORT' ? `no end after ${limits.sendTimeoutMs / 1000} s` : said;
  return new SendError(`the SMTP server ${where} could not be used: ${why}`, 'server', false, error);
}
