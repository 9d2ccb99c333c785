// `npm run bench [-- --only PART] [--json FILE]`: what it measures, and how to read it, is in docs/benchmarks.md.
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { untilSignal } from '../src/cli/signals.ts';
import { Closers } from '../src/closers.ts';
import { createLog } from '../src/log.ts';
import { median, percentile, row, rowTable, table, type Row } from './figures.ts';
import { intake } from './intake.ts';
import { openWorkshop, saveAndRestore } from './lifecycle.ts';
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
import { operator } from './operator.ts';
import { startRig, type Rig } from './rig.ts';
import { spanTable } from './spans.ts';
import { sweep } from './sweep.ts';

const CLOSE_DEADLINE_MS = 120_000;
const REPOSITORY = 'sample';
/** The threads that are made for (b) are those of (c). */
const FEWEST_RUNS = THREADS;

/** It takes a few milliseconds, and comes every minute for ever. */
const SWEEPS = 500;

/** Each takes a while. */
const INTAKES = 5;

const PARTS = ['mail', 'lifecycle', 'intake', 'operator'] as const;
type Part = (typeof PARTS)[number];

const USAGE = `npm run bench [-- --only PART] [--json FILE] [--runs N] [--rounds N] [--mails N]

  --only PART   measures only a part: mail is (a) to (d), lifecycle (e) to (g), intake (h),
                operator (i) and (j)
  --json FILE   also writes the rows to FILE
  --runs N      how often each mail, save and restore is measured, ${FEWEST_RUNS} or more (${FEWEST_RUNS} if not given)
  --rounds N    how often 200 mails are sent at once (20 if not given; fewer for a quick look)
  --mails N     how many lie there in (h) (10,000 if not given; fewer for a quick look)
`;

type Options = { runs: number; rounds: number; mails: number; signal: AbortSignal };
/** `more`: what is to be printed below the rows. */
type Measured = { rows: Row[]; more: string };

const measureIn: Record<Part, (options: Options, closers: Closers) => Promise<Measured>> = {
  async mail({ runs, rounds, signal }, closers) {
    const newRepositories = Array.from({ length: runs }, (_, index) => `new-${index}`);
    console.log('starting the mail server, PostgreSQL, Redis, a git server and the bot ...');
    const rig = await startRig([REPOSITORY, ...newRepositories], closers, signal);
    try {
      return await measureMail(rig, newRepositories, rounds);
    } catch (error) {
      if (!signal.aborted) console.error(`\nThe end of the bot's log:\n${await rig.bot.lastWords()}`);
      throw error;
    }
  },
  async lifecycle({ runs, signal }, closers) {
    console.log('making a project and its mirror ...');
    const workshop = await openWorkshop(closers, signal);
    const { removal, quick, removalAfterQuick, restore } = await saveAndRestore(workshop, runs, progress);
    const due = await sweep(closers, SWEEPS);
    const rows = [
      row('(e) save at removal', 'ms', removal, 'less'),
      row('(e) save after a command', 'ms', quick, 'less'),
      row('(e) save at removal, after that', 'ms', removalAfterQuick, 'less'),
      row('(f) restore', 'ms', restore, 'less'),
      row('(g) sweep, 5 of 10,000 due', 'ms', due, 'less'),
    ];
    return { rows, more: '' };
  },
  async intake({ mails, rounds: asked, signal }, closers) {
    console.log(`delivering ${mails} mails ...`);
    const rounds = Math.min(asked, INTAKES);
    const taken = await intake(closers, { mails, rounds, signal }, progress);
    const empty = await emptyProgramMemory(INTAKES);
    const rows = [
      row(`(h) a backlog of ${mails} mails`, 'mails/s', taken, 'more'),
      row('(h) resident memory meanwhile', 'MB', { values: taken.memory, floors: empty }, 'less'),
    ];
    const { bot, postgres, mail, raw } = taken.used;
    const used = table(
      ['', 'bot', 'PostgreSQL', 'mail server', 'only fetched and parsed'],
      [['(h) processor time a mail, ms', ...[bot, postgres, mail, raw].map((of) => median(of).toFixed(2))]],
    );
    return { rows, more: used };
  },
  async operator({ runs, signal }, closers) {
    console.log('starting the mail server, PostgreSQL, Redis and the bot ...');
    const { lists, sqlMail } = await operator(closers, { runs, signal }, progress);
    const rows = [
      ...lists.map(({ name, series }) => row(`(i) ${name}`, 'ms', series, 'less')),
      row('(j) SQL by mail', 'ms', sqlMail, 'less'),
    ];
    const slow = lists.map(({ name, series }) => [name, Number(percentile(series.values, 0.95).toFixed(1))]);
    return { rows, more: table(['95% took no more than', 'ms'], slow) };
  },
};

async function measureMail(rig: Rig, newRepositories: readonly string[], rounds: number): Promise<Measured> {
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
  return { rows, more: spanTable(warm.spans) };
}

/** Nothing of one part is at work any more when the next begins. */
async function bench(parts: readonly Part[], options: Options): Promise<Row[]> {
  const measured: Measured[] = [];
  for (const part of parts) {
    const closers = new Closers();
    try {
      measured.push(await measureIn[part](options, closers));
    } finally {
      console.log('cleaning up ...');
      await closers.close(CLOSE_DEADLINE_MS, createLog('warn'));
    }
  }
  const rows = measured.flatMap((one) => one.rows);
  console.log(`\n${[rowTable(rows), ...measured.map(({ more }) => more)].filter(Boolean).join('\n\n')}\n`);
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

function partsOf(only: string | undefined): readonly Part[] {
  if (only === undefined) return PARTS;
  const wanted = PARTS.filter((part) => part === only);
  if (wanted.length === 0) throw new Error(`--only: expected one of ${PARTS.join(', ')}, got ${only}`);
  return wanted;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      json: { type: 'string' },
      runs: { type: 'string', default: String(FEWEST_RUNS) },
      rounds: { type: 'string', default: '20' },
      mails: { type: 'string', default: '10000' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const runs = wholeNumber(values.runs, 'runs', FEWEST_RUNS);
  const rounds = wholeNumber(values.rounds, 'rounds', 1);
  const mails = wholeNumber(values.mails, 'mails', 1);
  const parts = partsOf(values.only);
  const stop = untilSignal();
  try {
    const rows = await bench(parts, { runs, rounds, mails, signal: stop.signal });
    if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);
    return 0;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    return 130;
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
