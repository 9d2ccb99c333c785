import { plural } from './amounts.ts';
import { visibleLine } from './visible-text.ts';

/** What a command changed in its repository. `added` and `removed` count lines; null for a binary file. */
export type ChangedFile = {
  path: Buffer | string;
  added: number | null;
  removed: number | null;
  oldPath?: Buffer | string | undefined;
};
export type ChangesFacts = {
  files: readonly ChangedFile[];
  isComplete: boolean;
  reason?: string | undefined;
};

const MOST_FILES = 20;

/** As a mail shows it: a line that sums up, and some of the files. */
export function changesOf({ files, isComplete, reason }: ChangesFacts) {
  const told = files.map(({ path, oldPath, added, removed }) => ({
    path: oldPath === undefined ? pathText(path) : `${pathText(oldPath)} → ${pathText(path)}`,
    added: added === null ? '' : `+${added}`,
    removed: removed === null ? '' : `-${removed}`,
    isBinary: added === null || removed === null,
  }));
  const sum = (count: 'added' | 'removed') => files.reduce((total, file) => total + (file[count] ?? 0), 0);
  let summary = 'No files changed';
  if (files.length > 0)
    summary = `${plural(files.length, 'file')} changed, +${sum('added')} -${sum('removed')}`;
  else if (!isComplete) summary = 'What changed is not known';
  return {
    summary,
    files: told.slice(0, MOST_FILES),
    more: files.length > MOST_FILES ? `and ${files.length - MOST_FILES} more` : '',
    reason: isComplete || reason === undefined ? '' : visibleLine(reason, 300),
  };
}

const pathText = (path: Buffer | string) => visibleLine(path.toString(), 160);
