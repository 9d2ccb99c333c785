import { isSecret, readToken } from '../api-token.ts';
import { noteTokenUsed, tokenById, type TokenRole } from '../store/api-tokens.ts';
import type { Db } from '../store/database.ts';
import { FORBIDDEN, FORGED, tooMany, UNAUTHORIZED, type Problem } from './problem.ts';
import { RateLimit } from './rate-limit.ts';
import type { Caller } from './route.ts';
import { cookieIn, isFromThePage, SESSION_COOKIE, WebSessions, type WebSession } from './web-sessions.ts';

/** A wrong token is mostly a mistyped one; a program that tries many is slowed down. */
const WRONG_TOKENS = { burst: 10, perSecond: 1 / 6 };

type Asking = { headers: Headers; address: string; changes: boolean };

export type DoorParts = { db: Db; now: () => Date };

/** Who is let in: with a token, or as somebody who has logged in with one on the page. */
export class Door {
  readonly #parts: DoorParts;
  readonly #sessions = new WebSessions();
  readonly #wrongTokens = new RateLimit(WRONG_TOKENS);

  constructor(parts: DoorParts) {
    this.#parts = parts;
  }

  /** Whoever gives a token is judged by it alone, cookie or not. */
  async callerFrom(asking: Asking): Promise<Caller | { problem: Problem }> {
    const authorization = asking.headers.get('authorization');
    if (authorization !== null) {
      const [, given = ''] = /^Bearer +(\S+)$/i.exec(authorization.trim()) ?? [];
      return this.#byToken(given, asking.address);
    }
    const cookie = cookieIn(asking.headers.get('cookie') ?? undefined, SESSION_COOKIE);
    const session = cookie === null ? null : this.#sessions.find(cookie, this.#nowMs());
    if (!session) return { problem: UNAUTHORIZED };
    const caller = await this.#bySession(session);
    if ('problem' in caller || !asking.changes) return caller;
    return isFromThePage(session, originOf(asking.headers)) ? caller : { problem: FORGED };
  }

  /** @returns what goes into the cookie */
  async logIn(
    given: string,
    address: string,
  ): Promise<{ cookie: string; caller: Caller } | { problem: Problem }> {
    const caller = await this.#byToken(given, address);
    if ('problem' in caller) return caller;
    const { cookie, session } = this.#sessions.open(caller.tokenId, this.#nowMs());
    return { cookie, caller: { ...caller, csrfToken: session.csrfToken } };
  }

  logOut(headers: Headers): void {
    const cookie = cookieIn(headers.get('cookie') ?? undefined, SESSION_COOKIE);
    if (cookie !== null) this.#sessions.close(cookie);
  }

  /** Whether somebody who was let in still would be: a token is revoked, or a session has come to its end. */
  async isStillLetIn({ tokenId }: Caller, headers: Headers): Promise<boolean> {
    const isByToken = headers.get('authorization') !== null;
    const cookie = cookieIn(headers.get('cookie') ?? undefined, SESSION_COOKIE);
    // A page that is left open is looked at: it keeps its session for as long as one may last.
    if (!isByToken && (cookie === null || !this.#sessions.find(cookie, this.#nowMs()))) return false;
    return (await tokenById(this.#parts.db, tokenId)) !== null;
  }

  async #byToken(given: string, address: string): Promise<Caller | { problem: Problem }> {
    const read = readToken(given);
    const token = read && (await tokenById(this.#parts.db, read.id));
    if (!read || !token || !isSecret(read.secret, token.hash)) {
      const waitSeconds = this.#wrongTokens.take(address, this.#nowMs());
      return { problem: waitSeconds > 0 ? tooMany(waitSeconds) : UNAUTHORIZED };
    }
    await noteTokenUsed(this.#parts.db, token.id, this.#parts.now());
    return { by: token.name, role: token.role, tokenId: token.id, csrfToken: null };
  }

  async #bySession({ tokenId, csrfToken }: WebSession): Promise<Caller | { problem: Problem }> {
    const token = await tokenById(this.#parts.db, tokenId);
    if (!token) return { problem: UNAUTHORIZED };
    return { by: token.name, role: token.role, tokenId, csrfToken };
  }

  #nowMs(): number {
    return this.#parts.now().getTime();
  }
}

/** @returns null when the role is enough */
export const roleProblem = (role: TokenRole, { role: has }: Pick<Caller, 'role'>): Problem | null =>
  role === 'admin' && has !== 'admin' ? FORBIDDEN : null;

const originOf = (headers: Headers) => ({
  given: headers.get('x-csrf-token') ?? undefined,
  origin: headers.get('origin') ?? undefined,
  host: headers.get('host') ?? undefined,
  site: headers.get('sec-fetch-site') ?? undefined,
});
