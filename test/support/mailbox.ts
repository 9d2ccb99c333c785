import { ImapFlow } from 'imapflow';
import type { Correspondent } from '../../src/cli/write-to-bot.ts';
import { parseMessage, type ParsedMessage } from '../../src/mail/parse.ts';

/** Every mail in somebody's INBOX, in the order of arrival. */
export async function readMails({ imap }: Pick<Correspondent, 'imap'>): Promise<ParsedMessage[]> {
  const { host, port, user, tls, verifyCertificate } = imap.server;
  const client = new ImapFlow({
    host,
    port,
    secure: tls === 'implicit',
    auth: { user, pass: imap.password },
    tls: { rejectUnauthorized: verifyCertificate },
    logger: false,
  });
  client.on('error', () => {});
  await client.connect();
  try {
    const { exists } = await client.mailboxOpen('INBOX', { readOnly: true });
    if (exists === 0) return [];
    const mails = await client.fetchAll('1:*', { source: true });
    return await Promise.all(mails.map(({ source }) => parseMessage(source as Buffer)));
  } finally {
    client.close();
  }
}
