import { start } from './0001-start.ts';
import { lifecycle } from './0002-lifecycle.ts';
import { attachments } from './0006-attachments.ts';
import type { Migration } from './migration.ts';

/**
 * Every migration in the order it is applied. The key is what the database remembers: it never changes once it
 * has landed. (knex's folder loader remembers file names with their extension, and breaks when that changes.)
 */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-start': start,
  '0002-lifecycle': lifecycle,
  '0006-attachments': attachments,
};
