import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  effectiveTimeoutMs,
  extendedUntil,
  goesAt,
  idleVerdict,
  type IdleFacts,
  type IdleVerdict,
} from '../../src/lifecycle/idle-policy.ts';

/** A time of day on the day of the last command, which ended at 10:00. */
const at = (time: string): Date => new Date(`2026-11-23T${time.length === 5 ? `${time}:00` : time}Z`);
const minutes = (count: number): number => count * 60_000;
const ordinary: IdleFacts = {
  lastActivityAt: at('10:00'),
  lastCommandAt: at('10:00'),
  keepUntil: null,
  warnedAt: null,
  idleTimeoutMs: minutes(45),
  gracePeriodMs: minutes(5),
};
const wait = (until: string): IdleVerdict => ({ kind: 'wait', until: at(until) });
const warn = (goes: string, minutesRemaining: number): IdleVerdict => ({
  kind: 'warn',
  goesAt: at(goes),
  minutesRemaining,
});
const remove = (idleMinutes: number): IdleVerdict => ({ kind: 'remove', idleMinutes });

const cases: [says: string, facts: Partial<IdleFacts>, now: string, verdict: IdleVerdict][] = [
  ['just after a command, wait for the time of the warning', {}, '10:00', wait('10:40')],
  ['a millisecond before the warning is due, wait', {}, '10:39:59.999', wait('10:40')],
  ['the warning is due after 40 minutes', {}, '10:40', warn('10:45', 5)],
  ['a sweep that comes late warns for as long', {}, '10:40:40', warn('10:45:40', 5)],
  ['warned, wait for the end', { warnedAt: at('10:40') }, '10:42', wait('10:45')],
  ['a warning that came late moves the end', { warnedAt: at('10:40:40') }, '10:45', wait('10:45:40')],
  ['a millisecond before the end, wait', { warnedAt: at('10:40') }, '10:44:59.999', wait('10:45')],
  ['at the end it goes', { warnedAt: at('10:40') }, '10:45', remove(45)],
  ['long after the end it goes', { warnedAt: at('10:40') }, '12:10:59', remove(130)],
  [
    'a bot that was down for hours warns first, and waits the whole grace period',
    {},
    '15:00',
    warn('15:05', 5),
  ],
  ['and removes only then', { warnedAt: at('15:00') }, '15:04:59', wait('15:05')],
  ['a clock that jumped an hour forward warns first', {}, '11:05', warn('11:10', 5)],
  ['a clock that went back behind the last activity waits', {}, '09:00', wait('10:40')],
  ['a clock that went back behind the warning waits', { warnedAt: at('10:40') }, '09:45', wait('10:45')],
  [
    'a warning older than the last activity counts as none',
    { warnedAt: at('09:55') },
    '10:20',
    wait('10:40'),
  ],
  ['and another one is given', { warnedAt: at('09:55') }, '10:40', warn('10:45', 5)],
  ['extend 2h moves the warning', { keepUntil: at('12:30') }, '10:40', wait('12:25')],
  ['and the end', { keepUntil: at('12:30'), warnedAt: at('12:25') }, '12:30', remove(150)],
  [
    'a warning given before the end was moved by hours counts as none',
    { keepUntil: at('12:30'), warnedAt: at('10:40') },
    '12:26',
    warn('12:31', 5),
  ],
  [
    'an end that moved by less than the grace period needs no second warning',
    { keepUntil: at('10:47'), warnedAt: at('10:40') },
    '10:46',
    wait('10:47'),
  ],
  [
    'a warning recorded by a clock that is behind is not given again',
    { warnedAt: at('10:38') },
    '10:41',
    wait('10:45'),
  ],
  ['extend 2h never shortens', { keepUntil: at('10:10') }, '10:10', wait('10:40')],
  ['a keepUntil that has passed changes nothing', { keepUntil: at('10:10') }, '10:40', warn('10:45', 5)],
  ['without a grace period there is no warning', { gracePeriodMs: 0 }, '10:44', wait('10:45')],
  ['and the end comes on time', { gracePeriodMs: 0 }, '10:45', remove(45)],
  ['a short timeout is warned of at half of it', { idleTimeoutMs: minutes(4) }, '10:01:59', wait('10:02')],
  ['and goes on time', { idleTimeoutMs: minutes(4) }, '10:02', warn('10:04', 2)],
  ['after its warning', { idleTimeoutMs: minutes(4), warnedAt: at('10:02') }, '10:04', remove(4)],
  ['a grace period equal to the timeout too', { idleTimeoutMs: minutes(5) }, '10:02', wait('10:02:30')],
  ['minutes are rounded up', { gracePeriodMs: 61_000 }, '10:43:59', warn('10:45', 2)],
  ['and never less than one', { idleTimeoutMs: 4000, gracePeriodMs: 2000 }, '10:00:02', warn('10:00:04', 1)],
  ['a premium user has two hours', { idleTimeoutMs: minutes(120) }, '10:45', wait('11:55')],
];
for (const [says, facts, now, verdict] of cases) {
  test(says, () => assert.deepEqual(idleVerdict({ ...ordinary, ...facts }, at(now)), verdict));
}

test('no container goes without a warning that is a grace period old, whatever the clock does', () => {
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 300; round += 1) {
    const facts = { ...ordinary, idleTimeoutMs: minutes(1 + random(180)) };
    if (random(3) === 0) facts.keepUntil = new Date(facts.lastActivityAt.getTime() + minutes(random(400)));
    let nowMs = facts.lastActivityAt.getTime();
    for (let step = 0; step < 2000; step += 1) {
      nowMs += random(50) === 0 ? minutes(random(300) - 60) : 60_000;
      const verdict = idleVerdict(facts, new Date(nowMs));
      if (verdict.kind === 'warn') facts.warnedAt = new Date(nowMs);
      if (verdict.kind !== 'remove') continue;
      assert.ok(facts.warnedAt);
      const graceMs = Math.min(facts.gracePeriodMs, facts.idleTimeoutMs / 2);
      assert.ok(nowMs - facts.warnedAt.getTime() >= graceMs);
      assert.ok(nowMs >= goesAt(facts).getTime());
      break;
    }
  }
});

test("a repository's timeout goes before the user's, the user's before the server's", () => {
  assert.equal(effectiveTimeoutMs(180, 120, 45), 180);
  assert.equal(effectiveTimeoutMs(null, 120, 45), 120);
  assert.equal(effectiveTimeoutMs(null, null, 45), 45);
});

const extensions: [says: string, now: string, durationMs: number | null, until: string, isCapped: boolean][] =
  [
    ['extend keeps it for one more timeout', '10:41', null, '11:26', false],
    ['extend 2h keeps it for two hours', '10:41', minutes(120), '12:41', false],
    ['an extension ends twelve hours after the last command', '10:41', minutes(6000), '22:00', true],
    ['exactly as far as allowed is not too far', '10:00', minutes(720), '22:00', false],
    ['a plain extend is capped as well', '21:30', null, '22:00', true],
  ];
for (const [says, now, durationMs, until, isCapped] of extensions) {
  test(says, () => {
    const extension = {
      now: at(now),
      durationMs,
      lastCommandAt: at('10:00'),
      idleTimeoutMs: minutes(45),
      capMs: minutes(720),
    };
    assert.deepEqual(extendedUntil(extension), { until: at(until), isCapped });
  });
}
