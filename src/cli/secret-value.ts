import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { valueOf, MOST_VALUE_BYTES } from '../secrets/rules.ts';
import { CliError, interrupted } from './command.ts';

/**
 * The value of a secret: typed, without being shown, or all of standard input. Never of the command line, which
 * other users of the machine and the shell's history see.
 *
 * @throws {CliError}
 */
export async function readValue(name: string): Promise<string> {
  const given = process.stdin.isTTY ? await typed(name) : await piped();
  const read = valueOf(given);
  if ('fault' in read) throw new CliError(`the value of ${name} cannot be taken: ${read.fault}`);
  return read.value;
}

async function typed(name: string): Promise<Buffer> {
  process.stderr.write(`The value of ${name} (it is not shown; several lines: by standard input): `);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  const stopping = new AbortController();
  lines.once('SIGINT', () => stopping.abort());
  lines.once('close', () => stopping.abort());
  try {
    return Buffer.from(await lines.question('', { signal: stopping.signal }));
  } catch (error) {
    if (stopping.signal.aborted) throw interrupted('nothing was changed');
    throw error;
  } finally {
    process.stderr.write('\n');
    lines.close();
  }
}

async function piped(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer);
    sizeBytes += (chunk as Buffer).length;
    // What is too large is known to be so: no need for the rest.
    if (sizeBytes > 2 * MOST_VALUE_BYTES) break;
  }
  return Buffer.concat(chunks);
}
