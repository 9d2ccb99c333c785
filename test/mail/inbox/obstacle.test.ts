import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterFailure, nextPortion, type Obstacle } from '../../../src/mail/inbox/obstacle.ts';
import { uidSet } from '../../../src/mail/inbox/uids.ts';

const UID_VALIDITY = 7;
const many = Array.from({ length: 100 }, (_, index) => index + 1);

function failTimes(
  times: number,
  asked: readonly number[],
  obstacle: Obstacle | null = null,
): Obstacle | null {
  let result = obstacle;
  for (let time = 0; time < times; time += 1) result = afterFailure(result, UID_VALIDITY, asked);
  return result;
}

test('without an obstacle many mails are asked for at once', () => {
  assert.deepEqual(nextPortion(many, null), { uids: many.slice(0, 32), what: 'whole' });
});

test('a failure while nothing was asked for leaves things as they are', () => {
  assert.equal(afterFailure(null, UID_VALIDITY, []), null);
  const obstacle = failTimes(2, [5]);
  assert.equal(afterFailure(obstacle, UID_VALIDITY, []), obstacle);
});

test('in the way of an obstacle mails are asked for one by one, after it many at once again', () => {
  const obstacle = failTimes(1, [1, 2, 3]);
  assert.deepEqual(nextPortion([1, 2, 3, 4], obstacle), { uids: [1], what: 'whole' });
  assert.deepEqual(nextPortion([3, 4], obstacle), { uids: [3], what: 'whole' });
  assert.deepEqual(nextPortion([4, 5], obstacle), { uids: [4, 5], what: 'whole' });
  assert.deepEqual(nextPortion([3, 4], failTimes(1, [2], obstacle)), { uids: [3], what: 'whole' });
});

test('the mail that fails again and again is given up in steps, no other one', () => {
  const asked = [8];
  assert.equal(nextPortion(asked, failTimes(4, asked)).what, 'whole');
  assert.equal(nextPortion(asked, failTimes(5, asked)).what, 'headers');
  assert.equal(nextPortion(asked, failTimes(6, asked)).what, 'headers');
  assert.equal(nextPortion(asked, failTimes(7, asked)).what, 'nothing');
  assert.equal(nextPortion([7], failTimes(7, asked)).what, 'whole');
  assert.equal(nextPortion([9], failTimes(7, asked)).what, 'whole');
});

test('in a mailbox with another UIDVALIDITY the same UID is another mail', () => {
  const obstacle = afterFailure(failTimes(7, [8]), UID_VALIDITY + 1, [8]);
  assert.equal(obstacle?.failures, 1);
});

test('UIDs are written as IMAP writes them, ranges drawn together', () => {
  const cases: [number[], string][] = [
    [[4], '4'],
    [[4, 5, 6, 7], '4:7'],
    [[1, 3, 4, 9], '1,3:4,9'],
  ];
  for (const [uids, expected] of cases) assert.equal(uidSet(uids), expected);
});
