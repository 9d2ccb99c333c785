import type { MailServer } from '../../config.ts';
import type { Credential } from '../oauth.ts';
import { DEADLINES, openMailbox } from './connect.ts';
import { fetchListed, MOST_AT_ONCE, type FetchedMessage } from './fetch-messages.ts';
import { searchUids } from './uids.ts';

/**
 * The newest mails of a mailbox, the oldest of them first. Nothing is changed there.
 *
 * @param maxMessageBytes of a larger mail only the header comes
 * @throws what the server or the network says, with `code: 'IMAP_LOGIN_REFUSED'` for a wrong user or password
 */
export async function newestMails(
  { server, password, mailbox }: { server: MailServer; password: Credential; mailbox: string },
  { most, maxMessageBytes }: { most: number; maxMessageBytes: number },
): Promise<FetchedMessage[]> {
  const client = await openMailbox(server, password, mailbox);
  try {
    const uids = (await searchUids(client, { all: true }, DEADLINES.answerMs)).slice(-most);
    const mails: FetchedMessage[] = [];
    for (let at = 0; at < uids.length; at += MOST_AT_ONCE) {
      const options = { maxMessageBytes, deadlines: DEADLINES };
      const batches = fetchListed(client, uids.slice(at, at + MOST_AT_ONCE), options);
      for await (const batch of batches) mails.push(...batch);
    }
    return mails;
  } finally {
    client.close();
  }
}
