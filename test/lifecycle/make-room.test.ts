import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isShortOfRoom, type FreeBytes } from '../../src/lifecycle/expire.ts';
import { chooseVictims, hostLimit, type ActiveSession, type Room } from '../../src/lifecycle/make-room.ts';

const JOHN = 1;
const MARY = 2;
/** `john-a 5`: idle since minute 5; `john-a 5 busy`: at work. */
const session = (line: string): ActiveSession => {
  const [threadId = '', minute, busy] = line.split(' ');
  const userId = threadId.startsWith('john') ? JOHN : MARY;
  const lastActivityAt = new Date(Date.UTC(2026, 10, 23, 10, Number(minute)));
  return { threadId, userId, lastActivityAt, isBusy: busy === 'busy' };
};
const john = ['john-a 5', 'john-b 1', 'john-c 9', 'john-d 3', 'john-e 7'];
const busy = (lines: string[]): string[] => lines.map((line) => `${line} busy`);

const cases: [says: string, lines: string[], room: Room, limits?: [user: number, host: number]][] = [
  ['with room for both, none goes', john.slice(0, 4), { evict: [] }],
  ['without any container, none goes', [], { evict: [] }],
  ["a sixth thread evicts the user's longest idle one", john, { evict: ['john-b'] }],
  ['one at work never goes', [...john.toSpliced(1, 1), 'john-b 1 busy'], { evict: ['john-d'] }],
  ['all at work: the command waits', busy(john), { wait: 'user' }],
  ['others of other users do not count', [...john.slice(0, 4), 'mary-a 0', 'mary-b 0'], { evict: [] }],
  ['the thread itself never counts', [...john.slice(0, 4), 'john-new 0'], { evict: [] }],
  ['nor goes', [...john, 'john-new 0'], { evict: ['john-b'] }],
  ['a limit that was lowered evicts as many as it takes', john, { evict: ['john-b', 'john-d'] }, [4, 100]],
  ['or none where that is not enough', ['john-a 1', ...busy(john.slice(1))], { wait: 'user' }, [4, 100]],
  ['a full host evicts the oldest idle of all', ['john-a 5', 'mary-a 2'], { evict: ['mary-a'] }, [5, 2]],
  [
    "what goes for the user's limit makes room on the host",
    ['john-a 5', 'mary-a 2'],
    { evict: ['john-a'] },
    [1, 2],
  ],
  ['both limits at once', ['john-a 5', 'mary-a 2', 'mary-b 1'], { evict: ['john-a', 'mary-b'] }, [1, 2]],
  ['a host at work: the command waits', ['john-a 5 busy', 'mary-a 2 busy'], { wait: 'host' }, [5, 2]],
  ['none goes in vain', ['john-a 5', 'mary-a 2 busy', 'mary-b 1 busy'], { wait: 'host' }, [1, 2]],
  ['equally long idle: the order of their names', ['john-b 1', 'john-a 1'], { evict: ['john-a'] }, [2, 9]],
];
for (const [says, lines, room, [maxPerUser, maxOnHost] = [5, 100]] of cases) {
  test(says, () => {
    const sessions = lines.map(session);
    const asked = { userId: JOHN, threadId: 'john-new', maxPerUser, maxOnHost };
    assert.deepEqual(chooseVictims({ ...asked, sessions }), room);
    assert.deepEqual(chooseVictims({ ...asked, sessions: sessions.toReversed() }), room);
  });
}

const GIB = 1024 ** 3;
const hosts: [says: string, setTo: number | null, memoryBytes: number, limit: number][] = [
  ['one for each GiB', null, 16 * GIB, 16],
  ['whole ones only', null, 7.9 * GIB, 7],
  ['four at the least', null, 1 * GIB, 4],
  ['as it is set, whatever the memory', 2, 64 * GIB, 2],
];
for (const [says, setTo, memoryBytes, limit] of hosts) {
  test(`containers on a host: ${says}`, () => assert.equal(hostLimit({ setTo, memoryBytes }), limit));
}

test('a kept workspace goes for want of room on the disk that it lies on, not on another', () => {
  const unknown = Number.POSITIVE_INFINITY;
  const disks: [says: string, free: FreeBytes, goes: string[]][] = [
    ['room on both', { engine: 10, images: 10 }, []],
    ['the disk of the engine is short', { engine: 9, images: 10 }, ['volume']],
    ['the disk of the images is short', { engine: 10, images: 9 }, ['image']],
    ['one disk for both is short', { engine: 9, images: 9 }, ['volume', 'image']],
    ['the engine is on another machine', { engine: unknown, images: 9 }, ['image']],
    ['there was never an image', { engine: 0, images: unknown }, ['volume']],
  ];
  for (const [says, free, goes] of disks) {
    const gone = ['volume', 'image'].filter((kind) => isShortOfRoom(kind === 'image', free, 10));
    assert.deepEqual(gone, goes, says);
  }
});
