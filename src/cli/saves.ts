import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { plural } from '../mail/amounts.ts';
import { momentInWords } from '../mail/moments.ts';
import { nearestName } from '../mail/nearest-name.ts';
import type { ListedSave } from '../store/saved-states.ts';
import { CliError, JSON_OPTION, usageError, type CliCommand } from './command.ts';
import { withDatabase } from './database.ts';
import { withCauses } from './explain.ts';
import { printJson, printList } from './table.ts';

const listCommand: CliCommand = {
  usage: 'saves list',
  summary: 'lists the saved states of workspaces',
  options: JSON_OPTION,
  async run(_, options) {
    const now = new Date();
    const saves = await withDatabase(
      async (db) => (await import('../store/saved-states.ts')).listSavedStates(db),
      { ifNew: [] },
    );
    printList(saves, {
      asJson: options['json'] === true,
      heading: ['thread', 'saved', 'changed', 'not pushed', 'kept until', 'commit'],
      row: (save: ListedSave) => [
        save.threadId,
        save.savedAt === null ? '' : momentInWords(save.savedAt, now),
        plural(save.filesModified, 'file'),
        plural(save.unpushedCommits, 'commit'),
        `${save.expiresAt === null ? '(in use)' : momentInWords(save.expiresAt, now)}${save.state === 'aside' ? ' (put aside)' : ''}`,
        save.commitHash?.slice(0, 10) ?? '',
      ],
      empty: 'No saved state is kept. There is one as soon as a command has changed something.',
    });
  },
};

const exportCommand: CliCommand = {
  usage: 'saves export THREAD FILE',
  summary: 'writes the saved state of a thread into a file that git can clone',
  options: JSON_OPTION,
  notes:
    'THREAD: as saves list shows it. FILE: a git bundle with the branches, tags and HEAD as they were saved.\n\n' +
    'Example: threadbox saves export john@example.com-my-react-app work.bundle && git clone work.bundle work',
  async run([threadId = '', file = ''], options) {
    const path = resolve(file);
    if (existsSync(path)) throw new CliError(`${path} is there already. Give another FILE, or remove it.`);
    const { loadConfig, readEnvironment } = await import('../config.ts');
    const { dataDir } = loadConfig(readEnvironment(), { isForBot: false }).config;
    const saved = await withDatabase(
      async (db) => {
        const { installationId } = await import('../store/database.ts');
        const save = (await savesOf(db, threadId))[0];
        if (save) await exportTo(path, save, join(dataDir, 'saves', await installationId(db)));
        return save;
      },
      { ifNew: undefined },
    );
    if (!saved) throw unknownThread(threadId, []);
    if (options['json']) printJson({ thread: threadId, savedAt: saved.savedAt, file: path });
    else console.log(`Exported ${threadId} to ${path}. To look at it: git clone ${file} DIRECTORY`);
  },
};

async function exportTo(path: string, { id, threadId }: ListedSave, savesDir: string): Promise<void> {
  const { exportSave, hasSave, storePathOf } = await import('../containers/saves-store.ts');
  const store = storePathOf(savesDir, threadId);
  if (!(await hasSave(store, id))) {
    throw new CliError(
      `the saved state of ${threadId} is not in ${savesDir}. Run this on the machine of the bot, with its DATA_DIR.`,
    );
  }
  try {
    await exportSave(store, id, path);
  } catch (error) {
    throw new CliError(
      `the saved state of ${threadId} cannot be written to ${path}: ${withCauses(error)}`,
      1,
      {
        cause: error,
      },
    );
  }
}

const deleteCommand: CliCommand = {
  usage: 'saves delete THREAD',
  summary: 'deletes what is saved of a thread whose container is gone',
  options: { yes: { summary: 'delete it: it cannot be had back' }, ...JSON_OPTION },
  notes: 'The bot removes it from the disk with its next check.',
  async run([threadId = ''], options) {
    const deleted = await withDatabase(
      async (db) => {
        const saves = await savesOf(db, threadId);
        const kept = saves.filter((save) => save.expiresAt !== null);
        if (kept.length === 0) {
          throw new CliError(
            `${threadId} has a container, and its saved state goes with that. Mail stop in that thread first.`,
          );
        }
        if (options['yes'] !== true) throw usageError(`${warning(kept)}\nTo delete it, add --yes.`);
        const { expireNow } = await import('../store/expiring-saves.ts');
        return expireNow(db, threadId);
      },
      { ifNew: 0 },
    );
    if (deleted === 0) throw unknownThread(threadId, []);
    if (options['json']) printJson({ thread: threadId, deleted });
    else console.log(`Deleted ${plural(deleted, 'saved state')} of ${threadId}.`);
  },
};

function warning(saves: readonly ListedSave[]): string {
  const now = new Date();
  const lines = saves.map(
    ({ savedAt, filesModified, unpushedCommits }) =>
      `  ${savedAt === null ? '' : `of ${momentInWords(savedAt, now)}: `}${plural(filesModified, 'file')} changed, ${plural(unpushedCommits, 'commit')} not pushed`,
  );
  return ['this work would be gone for good:', ...lines].join('\n');
}

/** Of one thread: what it goes on with, then what was put aside. */
async function savesOf(
  db: Parameters<Parameters<typeof withDatabase>[0]>[0],
  threadId: string,
): Promise<ListedSave[]> {
  const { listSavedStates } = await import('../store/saved-states.ts');
  const all = await listSavedStates(db);
  const saves = all.filter((save) => save.threadId === threadId);
  if (saves.length === 0) {
    throw unknownThread(
      threadId,
      all.map((save) => save.threadId),
    );
  }
  return saves.toSorted((one, other) => Number(one.state === 'aside') - Number(other.state === 'aside'));
}

function unknownThread(threadId: string, known: readonly string[]): CliError {
  const nearest = nearestName(threadId, known);
  return new CliError(
    `nothing is saved of a thread ${threadId}.${nearest === null ? '' : ` Did you mean ${nearest}?`} threadbox saves list shows all.`,
  );
}

export const savesCommands: readonly CliCommand[] = [listCommand, exportCommand, deleteCommand];
