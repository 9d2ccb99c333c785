import { Readable } from 'node:stream';
import { runWords } from '../../src/cli/run-words.ts';
import type { Finished } from './threadbox.ts';

// A process in which one command line after the other is run, as each would be in a process of its own: most of what a short
// command takes is Node's start, and loading.

export type Asked = {
  words: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  input: string;
};

const said = { out: '', err: '' };
const into =
  (stream: 'out' | 'err') =>
  (chunk: string | Uint8Array): boolean => {
    said[stream] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    return true;
  };
process.stdout.write = into('out');
process.stderr.write = into('err');

process.on('message', ({ words, env, cwd, input }: Asked) => {
  Object.assign(said, { out: '', err: '' });
  // Where loadEnvFile writes to, another object in its place would not do.
  for (const name of Object.keys(process.env)) delete process.env[name];
  for (const [name, value] of Object.entries(env)) if (value !== undefined) process.env[name] = value;
  process.chdir(cwd);
  Object.defineProperty(process, 'stdin', { value: Readable.from([Buffer.from(input)]), configurable: true });
  void runWords(words).then((code) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal);
    process.send?.({ code, ...said } satisfies Finished);
  });
});
process.on('disconnect', () => process.exit());
