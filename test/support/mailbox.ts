import type { ImapFlow } from 'imapflow';
import { sendToBot, type Correspondent } from '../../src/cli/write-to-bot.ts';
import { LOOP_HEADER } from '../../src/mail/headers.ts';
import { openMailbox } from '../../src/mail/inbox/connect.ts';
import { parseMessage, type ParsedMessage } from '../../src/mail/parse.ts';
import { until } from './until.ts';

/** An INBOX, as far as it was read, with the connection that it was read by. */
type Box = { client: ImapFlow; mails: ParsedMessage[] };

const boxes = new Map<string, Promise<Box | null>>();

/**
 * Every mail in somebody's INBOX, in the order of arrival. It is looked into again and again while something is waited for:
 * so each mail is fetched and parsed once, and the connection is kept; it ends with the server.
 */
export async function readMails({ imap }: Pick<Correspondent, 'imap'>): Promise<ParsedMessage[]> {
  const name = JSON.stringify(imap);
  // One look after the other: two at the same time would fetch the same mails.
  const looked = (boxes.get(name) ?? Promise.resolve(null)).then((box) => look(imap, box));
  boxes.set(
    name,
    looked.catch(() => null),
  );
  return [...(await looked).mails];
}

/** Sends one mail and waits for what the bot answers. */
export async function ask(
  correspondent: Correspondent,
  mail: Parameters<typeof sendToBot>[1],
): Promise<ParsedMessage> {
  return answerTo(correspondent, await sendToBot(correspondent, mail));
}

/** The first answer to the mail with that Message-ID; a word on why it takes so long is none. */
export async function answerTo(
  correspondent: Pick<Correspondent, 'imap'>,
  messageId: string,
): Promise<ParsedMessage> {
  return until(async () =>
    (await readMails(correspondent)).find((mail) => mail.inReplyTo === messageId && isAnswer(mail)),
  );
}

/** A word on why it takes so long is none. */
export const isAnswer = ({ headers }: ParsedMessage): boolean =>
  !/^(?:delay|notice)$/.test(headers.get(LOOP_HEADER.toLowerCase())?.[0] ?? '');

async function look({ server, password }: Correspondent['imap'], known: Box | null): Promise<Box> {
  const isThere = await known?.client.noop().then(
    () => known.client.usable,
    () => false,
  );
  const box = known && isThere ? known : await open(server, password);
  const { client, mails } = box;
  const exists = client.mailbox ? client.mailbox.exists : 0;
  if (exists > mails.length) {
    const fetched = await client.fetchAll(`${mails.length + 1}:*`, { source: true });
    mails.push(...(await Promise.all(fetched.map(({ source }) => parseMessage(source as Buffer)))));
  }
  return box;
}

async function open(server: Correspondent['imap']['server'], password: string): Promise<Box> {
  const box: Box = { client: await openMailbox(server, password, 'INBOX'), mails: [] };
  // The others have other numbers from then on.
  box.client.on('expunge', () => (box.mails = []));
  return box;
}
