import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { LOGGED_IN_MS } from '../page-address.ts';

/** By what somebody is let in: a token, or as an admin who was mailed a link. */
export type LetInBy = { kind: 'token'; id: number } | { kind: 'admin'; address: string };

/** Somebody who has logged in on the page. */
export type WebSession = { letInBy: LetInBy; csrfToken: string; createdAtMs: number; usedAtMs: number };

export const SESSION_COOKIE = 'threadbox_session';
/** A page left open goes on for as long as it is looked at. */
export const IDLE_MS = 3_600_000;
const MOST = 500;

/** Held in memory alone: a restart of the bot logs everybody out. Keyed by a hash, so that no dump of it lets anybody in. */
export class WebSessions {
  readonly #sessions = new Map<string, WebSession>();

  /** @returns what goes into the cookie */
  open(letInBy: LetInBy, nowMs: number): { cookie: string; session: WebSession } {
    const cookie = randomBytes(32).toString('base64url');
    const csrfToken = randomBytes(32).toString('base64url');
    const session = { letInBy, csrfToken, createdAtMs: nowMs, usedAtMs: nowMs };
    this.#sessions.set(keyOf(cookie), session);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > MOST && oldest !== undefined) this.#sessions.delete(oldest);
    return { cookie, session };
  }

  /** It goes on from here for as long as it may rest. */
  find(cookie: string, nowMs: number): WebSession | null {
    const key = keyOf(cookie);
    const session = this.#sessions.get(key);
    if (!session) return null;
    if (nowMs - session.createdAtMs > LOGGED_IN_MS || nowMs - session.usedAtMs > IDLE_MS) {
      this.#sessions.delete(key);
      return null;
    }
    session.usedAtMs = nowMs;
    return session;
  }

  close(cookie: string): void {
    this.#sessions.delete(keyOf(cookie));
  }
}

const keyOf = (cookie: string): string => createHash('sha256').update(cookie).digest('base64');

/** The value of one cookie (RFC 6265, 4.2.1). */
export function cookieIn(header: string | undefined, name: string): string | null {
  for (const pair of (header ?? '').split(';')) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return null;
}

/** RFC 6265bis, 4.1.2: read by no script, sent along by no other site. */
export function cookieHeader(value: string, { isSecure }: { isSecure: boolean }): string {
  const life = value === '' ? 0 : LOGGED_IN_MS / 1000;
  return `${SESSION_COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${life}${isSecure ? '; Secure' : ''}`;
}

/**
 * Whether a request that changes something was made by the page itself: it knows the session's token, which no other
 * site can read, and the browser says that it comes from here, where it says anything.
 */
export function isFromThePage(
  { csrfToken }: Pick<WebSession, 'csrfToken'>,
  headers: {
    given: string | undefined;
    origin: string | undefined;
    host: string | undefined;
    site: string | undefined;
  },
): boolean {
  const { given = '', origin, host, site } = headers;
  if (site !== undefined && site !== 'same-origin') return false;
  if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host)) return false;
  const [wanted, sent] = [Buffer.from(csrfToken), Buffer.from(given)];
  return wanted.length === sent.length && timingSafeEqual(wanted, sent);
}

/**
 * Whether the browser speaks TLS with a proxy in front: it says so, or the request is to PUBLIC_URL. Who forges either
 * keeps their own cookie from themselves.
 */
export function isOverTls(headers: Headers, { publicUrl }: { publicUrl: string | null }): boolean {
  if (headers.get('x-forwarded-proto') === 'https') return true;
  const url = publicUrl === null ? null : new URL(publicUrl);
  return url?.protocol === 'https:' && headers.get('host') === url.host;
}
