import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endingNotes, lastText, meaningOf, type EndingFacts } from '../../src/mail/ending-notes.ts';

const GB = 1024 ** 3;
const enough = { oomKills: 0, memoryLimitBytes: null, refusedProcesses: 0, processLimit: null, disks: [] };
const roomy = [
  { path: '/workspace', freeBytes: 5 * GB, totalBytes: 10 * GB, freeFiles: null },
  { path: '/tmp', freeBytes: GB, totalBytes: GB, freeFiles: 1000 },
  { path: '/dev/shm', freeBytes: GB / 16, totalBytes: GB / 16, freeFiles: 1000 },
];
const failed: EndingFacts = {
  command: 'make all',
  result: 'exited',
  exitCode: 1,
  shortages: { ...enough, disks: roomy },
  lastOutput: 'make: *** [all] Error 1\n',
  repositoryName: 'my-app',
};
const fine = { ...failed, exitCode: 0, shortages: enough };
const short = (more: Partial<NonNullable<EndingFacts['shortages']>>) => ({
  ...failed,
  shortages: { ...enough, disks: roomy, ...more },
});
const disk = (path: string, more: object) =>
  roomy.map((one) => (one.path === path ? { ...one, ...more } : one));
const ended = (lastOutput: string, more: Partial<EndingFacts> = {}) => ({ ...failed, lastOutput, ...more });
const QUESTION =
  /^It ended with a question \(.+\), and nobody can answer while it runs\. Run it with its option/;

const unknown = (command: string): EndingFacts => ({
  ...failed,
  command,
  exitCode: 127,
  lastOutput: 'bash: line 1: command not found\n',
});
const MEANT = (word: string) =>
  new RegExp(`^If you meant Threadbox itself, reply with the one word ${word}, alone in the mail\\.`);

const table: [what: string, facts: EndingFacts, ...says: RegExp[]][] = [
  ['nothing of one that went well', fine],
  ['nothing of one that failed by itself', failed],
  [
    'quotes and dashes that a phone has put in',
    { ...failed, command: 'git commit —all -m “It’s done”' },
    /^The command has — “ ’ ” in it, which mail programs put in [^]* letters to bash\. It wants ' and " for quotes, -- for options: on a phone, switch off Smart Punctuation/,
  ],
  ['spaces that are none', { ...failed, command: 'ls\u00a0-la' }, /^The command has no-break spaces in it/],
  ['nothing of such signs where all went well', { ...fine, command: 'echo “hello”' }],
  ['nothing of a dash in words', { ...failed, command: 'git commit -m "one – two"' }],
  ['nothing where nothing was measured', { ...failed, shortages: null }],
  [
    'memory, with its limit and how to have more',
    short({ oomKills: 1, memoryLimitBytes: 2 * GB }),
    /^Out of memory: its container came to its limit of 2 GB, and 1 process had to be ended for it\. Let it do less at a time .* threadbox repo set my-app --memory 4g$/,
  ],
  [
    'memory, though the command went on',
    { ...fine, shortages: { ...enough, oomKills: 3, memoryLimitBytes: 768 * 2 ** 20 } },
    /its limit of 768 MB, and 3 processes had to be ended .* --memory 1536m$/,
  ],
  [
    'memory, for which the whole container was ended',
    {
      ...fine,
      result: 'interrupted',
      exitCode: null,
      shortages: { ...enough, oomKills: 1, memoryLimitBytes: 2 * GB, hasEndedContainer: true },
    },
    /its limit of 2 GB, and was ended with all that ran in it \(its \/tmp is empty now\)\. Let it do less .* --memory 4g$/,
  ],
  [
    'memory, where the wrapper was what was ended',
    { ...short({ oomKills: 2 }), result: 'interrupted', exitCode: null },
    /came to its limit, and 2 processes/,
  ],
  [
    'processes, also at the time limit',
    { ...short({ refusedProcesses: 9, processLimit: 512 }), result: 'timed_out', exitCode: null },
    /^Too many processes: .* as it may have, 512, and more could not be started\. .*make -j2/,
  ],
  [
    'a full workspace',
    short({ disks: disk('/workspace', { freeBytes: 4096 }) }),
    /^Disk full: \/workspace has 4 KB of 10 GB left\. .*du -sh/,
  ],
  [
    'a workspace that became too large',
    {
      ...fine,
      result: 'cancelled',
      exitCode: null,
      oversize: { usedBytes: 12 * GB, maxBytes: 10 * GB, wasStopped: true },
    },
    /^Workspace too large: it takes 12 GB and may take 10 GB, so the command was stopped\. See what is large .*repo set my-app --workspace 20g$/,
  ],
  [
    'a workspace that was too large before',
    { ...fine, oversize: { usedBytes: 12 * GB, maxBytes: 10 * GB, wasStopped: false } },
    /and may take 10 GB; a command that adds to it is stopped\. See/,
  ],
  [
    'a workspace with too many files',
    short({ disks: disk('/workspace', { freeFiles: 0 }) }),
    /^Disk full: \/workspace has no room for another file\./,
  ],
  [
    'a full /tmp',
    short({ disks: disk('/tmp', { freeBytes: 0 }) }),
    /^Disk full: \/tmp has 0 bytes of 1 GB left\. Those places are in memory; .*TMPDIR=~\/tmp$/,
  ],
  [
    'a disk that was full for a moment',
    ended('cp: error writing: No space left on device\n'),
    /^It met a full disk; by its end there was room again: \/workspace has 5 GB of 10 GB left, \/tmp has 1 GB/,
  ],
  [
    'apt',
    ended('After this operation\nDo you want to continue? [Y/n] Abort.\n'),
    /^It asked a question, and nobody/,
  ],
  [
    'a question at the time limit',
    ended('Overwrite a.txt? ', { result: 'timed_out', exitCode: null }),
    QUESTION,
  ],
  [
    'a question of one that went well',
    { ...fine, lastOutput: 'About to write:\n\nIs this OK? (yes) ' },
    QUESTION,
  ],
  ['npm init', { ...fine, lastOutput: 'Press ^C at any time to quit.\npackage name: (my-app) ' }, QUESTION],
  ['a password', ended('Enter PEM pass phrase:'), QUESTION],
  ['a password of ssh', ended("john@example.com's password: "), QUESTION],
  ['a list to choose from', ended('? Which framework › - Use arrow-keys'), QUESTION],
  ['a host key', ended('Are you sure you want to continue connecting (yes/no/[fingerprint])? '), QUESTION],
  [
    'Python',
    ended('Name? Traceback (most recent call last):\nEOFError: EOF when reading a line\n'),
    /^It asked a question/,
  ],
  [
    'git and a password',
    ended("fatal: could not read Username for 'https://example.com': terminal prompts disabled\n"),
    /^It wanted a user name or a password, and nobody can type one in/,
  ],
  ['sudo', ended('sudo: a terminal is required to read the password\n'), /sudo cannot work here/],
  ['ssh', ended('Host key verification failed.\n'), /ssh-keyscan/],
  ['a word to Threadbox, mistyped', unknown('stauts'), MEANT('status')],
  ['a word with a letter too many', unknown('cancell'), MEANT('cancel')],
  ['a word with a question mark', unknown('Status?'), MEANT('status')],
  ['a word with more beside it', unknown('cancel that please'), MEANT('cancel')],
  ['no word in a program that is not there', unknown('make all')],
  ['no word in a short one', unknown('top')],
  ['no word in one that is there', { ...failed, command: 'stauts' }],
  ['no word in a script', unknown('status\nnpm test')],
  [
    'a request',
    unknown('Hi bot,\n\ncan you please run the tests?\n\nThanks, John\n'),
    /^A mail is run by bash as it stands, and nobody reads it as a request: write commands alone/,
  ],
  ['no question in what went well', { ...fine, lastOutput: 'Ready to continue? (y/n)\n' }],
  ['no question in an error', ended('SyntaxError: Unexpected token :\n')],
  ['no question in a test that asks', ended('✕ asks for the password: yes\n1 failed\n')],
];
for (const [what, facts, ...says] of table) {
  test(`an ending in words: ${what}`, () => {
    const notes = endingNotes(facts);
    assert.equal(notes.length, says.length, notes.join('\n'));
    for (const [at, pattern] of says.entries()) assert.match(notes[at] ?? '', pattern);
  });
}

test('want of memory is not guessed from an exit code where it can be measured', () => {
  assert.equal(meaningOf(137, null), ' (killed, perhaps for want of memory)');
  assert.equal(meaningOf(137, enough), ' (killed: signal KILL)');
  assert.equal(meaningOf(137, { ...enough, oomKills: 1 }), ' (killed for want of memory)');
  assert.equal(meaningOf(139, enough), ' (segmentation fault: signal SEGV)');
  assert.equal(meaningOf(1, enough), '');
});

test('the end of an output is looked at without its colours, and as it stood on the screen', () => {
  const head = Buffer.from('10%\r50%\r\x1b[1m100%\x1b[0m\r\n\x1b]0;title\x07\x1b[32mProceed?\x1b[39m ');
  assert.equal(lastText({ head, tail: Buffer.alloc(0) }), '100%\nProceed? ');
  assert.equal(lastText({ head, tail: Buffer.from(`${'x'.repeat(9000)}\nend`) }).length, 4000);
});
