import { start } from './0001-start.ts';
import { lifecycle } from './0002-lifecycle.ts';
import { sender } from './0003-sender.ts';
import { filing } from './0004-filing.ts';
import { long } from './0005-long.ts';
import { attachments } from './0006-attachments.ts';
import { toldUntil } from './0007-told-until.ts';
import { recipients } from './0008-recipients.ts';
import { network } from './0009-network.ts';
import { limits } from './0010-limits.ts';
import { sql } from './0011-sql.ts';
import { api } from './0012-api.ts';
import { signatures } from './0013-signatures.ts';
import { secrets } from './0015-secrets.ts';
import { workspaces } from './0017-workspaces.ts';
import { allowLists } from './0018-allow-lists.ts';
import { asRoot } from './0019-as-root.ts';
import { monitor } from './0021-monitor.ts';
import { signedOnly } from './0022-signed-only.ts';
import type { Migration } from './migration.ts';

/**
 * Every migration in the order it is applied. The key is what the database remembers: it never changes once it
 * has landed. (knex's folder loader remembers file names with their extension, and breaks when that changes.)
 */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-start': start,
  '0002-lifecycle': lifecycle,
  '0003-sender': sender,
  '0004-filing': filing,
  '0005-long': long,
  '0006-attachments': attachments,
  '0007-told-until': toldUntil,
  '0008-recipients': recipients,
  '0009-network': network,
  '0010-limits': limits,
  '0011-sql': sql,
  '0012-api': api,
  '0013-signatures': signatures,
  '0015-secrets': secrets,
  '0017-workspaces': workspaces,
  '0018-allow-lists': allowLists,
  '0019-as-root': asRoot,
  '0021-monitor': monitor,
  '0022-signed-only': signedOnly,
};
