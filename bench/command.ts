/** What everything here runs: short, as what is measured is the way to it and back. */
export const COMMAND = 'git log -1 --format=%s && ls | head -n 3';
/** The message of the upstream's only commit, as `startGitUpstream` makes it. */
export const OUTPUT = 'Start\n';

/** The upstream has this many files of 2 kB: a small project. */
const FILES = 100;

export function sampleFiles(): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: FILES }, (_, index) => {
      const name = `file-${String(index).padStart(3, '0')}.txt`;
      return [name, `${name}: what it says\n`.repeat(70)];
    }),
  );
}
