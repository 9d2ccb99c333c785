import type { MailServer } from '../../config.ts';
import type { Credential } from '../oauth.ts';
import { DEADLINES, openMailbox, within } from './connect.ts';

/** What there is to know of an IMAP server before one relies on it. */
export type ServerSurvey = {
  /** In capitals, as the server announces them after the login. */
  capabilities: string[];
  mails: number;
  /** Which of the asked mailboxes are there. */
  present: string[];
};

/**
 * Logs in, opens the mailbox for reading, and looks which others are there. Nothing is changed.
 *
 * @param others with `/` between levels
 * @throws as `openMailbox`
 */
export async function surveyServer(
  { server, password, mailbox }: { server: MailServer; password: Credential; mailbox: string },
  others: readonly string[],
): Promise<ServerSurvey> {
  const client = await openMailbox(server, password, mailbox);
  try {
    const listed = await within(client, DEADLINES.answerMs, client.list());
    const names = listed.map(({ path, delimiter }) =>
      path
        .replace(client.namespace?.prefix ?? '', '')
        .split(delimiter)
        .join('/'),
    );
    return {
      capabilities: [...client.capabilities.keys()].map((name) => name.toUpperCase()),
      mails: client.mailbox ? client.mailbox.exists : 0,
      present: others.filter((other) => names.some((name) => name.toLowerCase() === other.toLowerCase())),
    };
  } finally {
    client.close();
  }
}
