import { setTimeout as pause } from 'node:timers/promises';
import { residentMegabytes, startIdleNode } from './bot-process.ts';
import { COMMAND, OUTPUT } from './command.ts';
import type { Series } from './figures.ts';
import { SENDER } from './post.ts';
import { removeContainer } from './raw-docker.ts';
import type { Rig } from './rig.ts';
import { expectSuccess } from './sink.ts';
import { readSpans, type Spans } from './spans.ts';

/** Tells how far it is. */
export type Progress = (what: string, done: number, of: number) => void;

/** One mail to the bot: from its acceptance by the IMAP server to the acceptance of the answer by SMTP, in ms. */
async function ask(
  { post, sink, signal }: Rig,
  subject: string,
): Promise<{ ms: number; acceptedAt: number; answeredAt: number }> {
  const send = await post.write(subject, COMMAND);
  const { messageId, acceptedAt } = await send();
  const answer = await sink.answerTo(messageId, signal);
  await expectSuccess(answer, OUTPUT);
  return { ms: answer.acceptedAt - acceptedAt, acceptedAt, answeredAt: answer.acceptedAt };
}

/** The server's own notification of the same mail, and then at once some work. In ms. */
async function floorOf(
  { post, signal }: Rig,
  work: () => Promise<unknown>,
): Promise<{ ms: number; heardMs: number }> {
  const { acceptedAt, heardAt } = await post.sendAndHear('The same', COMMAND, signal);
  await work();
  return { ms: performance.now() - acceptedAt, heardMs: heardAt - acceptedAt };
}

/** The first mails there are to as many repositories: nothing of them is on this machine yet. */
export async function firstOfRepository(
  rig: Rig,
  repositories: readonly string[],
  progress: Progress,
): Promise<Series> {
  const { raw, docker, installation, upstreamUrl } = rig;
  const series = emptySeries();
  for (const [index, name] of repositories.entries()) {
    series.values.push((await ask(rig, `[${name}] First`)).ms);
    await removeContainer(docker, installation, `${SENDER}-${name}`);
    const floor = await floorOf(rig, async () =>
      raw.firstCommand(await raw.cloneMirror(upstreamUrl, name), name),
    );
    series.floors.push(floor.ms);
    await raw.remove(name);
    progress('first mail to a new repository', index + 1, repositories.length);
  }
  return series;
}

/** Threads of one repository, and the containers that do the same for the floor. Both go on to be used. */
export type Threads = { labels: string[]; rawContainers: string[] };

/** The very first mail: afterwards the bot listens, and knows the repository. Not measured. */
export async function getGoing(rig: Rig, repository: string): Promise<void> {
  await ask(rig, `[${repository}#known] First`);
}

/** The first mails of as many threads, in a repository that the bot knows. */
export async function firstOfThread(
  rig: Rig,
  repository: string,
  n: number,
  progress: Progress,
): Promise<Series & Threads> {
  const { raw, upstreamUrl } = rig;
  const series = emptySeries();
  const threads: Threads = { labels: [], rawContainers: [] };
  const mirrorPath = await raw.cloneMirror(upstreamUrl, repository);
  for (let index = 0; index < n; index += 1) {
    const label = `t${index}`;
    series.values.push((await ask(rig, `[${repository}#${label}] First`)).ms);
    const floor = await floorOf(rig, async () => {
      threads.rawContainers.push(await raw.firstCommand(mirrorPath, label));
    });
    series.floors.push(floor.ms);
    threads.labels.push(label);
    progress('first mail of a thread', index + 1, n);
  }
  return { ...series, ...threads };
}

const WARM_UPS = 5;

/** Commands in a warm container, one after the other. */
export async function warmCommand(
  rig: Rig,
  repository: string,
  { labels, rawContainers }: Threads,
  n: number,
  progress: Progress,
): Promise<Series & { spans: Spans[] }> {
  const series = emptySeries();
  const spans: Spans[] = [];
  const [label] = labels;
  const [container] = rawContainers as [string];
  for (let index = -WARM_UPS; index < n; index += 1) {
    const asked = await ask(rig, `[${repository}#${label}] Warm`);
    const floor = await floorOf(rig, () => rig.raw.command(container));
    if (index < 0) continue;
    series.values.push(asked.ms);
    series.floors.push(floor.ms);
    spans.push(await readSpans(rig.db, { ...asked, floor }));
    progress('warm command', index + 1, n);
  }
  return { ...series, spans };
}

/** As many as the bot runs at once when nobody sets COMMAND_CONCURRENCY. */
const CONCURRENCY = 4;
const MAILS = 200;
export const THREADS = 20;

/** Rounds of 200 mails at once over all threads, in commands per second, and the bot's memory meanwhile in MB. */
export async function throughput(
  rig: Rig,
  repository: string,
  threads: Threads,
  rounds: number,
  progress: Progress,
): Promise<Series & { memory: number[] }> {
  const series = emptySeries();
  const memory: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    series.floors.push(await rawRound(rig, threads));
    const watching = new AbortController();
    const watched = watchMemory(rig.bot.pid, memory, watching.signal);
    try {
      series.values.push(await mailRound(rig, repository, threads));
    } finally {
      watching.abort();
      await watched;
    }
    progress(`${MAILS} mails over ${THREADS} threads`, round + 1, rounds);
  }
  return { ...series, memory };
}

async function mailRound(
  { post, sink, signal }: Rig,
  repository: string,
  { labels }: Threads,
): Promise<number> {
  const mails = await Promise.all(
    Array.from({ length: MAILS }, (_, index) =>
      post.write(`[${repository}#${labels[index % THREADS]}] Many`, COMMAND),
    ),
  );
  const exchanges = await Promise.all(
    mails.map(async (send) => {
      const { messageId, acceptedAt } = await send();
      return { acceptedAt, answer: await sink.answerTo(messageId, signal) };
    }),
  );
  for (const { answer } of exchanges) await expectSuccess(answer, OUTPUT);
  const firstAt = Math.min(...exchanges.map(({ acceptedAt }) => acceptedAt));
  const lastAt = Math.max(...exchanges.map(({ answer }) => answer.acceptedAt));
  return (MAILS / (lastAt - firstAt)) * 1000;
}

async function rawRound({ raw, signal }: Rig, { rawContainers }: Threads): Promise<number> {
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      while (next < MAILS) {
        signal.throwIfAborted();
        const container = rawContainers[next % THREADS] as string;
        next += 1;
        await raw.command(container);
      }
    }),
  );
  return (MAILS / (performance.now() - startedAt)) * 1000;
}

const SAMPLE_EVERY_MS = 100;

async function watchMemory(pid: number, into: number[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    into.push(await residentMegabytes(pid));
    await pause(SAMPLE_EVERY_MS, undefined, { signal }).catch(() => {});
  }
}

/** The bot's memory while it waits for mail, in MB. */
export async function idleMemory({ bot, signal }: Rig, n: number): Promise<number[]> {
  const samples: number[] = [];
  for (let index = 0; index < n; index += 1) {
    samples.push(await residentMegabytes(bot.pid));
    await pause(SAMPLE_EVERY_MS, undefined, { signal });
  }
  return samples;
}

/** What an empty program takes on the same Node, in MB. */
export async function emptyProgramMemory(n: number): Promise<number[]> {
  const idle = await startIdleNode();
  try {
    const samples: number[] = [];
    await pause(1_000);
    for (let index = 0; index < n; index += 1) {
      await pause(SAMPLE_EVERY_MS);
      samples.push(await residentMegabytes(idle.pid));
    }
    return samples;
  } finally {
    await idle.close();
  }
}

function emptySeries(): { values: number[]; floors: number[] } {
  return { values: [], floors: [] };
}
