import type { Db } from './database.ts';

/** The bytes of the message that a command came with: its files are in there. */
export async function rawOfCommand(db: Db, commandId: number): Promise<Buffer> {
  const row = await db('commands')
    .join('messages', 'messages.id', 'commands.message_id')
    .first<{ raw: Buffer } | undefined>({ raw: 'messages.raw' })
    .where({ 'commands.id': commandId });
  if (!row) throw new Error(`No command has the id ${commandId}`);
  return row.raw;
}
