import { plural } from './amounts.ts';
import { list, words, type Block } from './notice-blocks.ts';

/** `3 files changed, 2 commits not pushed`; null where there is neither. */
export function workInWords(filesModified: number, unpushedCommits: number): string | null {
  const parts = [
    ...(filesModified > 0 ? [`${plural(filesModified, 'file')} changed`] : []),
    ...(unpushedCommits > 0 ? [`${plural(unpushedCommits, 'commit')} not pushed`] : []),
  ];
  return parts.length === 0 ? null : parts.join(', ');
}

/** As people name commits. */
export const shortHash = (commit: string): string => commit.replace(/[^0-9a-f]/gi, '').slice(0, 10);

/** Never left unsaid: what is not in a save. */
export function leftOutBlocks(leftOut: readonly string[], where: string): Block[] {
  return leftOut.length === 0
    ? []
    : [words(`Too large for the saved state, and so only in ${where}:`), list(leftOut, 200)];
}
