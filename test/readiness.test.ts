import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigError } from '../src/config.ts';
import { freeForImages, isShortOfDisk, mayBeLostNote } from '../src/containers/disk-room.ts';
import { PartBook } from '../src/part-book.ts';
import { createReadiness, type ListenedPart, type ReadinessParts } from '../src/readiness.ts';

const NOON = new Date('2026-11-23T12:00:00Z');
const answers =
  <T>(value: T) =>
  () =>
    Promise.resolve(value);
const fails = (words: string) => () => Promise.reject(new Error(words));

/** A bot whose parts are all well, but for what is said. */
function readinessOf(change: Partial<ReadinessParts> = {}) {
  const book = new PartBook<ListenedPart>(() => NOON);
  book.heard('imap');
  return createReadiness({
    db: { raw: answers({ rows: [{ now: NOON }] }) } as never,
    docker: { ping: answers('OK') } as never,
    sharedState: { ping: answers(undefined) },
    book,
    lock: { isHeld: () => true },
    dataDir: import.meta.dirname,
    workspaceLimit: { way: 'off', imagesDir: '/nowhere' },
    engineFault: () => null,
    now: () => NOON,
    ...change,
  });
}

test('a bot is ready when each of its parts is, and says of the one that is not what is wrong', async () => {
  const well = await readinessOf()();
  assert.equal(well.isReady, true, JSON.stringify(well));
  const lost = new PartBook<ListenedPart>(() => NOON);
  lost.lost('imap', new Error('login refused'));
  const cases: [change: Partial<ReadinessParts>, wrong: Record<string, RegExp>][] = [
    [{ docker: { ping: fails('connect ENOENT') } as never }, { docker: /^connect ENOENT$/ }],
    [
      { engineFault: () => new ConfigError(['CONTAINER_RUNTIME: the engine has no runtime runsc']) },
      { docker: /^answers, but no command can be run: A setting is wrong:\nCONTAINER_RUNTIME: .* runsc$/ },
    ],
    [{ sharedState: { ping: fails('is away') } }, { redis: /^is away$/ }],
    [{ lock: { isHeld: () => false } }, { lock: /^another bot works on this database$/ }],
    [{ dataDir: '/nowhere/at/all' }, { disk: /ENOENT/ }],
    [{ book: lost }, { imap: /^login refused$/ }],
    [
      { db: { raw: fails('connect ECONNREFUSED') } as never },
      { postgresql: /^connect ECONNREFUSED$/, clock: /^PostgreSQL, which it is compared with/ },
    ],
    [
      { db: { raw: answers({ rows: [{ now: new Date(0) }] }) } as never },
      { clock: /apart from PostgreSQL's: synchronise the clocks$/ },
    ],
  ];
  for (const [change, wrong] of cases) {
    const { isReady, parts } = await readinessOf(change)();
    assert.equal(isReady, false);
    const unready = Object.entries(parts).filter(([, { isReady }]) => !isReady);
    assert.deepEqual(new Set(unready.map(([name]) => name)), new Set(Object.keys(wrong)));
    for (const [name, { detail }] of unready) assert.match(detail, wrong[name] as RegExp);
  }
});

test('a part that says nothing is waited for three seconds; who asks meanwhile, or soon after, gets the same', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let asked = 0;
  const ping = () => {
    asked += 1;
    return new Promise<never>(() => undefined);
  };
  const readiness = readinessOf({ docker: { ping } as never });
  const both = [readiness(), readiness()];
  t.mock.timers.tick(3_000);
  for (const { isReady, parts } of await Promise.all(both)) {
    assert.deepEqual([isReady, parts['docker']?.detail], [false, 'no answer within 3 s']);
  }
  await readiness();
  assert.equal(asked, 1);
});

test('the disk below disk images is short of room until there is some more again; without images it is not asked for', async () => {
  const MB = 2 ** 20;
  const cases: [freeBytes: number | null, wasShort: boolean, isShort: boolean][] = [
    [256 * MB, false, false],
    [256 * MB - 1, false, true],
    [384 * MB - 1, true, true],
    [384 * MB, true, false],
    [null, true, false],
  ];
  for (const [freeBytes, wasShort, isShort] of cases)
    assert.equal(isShortOfDisk(freeBytes, wasShort), isShort, `${freeBytes} ${wasShort}`);
  assert.match(mayBeLostNote(32 * MB - 1) ?? '', /^The disk of the machine is full: .* may be lost/);
  assert.deepEqual([mayBeLostNote(32 * MB), mayBeLostNote(null)], [null, null]);
  const imagesDir = join(import.meta.dirname, 'not there', 'neither');
  assert.equal(await freeForImages({ way: 'off', imagesDir }), null);
  assert.ok(Number(await freeForImages({ way: 'image', imagesDir })) > 0);
});
