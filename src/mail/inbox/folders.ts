import type { ImapFlow } from 'imapflow';
import { within } from './connect.ts';

/**
 * Makes a mailbox where it is missing, below what the server puts before all names.
 *
 * @param folder its name, level by level
 * @returns its path as the server writes it
 */
export async function makeFolder(client: ImapFlow, folder: string[], timeoutMs: number): Promise<string> {
  try {
    return (await within(client, timeoutMs, client.mailboxCreate(folder))).path;
  } catch (error) {
    // Not every server says by a code that it is there already (RFC 5530: ALREADYEXISTS).
    const path = folder.join(client.namespace?.delimiter ?? '/');
    const status = await within(client, timeoutMs, client.status(path, { uidValidity: true })).catch(
      () => null,
    );
    if (status) return path;
    throw error;
  }
}
