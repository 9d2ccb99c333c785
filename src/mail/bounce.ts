import { refusalOf, type Refusal } from './refusal.ts';
import { singleAddress } from './sender.ts';

/** A mail server says that a mail could not be delivered. */
export type Bounce = Refusal & {
  /** Of the mail it is about, the likeliest first. Whoever sent it may have written anything here. */
  messageIds: string[];
  /** Who did not get it, in lower case, the likeliest first: as far as that is told. */
  recipients: string[];
};

/** What comes back stands near the beginning; a large mail may be returned whole behind it. */
const READ_BYTES = 256 * 1024;
const MOST_IDS = 20;
const ID = /<[^<>\s@]{1,200}@[^<>\s@]{1,250}>/g;
const ADDRESS = /[^\s<>"(),:;@[\]]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,20}/g;
const TOLD_BYTES = 16 * 1024;
const LONGEST_REASON = 500;
const FAILED_WORDS =
  /undeliver(?:able|ed)|could ?n[o']t be delivered|cannot be delivered|not (?:been )?delivered|delivery (?:has )?failed|returned to sender|permanent (?:fatal )?error|failure notice|wasn't delivered|delivery incomplete/i;

/**
 * Reads a delivery status notification (RFC 3464), or a bounce in plain words. null for all other mail: for a notice that
 * a mail is only late, and for what a vacation responder writes.
 */
export function readBounce(raw: Buffer): Bounce | null {
  const whole = raw.subarray(0, READ_BYTES).toString('latin1');
  const end = /\r\n?\r\n?|\n\r\n?|\n\n/.exec(whole)?.index ?? -1;
  // Nearly all mail is none, which its header tells.
  const header = unfolded(withLf(end === -1 ? whole : whole.slice(0, end)));
  const type = field(header, 'content-type').toLowerCase();
  const isReport = type.startsWith('multipart/report');
  if (isReport ? !/report-type="?delivery-status/.test(type) : !isFromServer(header)) return null;
  const body = unfolded(end === -1 ? '' : withLf(whole.slice(end)));
  const said = isReport ? reportedFailure(body) : toldFailure(header, body);
  if (said === null) return null;
  const replyCode = Number(/(?<![\d.])(5\d\d)(?![\d.])/.exec(said)?.[1] ?? Number.NaN) || null;
  const recipients = recipientsOf(header, body);
  const reason = said.replace(/\s+/g, ' ').trim().slice(0, LONGEST_REASON);
  return { ...refusalOf(said, replyCode), error: reason, messageIds: idsOf(header, body), recipients };
}

/** The fields of the first recipient that was given up (RFC 3464, 2.3). */
function reportedFailure(body: string): string | null {
  const block = failedBlock(body);
  if (block === undefined) return null;
  const status = field(block, 'status');
  const diagnostic = field(block, 'diagnostic-code').replace(/^[\w-]+\s*;\s*/, '');
  return diagnostic.includes(status) ? diagnostic : `${status} ${diagnostic}`;
}

const failedBlock = (body: string) =>
  body.split(/\n\s*\n/).find((one) => field(one, 'action').toLowerCase() === 'failed');

/** Vacation responders have no return path either. */
function isFromServer(header: string): boolean {
  const isUnreturnable = field(header, 'return-path').replace(/\s/g, '') === '<>';
  const isAnswer = /^auto-replied/i.test(field(header, 'auto-submitted'));
  return (
    !isAnswer &&
    (isUnreturnable || /^(?:mailer-daemon|postmaster)@/i.test(singleAddress(field(header, 'from')) ?? ''))
  );
}

/** What qmail, Exim and others write for people to read. */
function toldFailure(header: string, body: string): string | null {
  const told = `${field(header, 'subject')}\n${body}`;
  const isFailure = field(header, 'x-failed-recipients') !== '' || FAILED_WORDS.test(told);
  if (!isFailure || /will (?:be retried|retry|keep trying)|delayed/i.test(field(header, 'subject')))
    return null;
  const lines = body.split('\n').filter((line) => !/^[\w-]+:\s/.test(line));
  return (
    lines.find((line) => /(?<![\d.])5(?:\d\d|\.\d+\.\d+)(?![\d.])/.test(line)) ?? field(header, 'subject')
  );
}

/** The References of the mail that came back name others of the same conversation. */
function idsOf(header: string, body: string): string[] {
  const returned = body.match(/^(?:X-Original-)?Message-ID:.*$/gim) ?? [];
  const told = body.split('\n').filter((line) => !/^(?:references|in-reply-to|x-[\w-]+):/i.test(line));
  const answered = [
    field(header, 'in-reply-to'),
    field(header, 'references').split(/\s+/).toReversed().join(' '),
  ];
  const found = [...returned, ...answered, ...told].flatMap((line) => line.match(ID) ?? []);
  return [...new Set(found)].slice(0, MOST_IDS);
}

/** RFC 3464, 2.3.1 and 2.3.2; else any address in what is told before the mail itself. */
function recipientsOf(header: string, body: string): string[] {
  const failed = failedBlock(body) ?? '';
  const named = [
    field(failed, 'original-recipient'),
    field(failed, 'final-recipient'),
    field(header, 'x-failed-recipients'),
  ];
  const told = body.slice(0, TOLD_BYTES).split('\n');
  const lines = [...named, ...told.filter((line) => !/^[\w-]+:\s/.test(line))];
  const found = lines.flatMap((line) => line.toLowerCase().match(ADDRESS) ?? []);
  return [...new Set(found)].slice(0, MOST_IDS);
}

const withLf = (text: string) => text.replace(/\r\n?/g, '\n');

const unfolded = (lines: string) => lines.replace(/(?<=[^\n])\n[ \t]+(?=\S)/g, ' ');

function field(lines: string, name: string): string {
  return new RegExp(`^${name}:[ \\t]*(.*)$`, 'im').exec(lines)?.[1]?.trim() ?? '';
}
