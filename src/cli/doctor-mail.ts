import { loadConfig, readEnvironment, type MailServer } from '../config.ts';
import { createLog } from '../log.ts';
import { mailAccounts } from '../mail-accounts.ts';
import { plural } from '../mail/amounts.ts';
import { newestMails } from '../mail/inbox/newest.ts';
import { systemResolve } from '../mail/sender-auth/dns.ts';
import { examine, summarize, type Finding, type Survey } from '../mail/sender-auth/survey.ts';
import { visibleLine } from '../mail/visible-text.ts';
import { CliError } from './command.ts';
import { withCauses } from './explain.ts';
import { printJson, table } from './table.ts';

const MOST_MAILS = 50;
const MAX_MESSAGE_BYTES = 4 << 20;

/**
 * Reads the newest mails of the bot's mailbox and tells how their senders can be verified.
 *
 * @returns the exit code: 1 where it cannot tell
 * @throws {CliError} when there is no mailbox to read
 */
export async function examineMailbox({ asJson }: { asJson: boolean }): Promise<number> {
  const { config, secrets } = loadConfig(readEnvironment(), { isForBot: false });
  const { imap, mailbox, botAddress } = config;
  if (!imap) {
    throw new CliError(
      'IMAP_URL is not set: there is no mailbox to look at.\n' +
        'The embedded mail server needs no SENDER_AUTH: with it, everybody writes as who logged in.',
    );
  }
  const log = createLog('silent');
  const { password } = mailAccounts(config, secrets, undefined, { now: () => new Date(), log }).imap;
  const account = { server: imap, password, mailbox };
  const mails = await newestMails(account, { most: MOST_MAILS, maxMessageBytes: MAX_MESSAGE_BYTES }).catch(
    (error: unknown) => {
      const trouble = `the mailbox ${mailbox} at ${imap.host}:${imap.port} cannot be read: ${withCauses(error)}`;
      throw new CliError(trouble, 1, { cause: error });
    },
  );
  const resolve = systemResolve();
  const findings: Finding[] = [];
  for (const mail of mails) {
    const finding = await examine(mail, { botAddress, resolve, now: new Date() });
    if (finding) findings.push(finding);
  }
  const survey = summarize(findings);
  if (asJson) printJson(survey);
  else console.log(inWords(survey, { imap, mailbox }));
  return survey.proposal ? 0 : 1;
}

function inWords(survey: Survey, { imap, mailbox }: { imap: MailServer; mailbox: string }): string {
  const { mails } = survey;
  const lines = [
    `The newest ${plural(mails, 'mail')} in ${mailbox} of ${imap.user} at ${imap.host} (at most ${MOST_MAILS}; its own not counted):`,
    '',
    table(['verified by', 'on mails', 'says: verified'], rowsOf(survey)),
    '',
  ];
  return [...lines, ...(survey.proposal ? proposed(survey.proposal) : notToTell(survey))].join('\n');
}

function rowsOf({ groups, microsoft365, dkim, mails }: Survey): string[][] {
  return [
    ...groups.map(({ ids, mails: on, verified }) => [
      `results of ${ids}`,
      `${on} of ${mails}`,
      String(verified),
    ]),
    ...(microsoft365.mails > 0
      ? [['results of Microsoft 365', `${microsoft365.mails} of ${mails}`, String(microsoft365.verified)]]
      : []),
    [
      'DKIM, by Threadbox itself',
      `${dkim.asked} of ${mails}`,
      dkim.asked < mails
        ? `${dkim.verified} (the DNS did not answer for ${mails - dkim.asked})`
        : String(dkim.verified),
    ],
  ];
}

function proposed({ senderAuth, trustedAuthservIds, refused }: NonNullable<Survey['proposal']>): string[] {
  const lines = ['Proposed for .env:', '', `  SENDER_AUTH=${senderAuth}`];
  if (trustedAuthservIds !== null) {
    lines.push(
      `  TRUSTED_AUTHSERV_IDS=${trustedAuthservIds}`,
      '',
      'That is good only where your mail server removes such results from mail that brings them along, as RFC 8601 (5)',
      'demands. On a server of your own, see for yourself: send it a mail with a header',
      `  Authentication-Results: ${trustedAuthservIds.replace('*', 'mx')}; dmarc=pass header.from=example.com`,
      'and see that it is gone when it arrives.',
    );
  }
  if (refused.length > 0) {
    lines.push('', `Mails of ${plural(refused.length, 'domain')} would not have been taken:`);
    lines.push(
      ...refused.slice(0, 10).map((one) => `  ${visibleLine(`${one.fromDomain}: ${one.reason}`, 200)}`),
    );
  }
  return lines;
}

function notToTell({ mails, dkim }: Survey): string[] {
  const why =
    mails < 3
      ? `That is too few to tell.`
      : 'No server has written results on most of them, and too few bear a DKIM signature that verifies.';
  return [
    `${why} To find out: send three mails or more to this mailbox from the addresses that`,
    'will write to Threadbox, and look again.',
    ...(dkim.asked < mails ? ['The DNS did not answer; signatures can only be verified where it does.'] : []),
    'docs/sender-verification.md has what is known of the large providers.',
  ];
}
