import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CliCommand } from '../../src/cli/command.ts';
import { readWords } from '../../src/cli/read-words.ts';

const add: CliCommand = {
  usage: 'repo add NAME URL',
  summary: 'adds one',
  options: {
    branch: { value: 'BRANCH', short: 'b', summary: 'its branch' },
    'no-check': { summary: 'unseen' },
    json: { summary: 'JSON' },
  },
  run: () => Promise.resolve(),
};
const list: CliCommand = { usage: 'repo list', summary: 'lists', options: {}, run: () => Promise.resolve() };
const start: CliCommand = { usage: 'start', summary: 'starts', options: {}, run: () => Promise.resolve() };
const commands = [start, add, list];
const read = (line: string) =>
  readWords(
    commands,
    line.split(' ').filter((word) => word !== ''),
  );

const understood: [line: string, args: string[], options: object][] = [
  ['repo add app /srv/app', ['app', '/srv/app'], {}],
  ['repo add --json app --branch next /srv/app', ['app', '/srv/app'], { json: true, branch: 'next' }],
  ['repo add app /srv/app -b next --no-check', ['app', '/srv/app'], { branch: 'next', 'no-check': true }],
  ['repo add app /srv/app --branch=-odd', ['app', '/srv/app'], { branch: '-odd' }],
  ['repo add app /srv/app --branch -', ['app', '/srv/app'], { branch: '-' }],
  ['repo add -- -app --json', ['-app', '--json'], {}],
];
for (const [line, args, options] of understood) {
  test(`"${line}" is understood`, () => {
    assert.deepEqual(read(line), { kind: 'run', command: add, args, options });
  });
}

const helped: [line: string, request: object][] = [
  ['--help', { kind: 'overview', family: null, isAskedFor: true }],
  ['help', { kind: 'overview', family: null, isAskedFor: true }],
  ['', { kind: 'overview', family: null, isAskedFor: false }],
  ['repo', { kind: 'overview', family: 'repo', isAskedFor: false }],
  ['repo --help', { kind: 'overview', family: 'repo', isAskedFor: true }],
  ['help repo', { kind: 'overview', family: 'repo', isAskedFor: true }],
  ['repo add --help', { kind: 'command-help', command: add }],
  ['repo add app -h --bogus', { kind: 'command-help', command: add }],
  ['help repo add', { kind: 'command-help', command: add }],
  ['repo help add', { kind: 'command-help', command: add }],
  ['--version', { kind: 'version' }],
];
for (const [line, request] of helped) {
  test(`"${line}" shows the right help`, () => assert.deepEqual(read(line), request));
}

const refused: [line: string, message: RegExp][] = [
  ['repoo', /^there is no command "repoo"\. Did you mean: threadbox repo\? All of them: threadbox --help$/],
  ['repo ad', /^there is no command "repo ad"\. Did you mean: threadbox repo add\?/],
  ['xyzzy', /^there is no command "xyzzy"\. All of them: threadbox --help$/],
  ['constructor', /^there is no command "constructor"/],
  ['--json repo list', /^--json: options come after the command/],
  ['repo add', /^NAME and URL missing\. Usage: threadbox repo add NAME URL \[options\]$/],
  ['repo add app', /^URL missing\./],
  ['repo add app /srv/app more words', /^not understood: more words\./],
  ['repo add app /srv/app --brnch x', /^there is no option --brnch\. Did you mean --branch\?/],
  ['repo add app /srv/app -x', /^there is no option -x\. All of them: threadbox repo add --help$/],
  ['repo add app /srv/app --constructor', /^there is no option --constructor/],
  ['repo add app /srv/app --branch', /^--branch needs a value: --branch=BRANCH$/],
  ['repo add app /srv/app -b', /^-b needs a value: --branch=BRANCH$/],
  ['repo add app /srv/app --branch --json', /^--branch needs a value; one that begins with - is written/],
  ['repo add app /srv/app --json=yes', /^--json takes no value$/],
  ['repo add app /srv/app --branch a -b b', /^-b is given twice$/],
  ['start now', /^not understood: now\. Usage: threadbox start \[options\]$/],
];
for (const [line, message] of refused) {
  test(`"${line}" is refused with a word on what is wrong`, () => {
    assert.throws(
      () => read(line),
      (error: Error & { exitCode?: number }) => {
        assert.match(error.message, message);
        assert.equal(error.exitCode, 2);
        return true;
      },
    );
  });
}
