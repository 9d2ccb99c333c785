import type { Log } from '../log.ts';
import type { KeptRefreshToken } from './kept-refresh-token.ts';

/** What a mail server lets us in with: a password, or access tokens (RFC 7628, XOAUTH2). */
export type Credential = string | TokenSource;

export type TokenSource = {
  /**
   * A token that is good for some minutes at least.
   *
   * @param refused the one that a mail server has not taken: it is not given again
   * @throws {OauthError}
   */
  accessToken: (refused?: string) => Promise<string>;
};

class OauthError extends Error {
  /** `OAUTH_REFUSED`: asking again is no use before the settings are others. */
  readonly code: 'OAUTH_REFUSED' | 'OAUTH_UNAVAILABLE';

  constructor(code: OauthError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'OauthError';
    this.code = code;
  }
}

export type OauthSettings = {
  tokenUrl: string;
  clientId: string;
  clientSecret: string | null;
  refreshToken: string;
  scope: string | null;
};

const ANSWER_MS = 20_000;
/** Renewed so long before its end, or at nine tenths of a short life. */
const MARGIN_MS = 300_000;
const LIFE_MS = 3_600_000;
/** A refusal holds so long before it is asked again. */
const REFUSAL_MS = 60_000;
const REFUSALS = /^(?:invalid_grant|invalid_client|unauthorized_client|invalid_scope|interaction_required)$/;

type Held = { token: string; renewAtMs: number };

/**
 * Gets access tokens for a refresh token (RFC 6749, 6), and keeps each until shortly before its end. Whoever asks at the
 * same time gets the same one. A refusal is an alert in the log, once.
 */
export function createTokenSource(
  settings: OauthSettings,
  { now, log, kept }: { now: () => Date; log: Log; kept: KeptRefreshToken },
): TokenSource {
  let refreshToken: string | null = null;
  let held: Held | null = null;
  let asking: Promise<string> | null = null;
  let refusal: { error: OauthError; untilMs: number } | null = null;

  async function renew(): Promise<string> {
    try {
      refreshToken ??= (await kept.read()) ?? settings.refreshToken;
      const answer = await askTokenServer(settings, refreshToken);
      // Microsoft gives a new one each time; the old one holds for some weeks.
      if (answer.refreshToken !== null && answer.refreshToken !== refreshToken) {
        refreshToken = answer.refreshToken;
        await kept
          .write(refreshToken)
          .catch((error: unknown) => log.warn({ err: error }, 'the new refresh token could not be kept'));
      }
      const marginMs = Math.min(MARGIN_MS, answer.lifeMs * 0.1);
      held = { token: answer.accessToken, renewAtMs: now().getTime() + answer.lifeMs - marginMs };
      if (refusal) log.info('the token server gives access tokens again');
      refusal = null;
      return answer.accessToken;
    } catch (error) {
      if (error instanceof OauthError && error.code === 'OAUTH_REFUSED') {
        if (!refusal) log.error({ reason: error.message }, 'the mailbox cannot be used');
        // Perhaps the one of the settings is taken.
        refreshToken = settings.refreshToken;
        refusal = { error, untilMs: now().getTime() + REFUSAL_MS };
      }
      throw error;
    }
  }

  return {
    async accessToken(refused) {
      if (held && held.token === refused) held = null;
      if (held && now().getTime() < held.renewAtMs) return held.token;
      if (refusal && now().getTime() < refusal.untilMs) throw refusal.error;
      asking ??= renew().finally(() => {
        asking = null;
      });
      return asking;
    },
  };
}

type TokenAnswer = { accessToken: string; refreshToken: string | null; lifeMs: number };

/** @throws {OauthError} whose words have no token in them */
async function askTokenServer(settings: OauthSettings, refreshToken: string): Promise<TokenAnswer> {
  const { tokenUrl, clientId, clientSecret, scope } = settings;
  const { host } = new URL(tokenUrl);
  let status: number;
  let answer: Record<string, unknown>;
  try {
    const response = await fetch(tokenUrl, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: refreshToken,
        client_id: clientId,
        ...(clientSecret === null ? {} : { client_secret: clientSecret }),
        ...(scope === null ? {} : { scope }),
      }),
      // It would be given the secrets.
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    ({ status } = response);
    answer = (await response.json()) as Record<string, unknown>;
  } catch (cause) {
    throw unavailable(host, (cause as Error).message, cause);
  }
  const { access_token: accessToken, expires_in: seconds, error } = answer;
  if (typeof accessToken === 'string' && accessToken !== '') {
    const lifeMs = Number(seconds) > 0 ? Number(seconds) * 1000 : LIFE_MS;
    const renewed = answer['refresh_token'];
    return { accessToken, lifeMs, refreshToken: typeof renewed === 'string' ? renewed : null };
  }
  const said = [error, answer['error_description']].filter((part) => typeof part === 'string').join(': ');
  const words = said.replace(/\s+/g, ' ').slice(0, 300) || `HTTP ${status}`;
  if (typeof error !== 'string' || !REFUSALS.test(error)) throw unavailable(host, words);
  throw new OauthError(
    'OAUTH_REFUSED',
    `the token server ${host} refuses OAUTH_REFRESH_TOKEN or OAUTH_CLIENT_ID (${words}). Log in once more, set the new refresh token, and start Threadbox again`,
  );
}

function unavailable(host: string, words: string, cause?: unknown): OauthError {
  return new OauthError('OAUTH_UNAVAILABLE', `the token server ${host} could not be used: ${words}`, {
    cause,
  });
}
