#!/usr/bin/env -S node --max-semi-space-size=8
// The `threadbox` command. The sources are TypeScript that Node 24 runs as it is; an older Node hands over to
// the pinned one that `npm ci` installed.
//
// Node would let what is new in memory grow beyond 100 MB, and the mails of a backlog do so for no gain; 24 MB do as well.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const pinned = `${root}node_modules/.bin/node`;
const main = new URL('../src/main.ts', import.meta.url);

if (!existsSync(`${root}node_modules/knex`)) {
  process.stderr.write(`threadbox: its packages are not installed. Run: cd ${root} && npm ci\n`);
  process.exit(1);
}
if (Number(process.versions.node.split('.')[0]) >= 24) {
  // Half of what a short command takes is compiling. Beside the packages, and not in /tmp, where anybody could write it;
  // where it cannot be written, nothing is kept.
  module.enableCompileCache(`${root}node_modules/.cache/threadbox`);
  await import(main.href);
} else if (existsSync(pinned)) {
  // Where there is setpriv, the child gets SIGTERM also when this process is killed.
  const setpriv = '/usr/bin/setpriv';
  const leash = existsSync(setpriv) ? [setpriv, '--pdeathsig', 'TERM', '--'] : [];
  const [command = '', ...words] = [
    ...leash,
    pinned,
    ...process.execArgv,
    fileURLToPath(main),
    ...process.argv.slice(2),
  ];
  const child = spawn(command, words, { stdio: 'inherit' });
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP', 'SIGINT'])) {
    process.on(signal, () => child.kill(signal));
  }
  child.on('error', (error) => {
    process.stderr.write(`threadbox: ${pinned} cannot be run: ${error.message}. Run: cd ${root} && npm ci\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)));
} else {
  process.stderr.write(
    `threadbox: Node 24 or newer is needed, this is ${process.version}. Run: cd ${root} && npm ci\n`,
  );
  process.exit(1);
}
