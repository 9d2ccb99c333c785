import assert from 'node:assert/strict';
import { test } from 'node:test';
import { volumeName } from '../../src/containers/names.ts';
import { engine } from '../support/engine.ts';
import { startProcessStage, type ProcessStage } from '../support/process-stage.ts';
import { until } from '../support/until.ts';
import { isLong, only, randomOf, seed } from './flow.ts';
import { longestMs, passThrough, type Incident } from './incidents.ts';

const nothing = (): void => {};

const INCIDENTS: readonly Incident[] = [
  {
    what: 'Dovecot killed',
    begin: ({ dovecot }) => dovecot.stop('SIGKILL'),
    end: ({ dovecot }) => dovecot.start(),
  },
  {
    what: 'Dovecot frozen',
    begin: ({ dovecot }) => dovecot.signal('SIGSTOP'),
    end: ({ dovecot }) => dovecot.signal('SIGCONT'),
  },
  { what: 'IMAP connections cut', begin: ({ wires }) => wires.imap.cut(), end: nothing },
  { what: 'SMTP server stopped', begin: ({ smtp }) => smtp.stop(), end: ({ smtp }) => smtp.start() },
  { what: 'SMTP connections cut', begin: ({ wires }) => wires.smtp.cut(), end: nothing },
  {
    what: 'PostgreSQL restarted',
    begin: ({ postgres }) => postgres.stop(),
    end: ({ postgres }) => postgres.start(),
  },
  { what: 'Redis restarted', begin: ({ redis }) => redis?.stop(), end: ({ redis }) => redis?.start() },
];

/** These take as long as our time limits are: nothing tells a black hole from a slow server before. */
const SLOW_INCIDENTS: readonly Incident[] = [
  {
    what: 'IMAP black-holed',
    begin: ({ wires }) => wires.imap.hold(),
    end: ({ wires }) => wires.imap.release(),
  },
  {
    what: 'SMTP black-holed',
    begin: ({ wires }) => wires.smtp.hold(),
    end: ({ wires }) => wires.smtp.release(),
  },
  {
    what: 'PostgreSQL black-holed',
    begin: ({ wires }) => wires.postgres.hold(),
    end: ({ wires }) => wires.postgres.release(),
    // Twice our time limit for an answer, and the pauses: what lay in the pool may be tried just before the first one is over.
    answeredWithinMs: 200_000,
  },
];

const all = isLong || only !== undefined ? [...INCIDENTS, ...SLOW_INCIDENTS] : INCIDENTS;
const incidents = all.filter(({ what }) => only === undefined || what === only);
const rounds = isLong ? 2 : 1;

if (incidents.length === 0) throw new Error(`FAULT_ONLY names no incident: ${only}`);

test('parts that are killed, frozen, cut off and restarted while mail flows cost no mail and run none twice', async (t) => {
  t.diagnostic(`FAULT_SEED=${seed}`);
  const random = randomOf(seed);
  const stage = await startProcessStage({ hasRedis: true });
  t.after(() => stage.close());
  await stage.spawn('bot').ready();
  await passThrough(t, stage, random, { incidents, rounds, longestMs });
  if (only !== undefined) return;
  await fullDisk(stage);
  if (isLong) await untold(stage);
});

/** A command whose answer can be stored in no form ends all the same, and the next one of its thread runs. */
async function untold(stage: ProcessStage): Promise<void> {
  const address = 'untold@example.com';
  await stage.db.raw(`create function refuse() returns trigger language plpgsql as
    $$ begin raise exception 'an answer that cannot be stored'; end $$`);
  await stage.db.raw(`create trigger refuse before insert on messages for each row
    when (new.direction = 'out' and new.address = '${address}') execute function refuse()`);
  await stage.send(address, '[sample] Untold', 'echo run >> /workspace/ran');
  const ended = await until(() => stage.db('commands').where({ state: 'interrupted' }).first(), 120_000);
  assert.match(ended.error as string, /^its answer could not be stored: .*an answer that cannot be stored$/);
  await stage.db.raw('drop trigger refuse on messages');
  const next = await stage.answerTo(await stage.send(address, '[sample] Next', 'cat /workspace/ran'));
  assert.match(next.text, /^run$/m);
}

/** The disk of a workspace is too small for what its command prints: it is answered, and the next ones run. */
async function fullDisk(stage: ProcessStage): Promise<void> {
  const address = 'full@example.com';
  await engine.createVolume({
    Name: volumeName(stage.installation, `${address}-sample`),
    Labels: { 'threadbox.instance': stage.installation },
    DriverOpts: { type: 'tmpfs', device: 'tmpfs', o: 'size=3m' },
  });
  const filling = await stage.send(address, '[sample] Print', 'head -c 10000000 /dev/zero | base64; exit 5');
  const { text } = await stage.answerTo(filling);
  assert.match(text, /^Exit code 5 after /);
  assert.match(text, /disk of the workspace was full/);
  const after = await stage.answerTo(await stage.send(address, '[sample] After', 'echo $((6*7)) goes on'));
  assert.match(after.text, /^42 goes on$/m);
  assert.equal((await stage.answersTo(filling)).length, 1);
}
