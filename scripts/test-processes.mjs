// Which test files of a whole run share a process. To start one and to load what most tests need takes a second of processor
// time and more, which would be a sixth of the run if each file had its own.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { projectRoot } from './setup.mjs';

/** Those that take longest, or end processes around them. The longest first: else one would be alone at the end. */
const ALONE = [
  'cli/demo',
  'containers/time-limit',
  'containers/recovery',
  'lifecycle/swaps',
  'lifecycle/outage',
  'lifecycle/faults',
  'sandbox/attacks',
  'lifecycle/control',
  'lifecycle/engine-restart',
  'app/faults',
  'lifecycle/kill-steps',
  'containers/save-faults',
  'containers/container',
  'containers/saves-store',
  'containers/restore-states',
  'containers/save',
  'app/real-servers',
  'faults/parts',
  'containers/runner',
  'sandbox/workspace-size',
  'containers/save-final',
  'app/restart',
  'cli/backup',
  'faults/kills',
  'commands/side-by-side',
  'app/two-bots',
  'watchdog',
].map((name) => `test/${name}.test.ts`);

/**
 * Processes for the other files of each directory, and what has hooks that are for all of them; the longest directory first.
 *
 * @type {readonly { dirs: readonly string[], processes: number, shared?: string }[]}
 */
const TOGETHER = [
  { dirs: ['lifecycle'], processes: 2 },
  { dirs: ['app'], processes: 2 },
  { dirs: ['sandbox'], processes: 2, shared: 'test/containers/rig.ts' },
  { dirs: ['containers'], processes: 2, shared: 'test/containers/save-rig.ts' },
  { dirs: ['mail/inbox', 'mail/sender-auth'], processes: 1 },
  { dirs: ['embedded'], processes: 8 },
  { dirs: ['admin', 'store'], processes: 1 },
  { dirs: ['mail'], processes: 1 },
  { dirs: ['cli'], processes: 1, shared: 'test/cli/threadbox.ts' },
  { dirs: ['http', 'compose'], processes: 1 },
  { dirs: ['.', 'commands', 'secrets', 'threads'], processes: 1 },
];

/**
 * All test files, in the order in which they are to begin: those that have a process of their own, and files that are
 * written to `dir`, each of which runs the tests of several.
 *
 * @param {string} dir
 */
export function testProcesses(dir) {
  const files = readdirSync(`${projectRoot}test`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `test/${name}`)
    .toSorted();
  const gone = ALONE.filter((file) => !files.includes(file));
  if (gone.length > 0)
    throw new Error(`scripts/test-processes.mjs names what is not there: ${gone.join(', ')}`);
  /** @type {string[]} */
  const together = [];
  const rest = new Set(files.filter((file) => !ALONE.includes(file)));
  mkdirSync(dir);
  for (const { dirs, processes, shared } of TOGETHER) {
    const theirs = [...rest].filter((file) => dirs.includes(dirname(file).slice('test/'.length) || '.'));
    for (const file of theirs) rest.delete(file);
    for (let nth = 0; nth < processes; nth += 1) {
      const path = join(dir, `${dirs[0]?.replace('/', '-').replace('.', 'test')}-${nth + 1}.mjs`);
      writeFileSync(
        path,
        oneProcess(
          theirs.filter((_, index) => index % processes === nth),
          shared,
        ),
      );
      together.push(path);
    }
  }
  // Nothing is left out because its directory is new.
  return [...ALONE.slice(0, LONGEST), ...together, ...ALONE.slice(LONGEST), ...rest];
}

/** So many of `ALONE` take longer than files together do. */
const LONGEST = 8;

/**
 * The hooks of each file are for its own tests, as it is a suite; those of what is loaded before are for all.
 *
 * @param {readonly string[]} files
 * @param {string | undefined} shared
 */
function oneProcess(files, shared) {
  const url = (/** @type {string} */ file) => JSON.stringify(`file://${projectRoot}${file}`);
  const hooks = ['test/support/told-when-failing.ts', ...(shared ? [shared] : [])];
  return `import { after, describe } from 'node:test';
${hooks.map((file) => `import ${url(file)};`).join('\n')}
for (const [name, url] of [
${files.map((file) => `  ['${file}', ${url(file)}],`).join('\n')}
]) {
  // One after the other: what a file registers belongs to the suite in which it is loaded.
  await new Promise((resolve) => describe(name, () => import(url).finally(resolve)));
}
// Whatever ends the process in a test would take those of the other files along, without a word.
let isOver = false;
after(() => {
  isOver = true;
});
process.on('exit', () => {
  if (isOver) return;
  process.exitCode ||= 1;
  console.error('This process has ended before all of its tests had.');
});
`;
}
