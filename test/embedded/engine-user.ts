// A process of its own for engine.test.ts: uses the engine of a directory, says so in a line of JSON, and gives it
// back when its standard input ends.
import { once } from 'node:events';
import { ensureEngine } from '../../src/embedded/engine.ts';
import { silent } from './data-dir.ts';

const [engineDir = '', lingerMs = '0'] = process.argv.slice(2);
const engine = await ensureEngine({ dockerHost: null, engineDir, log: silent, lingerMs: Number(lingerMs) });
const { dockerHost, isOurs } = engine;
process.stdout.write(`${JSON.stringify({ pid: process.pid, dockerHost, isOurs })}\n`);
process.stdin.resume();
await once(process.stdin, 'end');
await engine.close();
