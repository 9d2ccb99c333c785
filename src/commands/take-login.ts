import { randomBytes } from 'node:crypto';
import type { Config } from '../config.ts';
import { renderLoginNotice, type LoginNotice } from '../mail/login-notices.ts';
import type { ParsedMessage } from '../mail/parse.ts';
import { LOGGED_IN_MS, pageAddress } from '../page-address.ts';
import type { Db } from '../store/database.ts';
import type { HourlyCaps } from '../store/hourly.ts';
import { addLoginLink, loginLinksSince } from '../store/login-links.ts';
import type { MessageFacts, ReceivedMessage } from '../store/messages.ts';
import { listRepositoriesFor } from '../store/repositories.ts';
import { isAdmin } from '../store/users.ts';
import { LOGIN_NAME, nameGiven } from '../threads/identity.ts';
import { dropOverCap } from './hold-caps.ts';
import { answerOnly, type SettleParts, type Taken } from './settle.ts';

export type LoginParts = SettleParts & {
  config: Pick<
    Config,
    | 'botAddress'
    | 'replyToken'
    | 'adminAddresses'
    | 'loginByMail'
    | 'imap'
    | 'senderAuth'
    | 'http'
    | 'publicUrl'
  >;
  hourlyCaps: HourlyCaps;
};

const HOUR_MS = 3_600_000;
const LINK_MS = 600_000;
const MOST_LINKS_AN_HOUR = 5;

/**
 * The way of a message by which an admin, whose sender is verified, asks to be let in on the page. There is no question
 * back, as there is before queries: the link goes to the admin's own address and to nobody else, so whoever opens it
 * reads the admin's mail; that is all that a question would show.
 *
 * @returns null where it is none, also for who is no admin: to them there is no such thing
 */
export async function takeLogin(
  parts: LoginParts,
  received: ReceivedMessage,
  facts: MessageFacts,
  message: ParsedMessage,
): Promise<Taken | null> {
  const { db, config, now, log } = parts;
  const sender = facts.address as string;
  if (!isForLogin(parts, message)) return null;
  // One that was registered before the name was taken stays one.
  if ((await listRepositoriesFor(db, sender)).some(({ name }) => name.toLowerCase() === LOGIN_NAME))
    return null;
  if (!(await isAdmin(db, config, sender))) {
    log.warn({ message: received.id, sender }, 'somebody who is no admin has asked for a link to log in by');
    return null;
  }
  const overCap = await dropOverCap(parts, received, facts, { threadId: null, isControl: false });
  if (overCap) return overCap;
  const say = (notice: LoginNotice, record?: (transaction: Db) => Promise<unknown>): Promise<Taken> => {
    const content = renderLoginNotice(notice);
    return answerOnly(parts, received, facts, { reason: notice.kind, content, ...(record && { record }) });
  };
  if (config.imap !== null && config.senderAuth === 'none') return say({ kind: 'login-no-sender-check' });
  const page = pageAddress(config);
  if (page.kind !== 'at') return say({ kind: 'login-no-page', why: page.kind });
  const at = now();
  const made = await loginLinksSince(db, sender, new Date(at.getTime() - HOUR_MS));
  const oldest = made[MOST_LINKS_AN_HOUR - 1];
  if (oldest) {
    const againAt = new Date(oldest.getTime() + HOUR_MS);
    return say({ kind: 'login-too-many', maximum: MOST_LINKS_AN_HOUR, againAt, now: at });
  }
  const secret = randomBytes(32).toString('base64url');
  const until = new Date(at.getTime() + LINK_MS);
  // Behind the #: no server, proxy or log ever gets it, but by the button.
  const url = `${page.origin}/#/login/${secret}`;
  const { isHereOnly } = page;
  return say(
    { kind: 'login-link', url, isHereOnly, until, sessionMs: LOGGED_IN_MS, now: at },
    (transaction) =>
      addLoginLink(transaction, { secret, address: sender, messageId: received.id, now: at, until }),
  );
}

/** Whether {@link takeLogin} has to be asked: a link is asked for, by whomever. */
export const isForLogin = ({ config }: Pick<LoginParts, 'config'>, message: ParsedMessage): boolean =>
  config.loginByMail && nameGiven(message, config.botAddress)?.toLowerCase() === LOGIN_NAME;
