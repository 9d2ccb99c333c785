import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countBreaks } from '../../src/mail/breaks.ts';

const OLD_MS = 172_800_000;
const BAD = 1;
const GOOD = 2;

test('a mail that the server breaks off at while others get through is given up after two days, and no other', () => {
  const alone = countBreaks();
  for (let tries = 0; tries < 21; tries += 1) {
    assert.equal(alone.isItselfToBlame(BAD, OLD_MS), false);
    alone.brokeOff(BAD);
    alone.answered(GOOD);
  }
  assert.equal(alone.isItselfToBlame(BAD, OLD_MS), true);
  assert.equal(alone.isItselfToBlame(BAD, OLD_MS - 1), false, 'it has time yet');
  assert.equal(alone.isItselfToBlame(GOOD, OLD_MS), false);

  const away = countBreaks();
  away.answered(GOOD);
  for (let tries = 0; tries < 1000; tries += 1) away.brokeOff(BAD);
  assert.equal(away.isItselfToBlame(BAD, OLD_MS), false, 'nobody got through: it is the server that is away');

  const refused = countBreaks();
  for (let tries = 0; tries < 100; tries += 1) {
    refused.brokeOff(BAD);
    refused.answered(GOOD);
    if (tries % 10 === 9) refused.answered(BAD);
  }
  assert.equal(refused.isItselfToBlame(BAD, OLD_MS), false, 'the server has a word on it now and then');
});

test('of mails without end it counts those that were tried last', () => {
  const many = countBreaks();
  const breakOff = (id: number): void => {
    many.brokeOff(id);
    many.answered(GOOD);
  };
  for (let tries = 0; tries < 21; tries += 1) for (const id of [BAD, 3]) breakOff(id);
  for (let id = 10; id < 10_005; id += 1) breakOff(id);
  breakOff(BAD);
  for (let id = 20_000; id < 20_008; id += 1) breakOff(id);
  assert.deepEqual([many.isItselfToBlame(BAD, OLD_MS), many.isItselfToBlame(3, OLD_MS)], [true, false]);
});
