import { backupCommands } from './backup.ts';
import type { CliCommand } from './command.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { inboxCommand } from './inbox.ts';
import { mailCommand } from './mail.ts';
import { pauseCommands } from './pause.ts';
import { outboxCommand } from './outbox.ts';
import { repoCommands } from './repo.ts';
import { savesCommands } from './saves.ts';
import { secretCommands } from './secret.ts';
import { sqlCommand } from './sql.ts';
import { startCommand } from './start.ts';
import { tokenCommands } from './token.ts';
import { userCommands } from './user.ts';
import { allowCommand, denyCommand } from './user-access.ts';

/** All there are, in the order of the overview. */
export const commands: readonly CliCommand[] = [
  startCommand,
  demoCommand,
  ...repoCommands,
  ...userCommands,
  allowCommand,
  denyCommand,
  ...tokenCommands,
  ...secretCommands,
  ...savesCommands,
  inboxCommand,
  ...pauseCommands,
  outboxCommand,
  mailCommand,
  sqlCommand,
  doctorCommand,
  ...backupCommands,
];
