import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProcessStage, type ProcessStage } from '../support/process-stage.ts';
import { until } from '../support/until.ts';
import { randomOf, seed } from './flow.ts';
import { longestMs, passThrough, type Incident } from './incidents.ts';

// A real Postfix takes the answers, and brings them to Dovecot. Its queue and PostgreSQL lie on small disks of their own.

const postfixOf = ({ postfix }: ProcessStage) => {
  assert.ok(postfix);
  return postfix;
};

const INCIDENTS: readonly Incident[] = [
  {
    what: 'Postfix killed',
    begin: (stage) => postfixOf(stage).stop('KILL'),
    end: (stage) => postfixOf(stage).start(),
  },
  {
    what: 'Postfix stopped',
    begin: (stage) => postfixOf(stage).stop(),
    end: (stage) => postfixOf(stage).start(),
  },
  {
    what: 'Postfix frozen',
    begin: (stage) => postfixOf(stage).signal('STOP'),
    end: (stage) => postfixOf(stage).signal('CONT'),
  },
  { what: 'connections to Postfix cut', begin: ({ wires }) => wires.smtp.cut(), end: () => {} },
  {
    what: 'connections to Postfix black-holed',
    begin: ({ wires }) => wires.smtp.hold(),
    end: ({ wires }) => wires.smtp.release(),
  },
  {
    what: 'the disk of the queue of Postfix full',
    begin: (stage) => postfixOf(stage).setFull(true),
    end: (stage) => postfixOf(stage).setFull(false),
  },
  {
    // It checks the logins for Postfix as well, and takes what that brings.
    what: 'Dovecot killed',
    begin: ({ dovecot }) => dovecot.stop('SIGKILL'),
    end: ({ dovecot }) => dovecot.start(),
  },
  {
    what: 'the disk of PostgreSQL full',
    begin: ({ fillDisk }) => fillDisk(true),
    end: ({ fillDisk }) => fillDisk(false),
  },
];

test('a real Postfix that is killed, frozen, cut off and full, and a full disk of PostgreSQL, cost no mail', async (t) => {
  t.diagnostic(`FAULT_SEED=${seed}`);
  const stage = await startProcessStage({ hasPostfix: true, diskMb: 160 });
  t.after(() => stage.close());
  const bot = stage.spawn('bot');
  await bot.ready();
  await passThrough(t, stage, randomOf(seed), { incidents: INCIDENTS, rounds: 2, longestMs });
  const told = (words: RegExp) => () =>
    bot.lines.some(({ msg, reason }) => words.test(`${msg}: ${String(reason)}`));
  await until(told(/^SMTP does not answer.*4\.3\.1/s));
  await until(told(/^(?:PostgreSQL does not answer|mail cannot be recorded)/));
});
