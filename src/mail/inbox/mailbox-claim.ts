import type { ImapFlow } from 'imapflow';
import { newMessageId } from '../compose.ts';
import { within, type Deadlines } from './connect.ts';
import { makeFolder } from './folders.ts';
import { arrival, searchUids, uidSet } from './uids.ts';

/** A mail that says which installation works on a mailbox of this account. */
export type Claim = {
  uid: number;
  installation: string;
  mailbox: string;
  /** From which one it was taken over. */
  insteadOf: string | null;
  arrivedAt: Date;
};

export type MailboxClaim = {
  /**
   * Makes sure that the mailbox is ours, and claims it where it is nobody's. Leaves it open for reading.
   *
   * @returns when it was taken over from another installation: what arrived before may have been run there
   * @throws with `code: 'MAILBOX_CLAIMED'` when it is another's, `'CLAIM_REFUSED'` when the server keeps no claims
   */
  check: (client: ImapFlow) => Promise<Date | null>;
  /** The same where a claim was added or removed since; otherwise one short question, with the mailbox still open. */
  checkChanged: (client: ImapFlow) => Promise<void>;
};

export type ClaimParts = {
  installation: string;
  /** The mailbox that is read. */
  mailbox: string;
  /** The one that holds the claims. */
  folder: string;
  /** The operator says that the other one is gone for good. */
  takesOver: boolean;
  botAddress: string;
  deadlines: Deadlines;
  /** Tests alone set it. */
  mostRead?: number;
};

/** A folder of the user's may have the name, with tens of thousands of mails in it: the server searches those then. */
const MOST_READ = 500;

const CLAIM_HEADER = 'x-threadbox-claim';
const HEADERS = [CLAIM_HEADER, 'x-threadbox-mailbox', 'x-threadbox-instead-of'];

/**
 * Who a mailbox belongs to: who claimed it first, or took it over from that one, and so on. Mails are only ever added,
 * and the server numbers them, so all who read them agree.
 *
 * @param claims in the order of their UIDs
 */
export function ownerOf(claims: readonly Claim[], mailbox: string): Claim | null {
  let owner: Claim | null = null;
  for (const claim of claims) {
    if (claim.mailbox !== mailbox) continue;
    if (owner === null || claim.insteadOf === owner.installation) owner = claim;
  }
  return owner;
}

/**
 * Keeps two installations that were set to one mailbox by mistake from both running its mails. Each has a database of
 * its own, so the mailbox is all they share: the claim lies there, and stays when the bot stops.
 */
export function mailboxClaim(parts: ClaimParts): MailboxClaim {
  const { installation, mailbox, deadlines } = parts;
  let mayTakeOver = parts.takesOver;
  let path = '';
  let seen = '';

  async function state(client: ImapFlow): Promise<string> {
    const asked = client.status(path, { messages: true, uidNext: true, uidValidity: true });
    const status = await within(client, deadlines.answerMs, asked);
    return status ? [status.messages, status.uidNext, status.uidValidity].join() : '';
  }

  async function claimed(client: ImapFlow): Promise<Claim> {
    path = await ownFolder(client, parts);
    for (let appended = 0; ; appended += 1) {
      // Before the look: what comes after it is seen as a change.
      seen = await state(client);
      const owner = ownerOf(await readClaims(client, path, parts), mailbox);
      if (owner?.installation === installation) {
        // It was said once, of the one that was there then: who takes it over from us later means it as well.
        mayTakeOver = false;
        return owner;
      }
      if (owner && !mayTakeOver) throw notOurs(owner, mailbox);
      if (appended > 1) throw refused(`a mail that was put into ${path} is not found there`);
      await append(client, path, parts, owner?.installation ?? null);
    }
  }

  async function check(client: ImapFlow): Promise<Date | null> {
    const { insteadOf, arrivedAt } = await claimed(client);
    await within(client, deadlines.answerMs, client.mailboxOpen(mailbox, { readOnly: true }));
    return insteadOf === null ? null : arrivedAt;
  }

  return {
    check,
    async checkChanged(client) {
      if ((await state(client)) !== seen) await check(client);
    },
  };
}

async function ownFolder(client: ImapFlow, { folder, deadlines }: ClaimParts): Promise<string> {
  try {
    return await makeFolder(client, folder.split('/'), deadlines.answerMs);
  } catch (error) {
    if (!client.usable) throw error;
    throw refused(`${folder} cannot be made: ${(error as Error).message}`, error);
  }
}

function refused(why: string, cause?: unknown): Error {
  const message = `It cannot be kept in a mailbox who reads this account: ${why}. CLAIM_MAILBOX names another one, or says no`;
  return Object.assign(new Error(message, { cause }), { code: 'CLAIM_REFUSED' });
}

async function readClaims(
  client: ImapFlow,
  path: string,
  { deadlines: { answerMs, fetchMs }, mostRead = MOST_READ }: ClaimParts,
): Promise<Claim[]> {
  const { exists } = await within(client, answerMs, client.mailboxOpen(path, { readOnly: true }));
  if (exists === 0) return [];
  // Not every server finds all headers: where there are few mails, they are read.
  let range = '1:*';
  if (exists > mostRead) {
    const uids = await searchUids(client, { header: { [CLAIM_HEADER]: true } }, fetchMs);
    if (uids.length === 0) return [];
    if (uids.length > mostRead) throw refused(`${path} holds more than ${mostRead} claims`);
    range = uidSet(uids);
  }
  const query = { uid: true, internalDate: true, headers: HEADERS };
  const asked = client.fetchAll(range, query, { uid: true });
  const rows = await within(client, fetchMs, asked);
  const claims = rows.flatMap((row) => {
    const text = row.headers?.toString('latin1') ?? '';
    const [installation, mailbox, insteadOf] = HEADERS.map(
      (name) => new RegExp(`^${name}: *(\\S+)\\s*$`, 'im').exec(text)?.[1] ?? null,
    );
    if (!installation || !mailbox) return [];
    return [
      {
        uid: row.uid,
        installation,
        mailbox: nameOf(mailbox),
        insteadOf: insteadOf ?? null,
        arrivedAt: arrival(row),
      },
    ];
  });
  return claims.toSorted((one, other) => one.uid - other.uid);
}

/** As nobody may have written it, it need not be well-formed. */
function nameOf(written: string): string {
  try {
    return decodeURIComponent(written);
  } catch {
    return written;
  }
}

async function append(
  client: ImapFlow,
  path: string,
  { installation, mailbox, botAddress, deadlines }: ClaimParts,
  insteadOf: string | null,
): Promise<void> {
  const mail = [
    `From: Threadbox <${botAddress}>`,
    `To: ${botAddress}`,
    `Subject: Threadbox ${installation} reads ${encodeURIComponent(mailbox)}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: ${newMessageId(botAddress)}`,
    `X-Threadbox-Claim: ${installation}`,
    `X-Threadbox-Mailbox: ${encodeURIComponent(mailbox)}`,
    ...(insteadOf === null ? [] : [`X-Threadbox-Instead-Of: ${insteadOf}`]),
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'A Threadbox works on this mailbox. As long as this mail lies here, another one that has a database of its own',
    'waits, so that no mail is run twice. If this one is gone for good: npx threadbox start --take-mailbox',
    '',
  ].join('\r\n');
  try {
    // Without a date, so that the server gives it its own time, as it does with the mails that arrive.
    await within(client, deadlines.answerMs, client.append(path, Buffer.from(mail), ['\\Seen']));
  } catch (error) {
    if (!client.usable) throw error;
    throw refused(`no mail can be put into ${path} (${(error as Error).message})`, error);
  }
}

function notOurs({ installation, arrivedAt }: Claim, mailbox: string): Error {
  const since = `${arrivedAt.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  return Object.assign(
    new Error(
      `the Threadbox installation ${installation}, which has another database, has claimed ${mailbox} since ${since}. If it is gone for good: npx threadbox start --take-mailbox`,
    ),
    { code: 'MAILBOX_CLAIMED' },
  );
}
