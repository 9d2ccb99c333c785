import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { openParser, parseEach } from '../../src/mail/parser.ts';
import { collectedLog } from '../support/collected-log.ts';

const mails = Array.from({ length: 20 }, (_, index) =>
  Buffer.from(
    index === 7
      ? ''
      : `From: Ann <ann${index}@example.com>\r\nDate: Mon, 23 Nov 2026 00:00:00 +0000\r\nSubject: [web] =?utf-8?q?=C3=A4?= ${index}\r\n\r\nmake ${index}\r\n`,
  ),
);

test('a backlog is parsed in a thread as it is here, each mail in its place', async () => {
  let threads = 0;
  const { log, lines } = collectedLog();
  const parser = openParser(log, () => {
    threads += 1;
    return new Worker(new URL('../../src/mail/parse-thread.ts', import.meta.url));
  });
  const here = await parseEach(mails);
  assert.deepEqual(await Promise.all([parser.parse(mails), parser.parse(mails.slice(2))]), [
    here,
    here.slice(2),
  ]);
  assert.deepEqual(await parser.parse(mails.slice(0, 3)), here.slice(0, 3));
  assert.equal(threads, 1);
  await parser.close();
  assert.deepEqual(lines, []);
});

test('what a thread fails to parse is parsed here, and the next backlog gets a new one', async () => {
  let threads = 0;
  const { log, lines } = collectedLog();
  const parser = openParser(log, () => {
    threads += 1;
    return new Worker('process.exit(9)', { eval: true });
  });
  const here = await parseEach(mails);
  assert.deepEqual(await parser.parse(mails), here);
  assert.deepEqual(await parser.parse(mails), here);
  assert.equal(threads, 2);
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    Array.from({ length: 2 }, () => 'mails could not be parsed in a thread of their own'),
  );
  await parser.close();
});
