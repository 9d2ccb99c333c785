import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { connectSmtp, SendError, type TransportLimits } from '../../src/mail/transport.ts';
import { SMTP_PASSWORD, startScriptedSmtp } from '../support/scripted-smtp.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';

/** On a machine that has much else to do, too, none of them is over before its end. */
const PATIENT: TransportLimits = {
  connectTimeoutMs: 30_000,
  sendTimeoutMs: 30_000,
  lastWordTimeoutMs: 30_000,
};
const mail = (subject = 'Hello') => ({
  raw: Buffer.from(`From: bot@example.com\nTo: john@example.com\nSubject: ${subject}\n\n.dots\n..and more\n`),
  from: 'bot@example.com',
  to: ['john@example.com'],
});

async function start(context: TestContext) {
  const smtp = await startScriptedSmtp();
  const transport = connectSmtp(smtp.server, SMTP_PASSWORD, PATIENT);
  context.after(async () => {
    await transport.close();
    await smtp.close();
  });
  return { smtp, transport };
}

const failure = async (sending: Promise<void>): Promise<SendError> => {
  const error = await sending.then(
    () => assert.fail('the mail was taken'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof SendError, String(error));
  return error;
};

test('mails go out whole, over one connection that stays open', async (context) => {
  const { smtp, transport } = await start(context);
  await transport.send(mail('one'));
  await transport.send(mail('two'));
  assert.equal(smtp.connections(), 1);
  assert.deepEqual(
    smtp.taken.map(({ source }) => /Subject: (\w+)/.exec(source)?.[1]),
    ['one', 'two'],
  );
  assert.match(smtp.taken[0]?.source ?? '', /\r\n\r\n\.dots\r\n\.\.and more\r\n$/);
  assert.deepEqual(smtp.taken[0]?.to, ['john@example.com']);
});

test('a 5yz reply is final, a 4yz reply is not, and neither spoils the next mail', async (context) => {
  const { smtp, transport } = await start(context);
  smtp.behave(550, 451);
  const refused = await failure(transport.send(mail()));
  assert.deepEqual([refused.fault, refused.isPermanent], ['mail', true]);
  assert.match(refused.message, /127\.0\.0\.1:\d+ refused the mail: 550 scripted 550/);
  const deferred = await failure(transport.send(mail()));
  assert.deepEqual([deferred.fault, deferred.isPermanent], ['mail', false]);
  await transport.send(mail());
  assert.equal(smtp.taken.length, 1);
});

test('a connection that is cut, a server that shuts down and one that falls silent are faults of the server', async (context) => {
  const { smtp, transport } = await start(context);
  const hasty = connectSmtp(smtp.server, SMTP_PASSWORD, { ...PATIENT, lastWordTimeoutMs: 1_000 });
  context.after(() => hasty.close());
  for (const behaviour of ['drop', 421, 'hang'] as const) {
    smtp.behave(behaviour);
    const error = await failure((behaviour === 'hang' ? hasty : transport).send(mail()));
    assert.deepEqual([behaviour, error.fault, error.isPermanent], [behaviour, 'server', false]);
    assert.ok(error.cause instanceof Error);
  }
  await transport.send(mail());
  assert.equal(smtp.taken.length, 1);
});

test('a server that takes its time over a whole mail is waited for, and gets it once', async (context) => {
  const { smtp } = await start(context);
  const limits = { ...PATIENT, sendTimeoutMs: 3_000, lastWordTimeoutMs: 60_000 };
  const transport = connectSmtp(smtp.server, SMTP_PASSWORD, limits);
  context.after(() => transport.close());
  smtp.behave({ takeAfterMs: 3_500 });
  await transport.send(mail());
  assert.equal(smtp.taken.length, 1);
});

test('a server that falls silent before it has asked for the text of a mail is given up sooner', async (context) => {
  const { smtp } = await start(context);
  const wire = await startTcpProxy(smtp.server.port);
  context.after(() => wire.close());
  const limits = { connectTimeoutMs: 20_000, sendTimeoutMs: 3_000, lastWordTimeoutMs: 600_000 };
  const transport = connectSmtp({ ...smtp.server, port: wire.port }, SMTP_PASSWORD, limits);
  context.after(() => transport.close());
  await transport.send(mail());
  wire.hold();
  assert.match((await failure(transport.send(mail()))).message, /no end after 3 s$/);
});

test('a large mail goes out in blocks, and no line of it suffers', async (context) => {
  const { smtp } = await start(context);
  const transport = connectSmtp(smtp.server, SMTP_PASSWORD);
  context.after(() => transport.close());
  // Lines of many lengths, so that blocks end anywhere in them, before dots and between CR and LF.
  const lines = Array.from(
    { length: 10_000 },
    (_, index) => `${'.'.repeat(index % 3)}${'x'.repeat(index % 37)}`,
  );
  const head = 'Subject: Large\r\n\r\n';
  for (const lineEnd of ['\n', '\r\n']) {
    const raw = Buffer.from(`${head}${lines.join(lineEnd)}${lineEnd}`);
    await transport.send({ ...mail(), raw });
    assert.equal(smtp.taken.at(-1)?.source, `${head}${lines.join('\r\n')}\r\n`);
  }
});

test('a server whose disk is full is unwell for all mails; one that cannot check a login now is asked again soon', async (context) => {
  const { smtp, transport } = await start(context);
  smtp.behave('full');
  const full = await failure(transport.send(mail()));
  assert.deepEqual([full.fault, full.isPermanent, full.statusCode], ['server', false, '4.3.1']);

  const table: [code: number, words: string, fault: string][] = [
    [454, '4.7.0 Temporary authentication failure', 'server'],
    [454, '4.7.0 Too many login attempts, please try again later', 'login'],
    [535, '5.7.8 Error: authentication failed', 'login'],
  ];
  for (const [code, words, fault] of table) {
    smtp.refuseLogins(code, words);
    const other = connectSmtp(smtp.server, SMTP_PASSWORD, PATIENT);
    context.after(() => other.close());
    const error = await failure(other.send(mail()));
    assert.deepEqual([error.fault, error.isPermanent], [fault, false], words);
    assert.match(error.message, /does not let us in: \d{3} [45]\.7\.\d /);
  }
});

test('a refused login is told apart', async (context) => {
  const { smtp } = await start(context);
  const wrong = connectSmtp(smtp.server, 'wrong', PATIENT);
  context.after(() => wrong.close());
  const error = await failure(wrong.send(mail()));
  assert.deepEqual([error.fault, error.isPermanent], ['login', false]);
  assert.ok(!error.message.includes('wrong'), 'the password is in the message');
});

test('where TLS is required, nothing is sent without it', async (context) => {
  const { smtp } = await start(context);
  const strict = connectSmtp({ ...smtp.server, tls: 'required' }, SMTP_PASSWORD, PATIENT);
  context.after(() => strict.close());
  const error = await failure(strict.send(mail()));
  assert.equal(error.fault, 'server');
  assert.equal(smtp.taken.length, 0);
});

test('a port where nobody speaks SMTP fails in time', async (context) => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const transport = connectSmtp(
    { host: '127.0.0.1', port, user: 'bot', tls: 'offered', verifyCertificate: true },
    SMTP_PASSWORD,
    { connectTimeoutMs: 200, sendTimeoutMs: 600_000, lastWordTimeoutMs: 600_000 },
  );
  context.after(async () => {
    await transport.close();
    silent.close();
  });
  // By the shortest of its limits: the others are over long after this test.
  assert.equal((await failure(transport.send(mail()))).fault, 'server');
});
