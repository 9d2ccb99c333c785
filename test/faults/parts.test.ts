import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { volumeName } from '../../src/containers/names.ts';
import { engine } from '../support/engine.ts';
import { startProcessStage, type ProcessStage } from '../support/process-stage.ts';
import { FAULTLESS, isLong, randomOf, seed, startFlow } from './flow.ts';

type Incident = {
  what: string;
  begin: (stage: ProcessStage) => unknown;
  end: (stage: ProcessStage) => unknown;
};

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
];

const incidents = isLong ? [...INCIDENTS, ...SLOW_INCIDENTS] : INCIDENTS;
const rounds = isLong ? 2 : 1;
/** A frozen server is to be frozen for longer than we wait for its answer. */
const longestMs = isLong ? 25_000 : 1_500;

test('parts that are killed, frozen, cut off and restarted while mail flows cost no mail and run none twice', async (t) => {
  t.diagnostic(`FAULT_SEED=${seed}`);
  const random = randomOf(seed);
  const stage = await startProcessStage({ hasRedis: true });
  t.after(() => stage.close());
  const flow = startFlow(stage, random);
  await stage.spawn('bot').ready();
  let mails = 0;
  const send = async (): Promise<void> => {
    mails += 1;
    await flow.send();
  };
  for (let round = 0; round < rounds; round += 1) {
    for (const { what, begin, end } of incidents) {
      await send();
      await pause(random() * 700);
      await begin(stage);
      // What arrives in the middle of it waits at the mail server in front.
      const arriving = send();
      await pause((what.endsWith('cut') ? 0.1 : 0.5 + random() / 2) * longestMs);
      await end(stage);
      await arriving;
      const startedAt = performance.now();
      await flow.answered(400_000);
      t.diagnostic(
        `${what}: all answered ${Math.round((performance.now() - startedAt) / 100) / 10} s after its end`,
      );
    }
  }
  await flow.filed(120_000);
  const tally = await flow.tally();
  t.diagnostic(JSON.stringify({ incidents: rounds * incidents.length, ...tally }));
  const { sentTwice, ...rest } = tally;
  assert.deepEqual(rest, { mailsIn: mails, commandsStarted: mails, answersOut: mails, ...FAULTLESS });
  assert.ok(sentTwice <= rounds * incidents.length);
  await fullDisk(stage);
});

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
