import assert from 'node:assert/strict';
import { test } from 'node:test';
import { doubtBrokenLines } from '../../src/mail/broken-lines.ts';
import { parseMessage } from '../../src/mail/parse.ts';
import { readTyped } from '../../src/mail/reply-text.ts';

const GMAIL = 'Message-ID: <CAKx+abc@mail.gmail.com>\nContent-Type: text/plain; charset="UTF-8"';
const OUTLOOK = 'Message-ID: <a@example.com>\nX-Mailer: Microsoft Outlook 16.0\nContent-Type: text/plain';
const LONG = 'docker run --rm --volume $PWD:/work --workdir /work example/image:latest-1';
const BROKEN = `${LONG}\nnpm run build`;
const URL = `https://example.com/${'a'.repeat(60)}`;

const TABLE: readonly [what: string, headers: string, body: string, isAsked: boolean][] = [
  ['a long command of Gmail in plain text mode', GMAIL, BROKEN.replace('npm', 'npm-run-all'), true],
  ['one of Outlook', OUTLOOK, BROKEN, true],
  ['an address that had no room', GMAIL, `curl -sSfL\n${URL}`, true],
  [
    'a comment, the end of which would be run',
    OUTLOOK,
    `# ${'word '.repeat(13)}and never\nrm -rf build`,
    true,
  ],
  ['lines that had room for more', GMAIL, 'cd src\nnpm test\nnpm run build', false],
  ['a line that was broken behind a backslash', OUTLOOK, `${LONG} \\\nnpm run build`, false],
  ['a line that ends with a semicolon', OUTLOOK, `${LONG};\nnpm run build`, false],
  ['a blank line between', OUTLOOK, `${LONG}\n\nnpm run build`, false],
  ['an indented line', OUTLOOK, `${LONG}\n  npm run build`, false],
  ['a longer line, which would be broken as well', OUTLOOK, `${LONG} ${LONG}\n${BROKEN}`, false],
  ['a here-document', OUTLOOK, `cat > a <<EOF\n${BROKEN}\nEOF`, false],
  ['a block that is to be run as it stands', OUTLOOK, `\`\`\`\n${BROKEN}\n\`\`\`\n`, false],
  ['another program', 'Message-ID: <a@example.com>', BROKEN, false],
  ['one that tells which lines are whole', `${GMAIL}; format=flowed`, BROKEN, false],
];
for (const [what, headers, body, isAsked] of TABLE) {
  test(`${isAsked ? 'asked about' : 'not asked about'}: ${what}`, async () => {
    const mail = `From: john@example.com\n${headers}\n\n${body}\n`;
    for (const raw of [mail, mail.replaceAll('\n', '\r\n')]) {
      const message = await parseMessage(Buffer.from(raw));
      const { text, doubt } = doubtBrokenLines(readTyped(message.text), message);
      assert.equal(doubt, isAsked ? 'broken-lines' : null);
      if (isAsked) assert.equal(text, body);
      const answer = await parseMessage(
        Buffer.from(`${raw}\nOn 22 Nov 2026, Bot <bot@example.com> wrote:\n> one\n`),
      );
      assert.deepEqual(doubtBrokenLines(readTyped(answer.text), answer), { text, doubt });
    }
  });
}
