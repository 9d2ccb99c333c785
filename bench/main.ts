// `npm run bench [-- --json FILE]`: what it measures, and how to read it, is in docs/benchmarks.md.
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { untilSignal } from '../src/cli/signals.ts';
import { Closers } from '../src/closers.ts';
import { createLog } from '../src/log.ts';
import { row, rowTable, type Row } from './figures.ts';
import {
  emptyProgramMemory,
  firstOfRepository,
  firstOfThread,
  getGoing,
  idleMemory,
  THREADS,
  throughput,
  warmCommand,
  type Progress,
} from './measures.ts';
import { startRig, type Rig } from './rig.ts';
import { spanTable } from './spans.ts';

const CLOSE_DEADLINE_MS = 120_000;
const REPOSITORY = 'sample';
/** The threads that are made for (b) are those of (c). */
const FEWEST_RUNS = THREADS;

const USAGE = `npm run bench [-- --json FILE] [--runs N] [--rounds N]

  --json FILE   also writes the rows to FILE
  --runs N      how often each mail is measured, ${FEWEST_RUNS} or more (${FEWEST_RUNS} if not given)
  --rounds N    how often 200 mails are sent at once (20 if not given; fewer for a quick look)
`;

/** @returns the rows, after they are printed */
async function bench(runs: number, rounds: number, signal: AbortSignal, closers: Closers): Promise<Row[]> {
  const newRepositories = Array.from({ length: runs }, (_, index) => `new-${index}`);
  console.log('starting the mail server, PostgreSQL, Redis, a git server and the bot ...');
  const rig = await startRig([REPOSITORY, ...newRepositories], closers, signal);
  try {
    return await measure(rig, newRepositories, rounds);
  } catch (error) {
    if (!signal.aborted) console.error(`\nThe end of the bot's log:\n${await rig.bot.lastWords()}`);
    throw error;
  }
}

async function measure(rig: Rig, newRepositories: readonly string[], rounds: number): Promise<Row[]> {
  const runs = newRepositories.length;
  await getGoing(rig, REPOSITORY);
  const empty = await emptyProgramMemory(runs);
  const idle = await idleMemory(rig, runs);
  const known = await firstOfThread(rig, REPOSITORY, runs, progress);
  const warm = await warmCommand(rig, REPOSITORY, known, runs, progress);
  const fresh = await firstOfRepository(rig, newRepositories, progress);
  const many = await throughput(rig, REPOSITORY, known, rounds, progress);
  const after = await idleMemory(rig, runs);
  const rows = [
    row('(a) warm command', 'ms', warm, 'less'),
    row('(b) first mail of a thread', 'ms', known, 'less'),
    row('(b) first mail to a repository', 'ms', fresh, 'less'),
    row('(c) 200 mails over 20 threads', 'commands/s', many, 'more'),
    row('(d) resident memory, idle', 'MB', { values: idle, floors: empty }, 'less'),
    row('(d) resident memory, under (c)', 'MB', { values: many.memory, floors: empty }, 'less'),
    row('(d) resident memory, after (c)', 'MB', { values: after, floors: empty }, 'less'),
  ];
  console.log(`\n${rowTable(rows)}\n\n${spanTable(warm.spans)}\n`);
  return rows;
}

const progress: Progress = (what, done, of) => {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${what} ${done}/${of}${done === of ? '\n' : ''}`);
  else if (done === of) console.log(`${what} ${done}/${of}`);
};

function wholeNumber(text: string, name: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new Error(`--${name}: expected a whole number from ${least}, got ${text}`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      json: { type: 'string' },
      runs: { type: 'string', default: String(FEWEST_RUNS) },
      rounds: { type: 'string', default: '20' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const runs = wholeNumber(values.runs, 'runs', FEWEST_RUNS);
  const rounds = wholeNumber(values.rounds, 'rounds', 1);
  const stop = untilSignal();
  const closers = new Closers();
  try {
    const rows = await bench(runs, rounds, stop.signal, closers);
    if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);
    return 0;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    return 130;
  } finally {
    console.log('cleaning up ...');
    await closers.close(CLOSE_DEADLINE_MS, createLog('warn'));
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
