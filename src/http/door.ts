import { isSecret, readToken } from '../api-token.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { noteTokenUsed, tokenById, type TokenRole } from '../store/api-tokens.ts';
import type { Db } from '../store/database.ts';
import { useLoginLink } from '../store/login-links.ts';
import { isAdmin } from '../store/users.ts';
import { FORBIDDEN, FORGED, SPENT_LINK, tooMany, UNAUTHORIZED, type Problem } from './problem.ts';
import { RateLimit } from './rate-limit.ts';
import type { Caller } from './route.ts';
import {
  cookieIn,
  isFromThePage,
  SESSION_COOKIE,
  WebSessions,
  type LetInBy,
  type WebSession,
} from './web-sessions.ts';

/** A wrong token is mostly a mistyped one; a program that tries many is slowed down. */
const WRONG_TOKENS = { burst: 10, perSecond: 1 / 6 };

type Asking = { headers: Headers; address: string; changes: boolean };

export type DoorParts = {
  db: Db;
  config: Pick<Config, 'adminAddresses' | 'loginByMail'>;
  now: () => Date;
  log: Log;
};

type LoggedIn = { cookie: string; caller: Caller };

/** Who is let in: with a token, or as somebody who has logged in on the page, with one or by a link. */
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
  async logIn(given: string, address: string): Promise<LoggedIn | { problem: Problem }> {
    const caller = await this.#byToken(given, address);
    return 'problem' in caller ? caller : this.#opened(caller);
  }

  /** By a link that was mailed, which is used up by that. */
  async logInByLink(secret: string, address: string): Promise<LoggedIn | { problem: Problem }> {
    const { db, config, log, now } = this.#parts;
    if (!config.loginByMail) return { problem: UNAUTHORIZED };
    const admin = await useLoginLink(db, secret, { from: address, now: now() });
    // Who has asked as an admin may be none any more.
    const caller = admin === null ? null : await this.#byLetIn({ kind: 'admin', address: admin });
    if (!caller) {
      const waitSeconds = this.#wrongTokens.take(address, this.#nowMs());
      if (waitSeconds > 0) return { problem: tooMany(waitSeconds) };
      log.warn({ from: address, by: admin }, 'a link to log in by was not taken');
      return { problem: SPENT_LINK };
    }
    log.info({ from: address, by: caller.by }, 'an admin has logged in by a link');
    return this.#opened(caller);
  }

  logOut(headers: Headers): void {
    const cookie = cookieIn(headers.get('cookie') ?? undefined, SESSION_COOKIE);
    if (cookie !== null) this.#sessions.close(cookie);
  }

  /** Whether somebody who was let in still would be: a token is revoked, or a session has come to its end. */
  async isStillLetIn({ letInBy }: Caller, headers: Headers): Promise<boolean> {
    const isByToken = headers.get('authorization') !== null;
    const cookie = cookieIn(headers.get('cookie') ?? undefined, SESSION_COOKIE);
    // A page that is left open is looked at: it keeps its session for as long as one may last.
    if (!isByToken && (cookie === null || !this.#sessions.find(cookie, this.#nowMs()))) return false;
    return letInBy !== null && (await this.#byLetIn(letInBy)) !== null;
  }

  async #byToken(given: string, address: string): Promise<Caller | { problem: Problem }> {
    const read = readToken(given);
    const token = read && (await tokenById(this.#parts.db, read.id));
    if (!read || !token || !isSecret(read.secret, token.hash)) {
      const waitSeconds = this.#wrongTokens.take(address, this.#nowMs());
      return { problem: waitSeconds > 0 ? tooMany(waitSeconds) : UNAUTHORIZED };
    }
    await noteTokenUsed(this.#parts.db, token.id, this.#parts.now());
    const { id, name: by, role } = token;
    return { by, role, letInBy: { kind: 'token', id }, csrfToken: null };
  }

  async #bySession({ letInBy, csrfToken }: WebSession): Promise<Caller | { problem: Problem }> {
    const caller = await this.#byLetIn(letInBy);
    return caller ? { ...caller, csrfToken } : { problem: UNAUTHORIZED };
  }

  /** @returns null when a token is revoked, or an admin is none any more */
  async #byLetIn(letInBy: LetInBy): Promise<Caller | null> {
    const { db, config } = this.#parts;
    if (letInBy.kind === 'admin') {
      const { address } = letInBy;
      return (await isAdmin(db, config, address))
        ? { by: address, role: 'admin', letInBy, csrfToken: null }
        : null;
    }
    const token = await tokenById(db, letInBy.id);
    return token && { by: token.name, role: token.role, letInBy, csrfToken: null };
  }

  #opened(caller: Caller): LoggedIn {
    const { cookie, session } = this.#sessions.open(caller.letInBy as LetInBy, this.#nowMs());
    return { cookie, caller: { ...caller, csrfToken: session.csrfToken } };
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
