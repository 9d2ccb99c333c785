import assert from 'node:assert/strict';
import { test } from 'node:test';
import { removeVolume } from '../../src/containers/container.ts';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import type { Moment } from '../support/step-proxy.ts';
import { startKillStage, type KillStage } from './kill-stage.ts';

/** In the long form of the fault suite, or by hand: at every step of a life, once before it and once after it. */
const IS_LONG = process.env['FAULTS'] === 'long' || process.env['LIFECYCLE_KILL_STEPS'] === 'all';

/** One at least of each thing that is done, where the most is half done; each at the first time it comes, in the order of a life. */
const CHOSEN: readonly [Moment, RegExp][] = [
  // The first command: create.
  ['after', /does POST \/containers\/create$/],
  // The files of its mail are there, and it is not begun.
  ['before', /^the runner is given a command$/],
  // The save after it.
  ['before', /commits update "saved_states" \(snapshot, .* \(is_saved/],
  // `stop`: remove.
  ['after', /does DELETE \/containers\/\*$/],
  ['before', /^PostgreSQL commits update "commands" \(state, container_session_id/],
  // The next command: restore, the volume is gone.
  ['after', /starts the process restore$/],
  // `fresh`, and `restore`.
  ['after', /"saved_states" \(state, aside_at, expires_at, volume_name, announced_at\)$/],
  ['before', /does DELETE \/volumes\/\*$/],
];

/** One thread's life through all that touches its container: after each word, what is there is all there is. */
async function live(stage: KillStage, thread: string): Promise<void> {
  const threadId = `alice@example.com-sample#${thread}`;
  const { db } = stage;
  const told = async (body: string, files = {}): Promise<string> => {
    const { answer, messageIds } = await stage.tell(thread, body, files);
    assert.equal(messageIds.size, 1, `"${body}" was answered by different mails`);
    return answer.text;
  };
  const sessions = () => db('container_sessions').where({ thread_id: threadId, is_active: true });
  const saves = (state: string) => db('saved_states').where({ thread_id: threadId, state });
  const isGone = async (volumes: string[]) => {
    assert.deepEqual(await sessions(), []);
    assert.deepEqual(await stage.inEngine(threadId), { containers: [], volumes });
    assert.deepEqual(await stage.leftovers(), []);
  };
  const isThere = async () => {
    const [session, ...more] = await sessions();
    assert.deepEqual(more, []);
    const [containers, volumes] = [[session.container_name], [session.volume_name]];
    assert.deepEqual(await stage.inEngine(threadId), { containers, volumes });
    assert.deepEqual(await stage.leftovers(), []);
  };

  const make = 'head -c 99999 /dev/urandom > bytes; sha256sum bytes > sum; chmod 751 sum';
  const files = { 'a.txt': 'first file\n', 'b.txt': 'second file\n' };
  const shown = 'ls; ls "$THREADBOX_INBOX"; cat "$THREADBOX_INBOX"/*';
  const first = await told(`echo one >> runs; git checkout -qb work; ${make}; ${shown}`, files);
  ranWith(first, 'README.md\nbytes\nruns\nsum\na.txt\nb.txt\nfirst file\nsecond file');
  await isThere();
  assert.match(await told('stop'), STOPPED);
  const [stopped] = await saves('current');
  await isGone([stopped.volume_name]);
  await removeVolume(engine, stopped.volume_name);
  const look = 'git branch --show-current; stat -c %a sum; sha256sum --check sum; cat runs';
  ranWith(await told(`echo two >> runs; ${look}`), /^work\n751\nbytes: OK\none\ntwo\n\n/m);
  await isThere();
  assert.match(await told('fresh'), /^Your next command starts from the repository/);
  await isGone([]);
  ranWith(await told('echo three >> runs; cat runs'), 'three');
  await isThere();
  assert.match(await told('restore'), /^Your work of .* is back/);
  await isThere();
  assert.equal((await saves('aside')).length, 1);
  ranWith(await told(look), 'work\n751\nbytes: OK\none\ntwo');
  assert.match(await told('stop'), STOPPED);
  const [last] = await saves('current');
  await isGone([last.volume_name]);
}

const STOPPED = /^Stopped, and your work is saved/;

async function startStage(t: { after: (close: () => Promise<void>) => void }): Promise<KillStage> {
  const stage = await startKillStage();
  t.after(() => stage.close());
  return stage;
}

test('killed before or after the steps of create, save, remove, restore and fresh: nothing lost, nothing twice, nothing left over', async (t) => {
  const stage = await startStage(t);
  const left = [...CHOSEN];
  stage.aim((step) => {
    const index = left.findIndex(([, chosen]) => chosen.test(step));
    return left.splice(index, index < 0 ? 0 : 1)[0]?.[0] ?? null;
  });
  await live(stage, 'chosen');
  assert.deepEqual(left, [], `killed only at\n${stage.kills.join('\n')}`);
});

for (const moment of IS_LONG ? (['before', 'after'] as const) : []) {
  test(`the same, killed ${moment} each step there is`, { timeout: 900_000 }, async (t) => {
    const stage = await startStage(t);
    const seen = new Set<string>();
    stage.aim((step) => {
      const isNew = !seen.has(step);
      seen.add(step);
      return isNew ? moment : null;
    });
    try {
      await live(stage, moment);
    } finally {
      t.diagnostic(`killed ${moment} ${stage.kills.length} steps:\n${stage.kills.join('\n')}`);
    }
  });
}
