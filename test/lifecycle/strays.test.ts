import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage.close());

const at = (label: string) => ({ subject: `[sample#${label}] Work` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;

/** As after a crash: the database knows of no session, the engine has all. */
async function forgotten(label: string) {
  await stage.ask(`echo ${label} > work.txt`, at(label));
  const session = await until(async () => {
    const found = await stage.session(threadOf(label));
    return found?.is_saved && found;
  });
  await stage.bot.app
    .db('container_sessions')
    .where({ id: session.id })
    .update({ is_active: false, state: 'ended' });
  return session;
}

test('a workspace without container and session is taken up, saved, warned of and removed', async () => {
  const { container_id, container_name } = await forgotten('volume');
  await stage.inside('echo unsaved > unsaved.txt', threadOf('volume'));
  await stage.inside('echo unsaved > /workspace/sample/unsaved.txt', threadOf('volume'));
  await engine.getContainer(container_id).remove({ force: true });
  stage.forward(61);
  await stage.sweep();
  const taken = await stage.session(threadOf('volume'));
  assert.deepEqual([taken?.is_active, taken?.container_id], [true, container_name]);

  await stage.sweep();
  assert.equal((await stage.session(threadOf('volume')))?.is_saved, true);
  await engine.getContainer(container_name).remove({ force: true });
  stage.forward(41);
  await stage.sweep();
  await stage.mailLike(new RegExp(`Thread ${threadOf('volume')}`));
  stage.forward(6);
  await stage.sweep();
  assert.equal((await stage.session(threadOf('volume')))?.state, 'ended');
  assert.equal(await stage.isThere(container_name), false);
  ranWith((await stage.ask('cat work.txt unsaved.txt', at('volume'))).text, 'volume\nunsaved');
});

test('a container without a session is taken up without a restart, and its saved state does not expire any more', async () => {
  const session = await forgotten('running');
  const { db } = stage.bot.app;
  const expiresAt = new Date(stage.now().getTime() + 3600_000);
  await db('saved_states')
    .where({ thread_id: threadOf('running') })
    .update({ expires_at: expiresAt, volume_name: session.volume_name });
  stage.forward(61);
  await stage.sweep();
  const taken = await stage.session(threadOf('running'));
  assert.deepEqual([taken?.is_active, taken?.network], [true, 'internet']);
  const saved = await db('saved_states')
    .where({ thread_id: threadOf('running') })
    .first();
  assert.deepEqual([saved.state, saved.expires_at, saved.volume_name], ['current', null, null]);
  ranWith((await stage.ask('cat work.txt', at('running'))).text, 'running');
});

test('a command in a workspace that was just taken up runs in its container', async () => {
  const { container_id } = await forgotten('command');
  await engine.getContainer(container_id).remove({ force: true });
  stage.forward(61);
  await stage.sweep();
  ranWith((await stage.ask('cat work.txt', at('command'))).text, 'command');
});
