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
