import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { Cancellations } from '../../src/commands/cancellations.ts';
import { NO_SECRETS } from '../../src/commands/repository-secrets.ts';
import { ThreadQueues } from '../../src/commands/queues.ts';
import { loadConfig } from '../../src/config.ts';
import { connectEmbedded } from '../../src/embedded/embedded.ts';
import { LifecycleEvents } from '../../src/lifecycle/events.ts';
import { startLifecycle, type Lifecycle } from '../../src/lifecycle/lifecycle.ts';
import type { ParsedMessage } from '../../src/mail/parse.ts';
import { watchPart } from '../../src/part-state.ts';
import { SharedState } from '../../src/store/shared-state.ts';
import { ALICE } from '../support/app.ts';
import { closeAll } from '../support/close-all.ts';
import { collectedLog } from '../support/collected-log.ts';
import { answerTo } from '../support/mailbox.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

/** More of them in the long form of the fault suite: each takes 80 minutes, of the 12 hours after a command. */
const ROUNDS = process.env['FAULTS'] === 'long' ? 8 : 2;
const NEVER = { CONTAINER_CHECK_INTERVAL_MS: '86400000' };

let stage: Stage;
let other: Lifecycle;
const closers: (() => unknown)[] = [];
before(async () => {
  stage = await openStage();
  closers.push(() => stage.close());
  const { bot } = stage;
  const { db, docker, installation, imageReady } = bot.app;
  const { log } = collectedLog();
  const { redisUrl } = (await connectEmbedded(bot.dataDir)) ?? {};
  const sharedState = new SharedState(redisUrl as string, log);
  const stopping = new AbortController();
  // As of another process on the same database: it has queues of its own.
  other = startLifecycle({
    db,
    docker,
    installation,
    imageReady,
    secretsOf: () => Promise.resolve(NO_SECRETS),
    guard: null,
    workspaceLimit: { way: 'off', imagesDir: '', log },
    allowLists: {
      ensure: () => Promise.resolve(null),
      ensureRules: () => Promise.resolve(),
      refusedSince: () => Promise.resolve([]),
      tidy: () => Promise.resolve(),
    },
    sharedState,
    log,
    now: stage.now,
    events: new LifecycleEvents(sharedState),
    queues: new ThreadQueues(4),
    cancellations: new Cancellations(),
    // As when the lock was lost and neither knows it yet.
    lock: { isHeld: () => true },
    mirrorsDir: join(bot.dataDir, 'mirrors', installation),
    savesDir: join(bot.dataDir, 'saves', installation),
    config: loadConfig({ ...NEVER, CONTAINER_IMAGE: process.env['CONTAINER_IMAGE'], DATA_DIR: bot.dataDir })
      .config,
    signal: stopping.signal,
    wakeOutbox: () => undefined,
    states: { docker: watchPart('Docker', log), database: watchPart('PostgreSQL', log) },
  });
  closers.push(() => sharedState.close());
  closers.push(async () => {
    stopping.abort();
    await other.close();
  });
});
after(() => closeAll(closers));

const at = (label: string) => ({ subject: `[sample#${label}] Work` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;
const warnings = (label: string) => stage.mailsLike(new RegExp(`Thread ${threadOf(label)}`));
const isActive = async (label: string) => (await stage.session(threadOf(label)))?.state === 'active';

/** Both look at what is due at the moment at which an `extend` has come. @returns the answer to that */
async function sweptWhileExtended(label: string): Promise<ParsedMessage> {
  const { db } = stage.bot.app;
  const user = stage.bot.userAt(ALICE);
  const sent = await sendToBot(user, { to: stage.bot.botAddress, ...at(label), body: 'extend' });
  await until(() => db('messages').where({ message_id: sent }).first());
  await Promise.all([stage.sweep(), other.sweep()]);
  return answerTo(user, sent);
}

/** What was promised is kept, by both: nothing is removed before it. */
async function isKept(label: string, { text }: ParsedMessage): Promise<void> {
  assert.match(text, /^(?:Restored, and kept|Kept) until /);
  assert.ok(await isActive(label), text);
  stage.forward(35);
  await Promise.all([stage.sweep(), other.sweep()]);
  assert.ok(await isActive(label), text);
}

test('warnings racing with extend: one at most in each idle period, and who has extended keeps the container', async () => {
  await stage.ask('echo work > work.txt', at('warned'));
  for (let round = 1; round <= ROUNDS; round += 1) {
    stage.forward(41);
    const before = await warnings('warned');
    const answer = await sweptWhileExtended('warned');
    assert.ok(
      (await warnings('warned')) - before <= 1,
      `${await warnings('warned')} warnings, ${before} before`,
    );
    await isKept('warned', answer);
  }
  stage.forward(6);
  const before = await warnings('warned');
  await Promise.all([stage.sweep(), other.sweep()]);
  await until(async () => (await warnings('warned')) > before);
  await Promise.all([stage.sweep(), other.sweep()]);
  assert.equal((await warnings('warned')) - before, 1);
  ranWith((await stage.ask('cat work.txt', at('warned'))).text, 'work');
});

test('removals racing with extend: what was promised is kept, or the container comes back with its work', async () => {
  await stage.ask('echo work > work.txt', at('removed'));
  for (let round = 1; round <= ROUNDS; round += 1) {
    await stage.ask(`echo ${round} >> rounds.txt`, at('removed'));
    stage.forward(41);
    await Promise.all([stage.sweep(), other.sweep()]);
    stage.forward(6);
    await isKept('removed', await sweptWhileExtended('removed'));
  }
  const rounds = Array.from({ length: ROUNDS }, (_, index) => index + 1).join('\n');
  ranWith((await stage.ask('cat work.txt rounds.txt', at('removed'))).text, `work\n${rounds}`);
  assert.equal(await stage.mailsLike(/could not be saved/), 0);
});
