import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Activity } from '../../src/activity.ts';
import { streamEvents } from '../../src/http/events.ts';

type Watching = Parameters<typeof streamEvents>[0];

/** A watcher that comes back, so that no database is asked for what there is. */
function watch(
  activity: Activity,
  isStillLetIn: () => Promise<boolean> = () => Promise.resolve(true),
): Response {
  const headers = new Headers({ 'last-event-id': activity.lastId });
  const { signal } = new AbortController();
  const reply = streamEvents({ parts: { activity }, headers, signal, isStillLetIn } as unknown as Watching);
  assert.ok(reply instanceof Response);
  return reply;
}

test('a watcher that goes while it is asked whether it may stay harms nobody', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const activity = new Activity('now');
  for (const answer of ['let in', 'database away'] as const) {
    const asked = Promise.withResolvers<boolean>();
    const { body } = watch(activity, () => asked.promise);
    t.mock.timers.tick(15_000);
    await body?.cancel();
    if (answer === 'let in') asked.resolve(true);
    else asked.reject(new Error('away'));
    // What is thrown in its course would end this process.
    await new Promise(setImmediate);
  }
  assert.equal(activity.listenerCount, 0);
  activity.tell('command:queued', { commandId: 1 });
});

test('one who reads nothing of what has happened is let go, and misses nothing when it comes back', async () => {
  const activity = new Activity('now');
  const { body } = watch(activity);
  await new Promise(setImmediate);
  for (let count = 0; count < 2_000; count += 1) activity.tell('command:queued', { commandId: count });
  assert.equal(activity.listenerCount, 0);
  const text = await new Response(body).text();
  const [, last = ''] = /id: (now-\d+)\n[^]*?$/.exec(text.slice(text.lastIndexOf('id: '))) ?? [];
  assert.equal(activity.since(last)?.length, 2_000 - Number(last.slice('now-'.length)));
});

type Watched = { text: () => Promise<string>; heard: () => string; cancel: () => Promise<void> };

/** Watches from the last that is known, so that no database is asked for what there is. */
function watcher(activity: Activity, isStillLetIn: () => Promise<boolean>, signal: AbortSignal) {
  const headers = new Headers({ 'last-event-id': activity.lastId });
  return streamEvents({ parts: { activity } as never, headers, signal, isStillLetIn });
}

/** Reads all that is told until its end. */
function reading(reply: unknown): Watched {
  assert.ok(reply instanceof Response && reply.body);
  const reader = (reply.body as ReadableStream<Uint8Array>).getReader();
  let heard = '';
  const all = (async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read())
      heard += Buffer.from(part.value).toString();
    return heard;
  })();
  return { text: () => all, heard: () => heard, cancel: () => reader.cancel() };
}

/** What is under way without a timer. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('who is let in no more hears nothing from the next beat on; a database that is away ends nobody', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const activity = new Activity('e');
  const answers = [() => true, () => assert.fail('away'), () => false];
  const isStillLetIn = async () => Promise.resolve(answers.shift()?.() ?? true);
  const watched = reading(watcher(activity, isStillLetIn, new AbortController().signal));
  await settle();
  activity.tell('one', {});
  for (const beats of [1, 2]) {
    t.mock.timers.tick(15_000);
    await settle();
    assert.equal(watched.heard().split(': beat\n\n').length - 1, beats);
  }
  t.mock.timers.tick(15_000);
  assert.match(
    await watched.text(),
    /^retry: 2000\n\n(?:: beat\n\n|id: e-1\nevent: one\ndata: \{\}\n\n){3}$/,
  );
  assert.equal(activity.listenerCount, 0);
});

test('fifty watch and no more; who goes makes room, and the stop of the bot ends them all', async () => {
  const activity = new Activity('e');
  const stopping = new AbortController();
  const open = () => watcher(activity, () => Promise.resolve(true), stopping.signal);
  const all = Array.from({ length: 50 }, () => reading(open()));
  const refused = open();
  assert.ok('problem' in refused);
  assert.deepEqual([refused.problem.status, refused.problem.retryAfterSeconds], [429, 30]);
  await all[0]?.cancel();
  all.push(reading(open()));
  stopping.abort();
  await Promise.all(all.map((one) => one.text()));
  assert.equal(activity.listenerCount, 0);
});
