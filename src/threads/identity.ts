import { createHash } from 'node:crypto';
import { stripReplyPrefixes } from '../mail/reply-prefixes.ts';
import { isTokenForm } from './reply-token.ts';

/** What a sender wrote to name a repository. `label` is empty where none is given. */
export type NamedRepository = { name: string; label: string; rest: string };

const NAME = '[A-Za-z0-9][A-Za-z0-9._-]{0,99}';
const LABEL = '[\\p{L}\\p{N}][\\p{L}\\p{N}._-]{0,63}';
const TAG = new RegExp(`^(${NAME})(?:#(${LABEL})?)?$`, 'u');
const BODY_LINE = new RegExp(`^repo:[ \\t]*(${NAME})(?:#(${LABEL})?)?[ \\t]*$`, 'iu');
/** What stands in the place of a repository's name where an admin asks the database. */
export const SQL_NAME = 'sql';
/** The same, where an admin asks to be let in on the page. */
export const LOGIN_NAME = 'login';
/** What gateways put before the subjects of mail from outside. In small letters it can only be a repository's name. */
const GATEWAY_TAG = /^ext(?:ern(?:al)?)?$/i;
/** PostgreSQL indexes at most 2,700 bytes of a row. */
const LONGEST_KEY = 400;
const LONGEST_SLUG = 48;

/** Equal for all subjects of one conversation. An empty key equals nothing. */
export function subjectKey(subject: string): string {
  const folded = stripReplyPrefixes(subject.normalize('NFC').replace(/\s+/gu, ' ')).toLowerCase().trim();
  return [...folded].slice(0, LONGEST_KEY).join('').trim();
}

/** The `[name]` or `[name#label]` at the start of a subject, after reply prefixes; `rest` is what follows it. */
export function repositoryTag(subject: string): NamedRepository | null {
  let text = stripReplyPrefixes(subject);
  for (;;) {
    const bracket = /^\[([^[\]]*)\]\s*/u.exec(text);
    if (!bracket) return null;
    text = stripReplyPrefixes(text.slice(bracket[0].length));
    const inside = (bracket[1] ?? '').trim();
    const tag = TAG.exec(inside);
    const isFromGateway = GATEWAY_TAG.test(inside) && inside !== inside.toLowerCase();
    if (tag && !isFromGateway) return named(tag, text);
  }
}

/** The `name` of `bot+name@...` among the recipients of a message; a token of ours is none. */
export function plusAddressName(recipients: readonly string[], botAddress: string): string | null {
  return plusTags(recipients, botAddress).find((tag) => TAG.test(tag) && !isTokenForm(tag)) ?? null;
}

/** The name that a message is for, before it is known of what: that in its subject goes before that in its address. */
export function nameGiven(
  { subject, recipients }: { subject: string; recipients: readonly string[] },
  botAddress: string,
): string | null {
  return repositoryTag(subject)?.name ?? plusAddressName(recipients, botAddress);
}

/** The token of `bot+token@...` among the recipients of a message. */
export function replyToken(recipients: readonly string[], botAddress: string): string | null {
  return plusTags(recipients, botAddress).find(isTokenForm) ?? null;
}

function plusTags(recipients: readonly string[], botAddress: string): string[] {
  const at = botAddress.lastIndexOf('@');
  const prefix = `${botAddress.slice(0, at)}+`.toLowerCase();
  const domain = botAddress.slice(at).toLowerCase();
  return recipients
    .map((recipient) => recipient.toLowerCase())
    .filter((address) => address.startsWith(prefix) && address.endsWith(domain))
    .map((address) => address.slice(prefix.length, -domain.length));
}

/** The `repo: name` that is the first line of a body; `rest` is the body below it. */
export function bodyRepositoryLine(text: string): NamedRepository | null {
  const [, first = '', rest = ''] = /^\s*([^\r\n]*)(?:\r?\n)?([^]*)$/.exec(text) ?? [];
  const line = BODY_LINE.exec(first.trim());
  return line && named(line, rest);
}

/** As the guide shows it: `john@example.com-my-react-app`, with `#label` for a second thread on purpose. */
export function threadId(sender: string, repositoryName: string, label: string): string {
  return `${sender}-${repositoryName}${label === '' ? '' : `#${label}`}`;
}

/**
 * A subject as part of a thread's id, where each subject is a thread: letters and digits joined by dashes. A short hash
 * is added where that leaves out more than punctuation, so that two subjects do not become one thread.
 */
export function subjectSlug(subject: string): string {
  const key = subjectKey(repositoryTag(subject)?.rest ?? subject);
  const words = key.normalize('NFKC').toLowerCase();
  const slug = words.replace(/[^\p{L}\p{M}\p{N}]+/gu, '-').replace(/^-|-$/g, '');
  const isFaithful = /^[\p{L}\p{M}\p{N}\s.,;:!?'"()_-]*$/u.test(words);
  if (slug !== '' && isFaithful && [...slug].length <= LONGEST_SLUG) return slug;
  if (key === '') return 'no-subject';
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 6);
  const cut = [...slug].slice(0, LONGEST_SLUG).join('').replace(/-$/, '');
  return cut === '' ? hash : `${cut}-${hash}`;
}

const named = ([, name = '', label = '']: RegExpExecArray, rest: string): NamedRepository => ({
  name,
  label: label.toLowerCase(),
  rest,
});
