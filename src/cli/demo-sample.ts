import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const FILES: Readonly<Record<string, string>> = {
  'README.md': '# my-react-app\n\nA small repository to try Threadbox with. `npm test` runs its tests.\n',
  'package.json': `${JSON.stringify({ name: 'my-react-app', version: '1.0.0', type: 'module', scripts: { test: 'node --test' } }, null, 2)}\n`,
  'greeting.js': 'export const greeting = (name) => `Hello, ${name}!`;\n',
  'greeting.test.js': [
    "import assert from 'node:assert/strict';",
    "import { test } from 'node:test';",
    "import { greeting } from './greeting.js';",
    '',
    "test('greets by name', () => assert.equal(greeting('Ada'), 'Hello, Ada!'));",
    '',
  ].join('\n'),
};

/** A bare repository with one commit, in `dir`. @returns its path, to be registered as an upstream */
export async function makeSampleRepository(dir: string): Promise<string> {
  await mkdir(dir, { recursive: true });
  const work = await mkdtemp(join(dir, 'sample-'));
  const bare = join(dir, 'my-react-app.git');
  const git = (...args: string[]) =>
    run('git', ['-C', work, '-c', 'core.hooksPath=/dev/null', '-c', 'commit.gpgsign=false', ...args]);
  try {
    await git('init', '-q', '-b', 'main');
    for (const [name, content] of Object.entries(FILES)) await writeFile(join(work, name), content);
    await git('add', '-A');
    await git('-c', 'user.name=Ada', '-c', 'user.email=ada@example.com', 'commit', '-q', '-m', 'Start');
    await rm(bare, { recursive: true, force: true });
    await git('clone', '-q', '--bare', work, bare);
    return bare;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
