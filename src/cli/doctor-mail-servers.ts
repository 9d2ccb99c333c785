import { join } from 'node:path';
import type { Config } from '../config.ts';
import { createLog } from '../log.ts';
import { mailAccounts } from '../mail-accounts.ts';
import { plural } from '../mail/amounts.ts';
import { surveyServer, type ServerSurvey } from '../mail/inbox/survey-server.ts';
import { tryLogin } from '../mail/transport.ts';
import { ok, warn, type Check, type Finding, type Surroundings } from './doctor-findings.ts';
import { embedded } from './doctor-store.ts';

export const mailChecks: readonly Check[] = [
  {
    part: 'IMAP',
    todo: 'Correct IMAP_URL (user, password, host, port) and MAILBOX.',
    look: async (surroundings) => {
      const { config } = surroundings;
      if (!config.imap) return [embedded('mail', '/usr/sbin/dovecot', join(config.dataDir, 'mail'))];
      const wanted = mailboxesOf(config);
      const survey = await surveyServer({ ...accounts(surroundings).imap, mailbox: config.mailbox }, wanted);
      return surveyFindings(survey, { mailbox: config.mailbox, wanted });
    },
  },
  {
    part: 'SMTP',
    todo: 'Correct SMTP_URL (user, password, host, port).',
    look: async (surroundings) => {
      if (!surroundings.config.smtp) return [];
      const { server, password } = accounts(surroundings).smtp;
      await tryLogin(server, password);
      return [ok('SMTP', `${server.host}:${server.port} lets ${server.user} in`)];
    },
  },
  {
    part: 'senders',
    todo: 'threadbox doctor --mail proposes the settings.',
    // oxlint-disable-next-line typescript/require-await -- a check is awaited, whatever it looks at
    look: async ({ config }) => [senderFinding(config)],
  },
];

function accounts({ config, secrets, now }: Surroundings) {
  return mailAccounts(config, secrets, undefined, { now, log: createLog('silent') });
}

function mailboxesOf({ folders, claimMailbox }: Config): string[] {
  const filed = folders ? [folders.processed, folders.refused] : [];
  return claimMailbox === null ? filed : [...filed, claimMailbox];
}

/** What a server can do, and what is done without where it cannot. */
export function surveyFindings(
  { capabilities, mails, present }: ServerSurvey,
  { mailbox, wanted }: { mailbox: string; wanted: readonly string[] },
): Finding[] {
  const findings = [ok('IMAP', `lets us in; ${plural(mails, 'mail')} in ${mailbox}`)];
  if (!capabilities.includes('IDLE')) {
    const todo =
      'Nothing to be done here: mail is looked for every minute. A server with IDLE (RFC 2177) is quicker.';
    findings.push(warn('IMAP', 'the server has no IDLE', todo));
  }
  if (!capabilities.includes('MOVE') && !capabilities.includes('UIDPLUS') && wanted.length > 0) {
    const todo = 'Handled mail is copied and cannot be removed alone: FILE_MAIL=no leaves it where it is.';
    findings.push(warn('IMAP', 'the server has neither MOVE nor UIDPLUS', todo));
  }
  const missing = wanted.filter((name) => !present.includes(name));
  if (missing.length > 0) findings.push(ok('IMAP', `made when needed: ${missing.join(', ')}`));
  return findings;
}

export function senderFinding({
  imap,
  senderAuth,
  trustedAuthservIds,
}: Pick<Config, 'imap' | 'senderAuth' | 'trustedAuthservIds'>): Finding {
  if (!imap) return ok('senders', 'the embedded mail server knows who logged in');
  if (senderAuth === 'none') {
    const todo = 'threadbox doctor --mail proposes another SENDER_AUTH.';
    return warn(
      'senders',
      'SENDER_AUTH=none: whoever forges the From of an allowed sender runs commands',
      todo,
    );
  }
  const ids = trustedAuthservIds.length > 0 ? `, TRUSTED_AUTHSERV_IDS=${trustedAuthservIds.join(',')}` : '';
  return ok('senders', `SENDER_AUTH=${senderAuth}${ids}`);
}
