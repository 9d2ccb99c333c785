import type { FetchMessageObject, ImapFlow } from 'imapflow';
import { within, type Deadlines } from './connect.ts';
import { makeFolder } from './folders.ts';
import { uidSet, uidValidityOf } from './uids.ts';

/** A mail whose outcome is recorded, and where the server had it. */
export type MailToFile = {
  id: number;
  uid: number;
  uidValidity: number;
  /** Its INTERNALDATE: the second proof, beside the UID, that it is the mail that was handled. */
  receivedAt: Date;
  folder: 'processed' | 'refused';
};

/** Names of mailboxes. `/` separates levels, whatever the server writes there. */
export type Folders = Record<MailToFile['folder'], string>;

export type Filed = {
  /** Not to be looked at again: filed now, filed before, gone, or under a UID that names another mail by now. */
  done: number[];
  /** What the server does not let us file. */
  refused: number[];
  /** Why, in the server's words where it has said it. */
  reason: string | null;
};

/** In a row; the next would be refused as well. */
const MOST_REFUSALS = 5;

/**
 * Marks mails as read and moves them, each to the folder of its outcome. A mail that is not there counts as filed, so
 * after a crash the same is simply done again.
 *
 * @param client with the mailbox open for writing
 * @param mails a few hundred at most: they are named in one line
 * @throws when the connection fails
 */
export async function fileMails(
  client: ImapFlow,
  mails: readonly MailToFile[],
  folders: Folders,
  deadlines: Deadlines,
): Promise<Filed> {
  const there = await sameMails(client, mails, deadlines);
  const gone = mails.filter((mail) => !there.has(mail));
  const filed: Filed = { done: gone.map(({ id }) => id), refused: [], reason: null };
  for (const folder of ['processed', 'refused'] as const) {
    const group = [...there].filter((mail) => mail.folder === folder);
    if (group.length > 0) await fileGroup(client, group, { path: folders[folder], deadlines, filed });
  }
  return filed;
}

/** Those that are still there. A UID names a mail only with its UIDVALIDITY, and not even so after some restores. */
async function sameMails(
  client: ImapFlow,
  mails: readonly MailToFile[],
  deadlines: Deadlines,
): Promise<Set<MailToFile>> {
  // A connection knows the mailbox as it was at its last command.
  await within(client, deadlines.answerMs, client.noop());
  const found = await lookUp(client, mails, deadlines);
  if (found.size === mails.length || !client.mailbox) return found;
  // Before a mail counts as gone, the server has to say so of the mailbox as it is now.
  await within(client, deadlines.answerMs, client.mailboxOpen(client.mailbox.path));
  const missing = mails.filter((mail) => !found.has(mail));
  return new Set([...found, ...(await lookUp(client, missing, deadlines))]);
}

async function lookUp(
  client: ImapFlow,
  mails: readonly MailToFile[],
  { fetchMs }: Deadlines,
): Promise<Set<MailToFile>> {
  const current = mails.filter(({ uidValidity }) => uidValidity === uidValidityOf(client));
  if (current.length === 0) return new Set();
  const asked = client.fetchAll(setOf(current), { uid: true, internalDate: true }, { uid: true });
  const rows = new Map((await within(client, fetchMs, asked)).map((row) => [row.uid, row]));
  return new Set(current.filter((mail) => isSame(mail, rows.get(mail.uid))));
}

const setOf = (mails: readonly MailToFile[]): string =>
  uidSet([...new Set(mails.map(({ uid }) => uid))].toSorted((one, other) => one - other));

function isSame({ receivedAt }: MailToFile, row: FetchMessageObject | undefined): boolean {
  if (!row) return false;
  const arrived = new Date(row.internalDate ?? Number.NaN).getTime();
  // A server that does not tell it leaves nothing to compare.
  return Number.isNaN(arrived) || arrived === receivedAt.getTime();
}

type Filing = { path: string; deadlines: Deadlines; filed: Filed };

async function fileGroup(
  client: ImapFlow,
  mails: readonly MailToFile[],
  { path, deadlines, filed }: Filing,
): Promise<void> {
  const folder = path.split('/');
  const tryToFile = async (some: readonly MailToFile[]): Promise<boolean> => {
    try {
      return await fileAll(client, some, folder, deadlines);
    } catch (error) {
      if (!client.usable) throw error;
      filed.reason = (error as Error).message;
      return false;
    }
  };
  if (await tryToFile(mails)) {
    filed.done.push(...mails.map(({ id }) => id));
    return;
  }
  // One that cannot be filed must not keep the others where they are.
  let refusals = 0;
  for (const mail of mails) {
    const isFiled = mails.length > 1 && refusals < MOST_REFUSALS && (await tryToFile([mail]));
    refusals = isFiled ? 0 : refusals + 1;
    (isFiled ? filed.done : filed.refused).push(mail.id);
  }
}

/**
 * By MOVE (RFC 6851); without it by COPY, and the mail is taken away from here only where the server can expunge just
 * that one (RFC 4315: UID EXPUNGE) and lets us (RFC 4314: the rights t and e). A plain EXPUNGE would delete what others have
 * marked. So without either, a copy is all, and a crash between the steps leaves two.
 *
 * @returns false when the server refuses
 */
async function fileAll(
  client: ImapFlow,
  mails: readonly MailToFile[],
  folder: string[],
  { fetchMs, answerMs }: Deadlines,
): Promise<boolean> {
  const range = setOf(mails);
  const byUid = { uid: true } as const;
  const path = await ensureFolder(client, folder, answerMs);
  // A mailbox that cannot keep the flag is filed all the same.
  await within(client, answerMs, client.messageFlagsAdd(range, ['\\Seen'], { ...byUid, silent: true }));
  if (client.capabilities.has('MOVE')) {
    return Boolean(await within(client, fetchMs, client.messageMove(range, path, byUid)));
  }
  if (!(await within(client, fetchMs, client.messageCopy(range, path, byUid)))) return false;
  if (client.capabilities.has('UIDPLUS')) await takeAway(client, range, fetchMs);
  return true;
}

/** What may not be taken away stays, beside its copy: to try again would make another one. */
async function takeAway(client: ImapFlow, range: string, timeoutMs: number): Promise<void> {
  try {
    await within(client, timeoutMs, client.messageDelete(range, { uid: true }));
  } catch (error) {
    if (!client.usable) throw error;
  }
}

const foldersOf = new WeakMap<ImapFlow, Map<string, string>>();

/** Makes the folder where it is missing, once for each connection. @returns its path as the server writes it */
async function ensureFolder(client: ImapFlow, folder: string[], timeoutMs: number): Promise<string> {
  const known = foldersOf.get(client) ?? new Map<string, string>();
  foldersOf.set(client, known);
  const name = folder.join('/');
  const path = known.get(name) ?? (await makeFolder(client, folder, timeoutMs));
  known.set(name, path);
  return path;
}
