import assert from 'node:assert/strict';
import { test } from 'node:test';
import { untilRemoved } from '../../src/containers/until-removed.ts';

const silent = new Error('no answer within 30 s');
const gone = Object.assign(new Error('no such container'), { statusCode: 404 });
const refused = Object.assign(new Error('server error'), { statusCode: 500 });

/** What the engine comes to, one request after the other: `w` what is waited with, `i` what is looked with. */
async function answering(...answers: [request: 'w' | 'i', fault: Error | 'ended' | null][]): Promise<string> {
  let asked = '';
  const answer = (request: 'w' | 'i') => async () => {
    asked += request;
    const [expected, fault] = answers.shift() ?? [];
    assert.equal(request, expected);
    await Promise.resolve();
    if (fault instanceof Error) throw fault;
    return { State: { Running: fault === null } } as never;
  };
  const outcome = await untilRemoved({ wait: answer('w'), inspect: answer('i') }).then(
    () => 'gone',
    (error: unknown) => (error as Error).message,
  );
  assert.deepEqual(answers, []);
  return outcome;
}

test('a container that takes longer to go than an engine may be silent is waited for; an engine that is away is not', async () => {
  assert.equal(await answering(['w', null]), 'gone');
  assert.equal(await answering(['w', gone]), 'gone');
  assert.equal(await answering(['w', silent], ['i', null], ['w', silent], ['i', null], ['w', null]), 'gone');
  assert.equal(await answering(['w', silent], ['i', gone]), 'gone');
  assert.equal(await answering(['w', silent], ['i', 'ended'], ['w', null]), 'gone');
  assert.equal(await answering(['w', silent], ['i', 'ended'], ['w', silent], ['i', 'ended']), silent.message);
  assert.equal(await answering(['w', silent], ['i', silent]), silent.message);
  assert.equal(await answering(['w', refused]), refused.message);
  assert.equal(await answering(['w', silent], ['i', refused]), refused.message);
});
