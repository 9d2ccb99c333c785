import { join } from 'node:path';
import { EMBEDDED_BOT_ADDRESS } from '../config-schema.ts';
import type { Log } from '../log.ts';
import { watchPart } from '../part-state.ts';
import { newPassword, recall, remember, startOnPort } from './access.ts';
import { startDovecot } from './dovecot.ts';
import type { Kept } from './keep-running.ts';
import { makePartDir } from './run-as.ts';
import { startSmtpFront } from './smtp-front.ts';

/** How to reach the mail server on 127.0.0.1, without TLS. Every address is a user, all with the same password. */
export type EmbeddedMail = { imapPort: number; smtpPort: number; password: string; botAddress: string };

type Access = { imapPort: number | null; smtpPort: number | null; password: string };

/**
 * A mail server for this machine alone, with its mailboxes in `dir`: IMAP by Debian's Dovecot, and SMTP with AUTH. Every
 * address of whatever domain is a mailbox here; nothing leaves the machine.
 *
 * @throws when it cannot be started, with Dovecot's last words
 */
export async function startMailServer({
  dir,
  log,
}: {
  dir: string;
  log: Log;
}): Promise<Kept & { mail: EmbeddedMail }> {
  await makePartDir(dir);
  const accessFile = join(dir, 'access.json');
  const access = await recall<Access>(accessFile);
  const password = access?.password ?? newPassword();

  const imap = await startOnPort(access?.imapPort ?? null, (imapPort) =>
    startDovecot({ dir, imapPort, password, log }),
  );
  const dovecot = imap.started;
  try {
    const delivery = watchPart('the delivery to embedded mailboxes', log);
    const smtp = await startOnPort(access?.smtpPort ?? null, (port) =>
      startSmtpFront({
        port,
        password,
        lmtpSocket: dovecot.lmtpSocket,
        onConnectionError: (error) => log.debug({ err: error }, 'an SMTP connection broke'),
        onDelivery: (error) => (error ? delivery.isDown(error) : delivery.isUp()),
      }),
    );
    const mail = { imapPort: imap.port, smtpPort: smtp.port, password, botAddress: EMBEDDED_BOT_ADDRESS };
    if (mail.imapPort !== access?.imapPort || mail.smtpPort !== access.smtpPort) {
      await remember(accessFile, { imapPort: imap.port, smtpPort: smtp.port, password } satisfies Access);
    }
    return {
      mail,
      async close() {
        await smtp.started.close();
        await dovecot.close();
      },
    };
  } catch (error) {
    await dovecot.close();
    throw error;
  }
}
