import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMessage } from '../../src/mail/parse.ts';
import { readTyped, REPLY_MARKER, type Typed } from '../../src/mail/reply-text.ts';

/** The answer of ours that is quoted; the marker ends it. */
const ANSWER = ['Exit code 0 after 1.2 s', '', '$ ls', 'README.md', '', 'Thread:    john', '', REPLY_MARKER];
export const PREFIXED = ANSWER.map((line) => (line === '' ? '>' : `> ${line}`)).join('\n');
export const BARE = ANSWER.join('\n');
export const PAGE = ANSWER.map((line) => (line === '' ? '<div><br></div>' : `<div>${line}</div>`)).join('');
/** What was typed: nothing of it may go, and nothing may come. */
export const COMMAND = 'git log --oneline -- src\ncat a > b';
export const TYPED_PAGE = '<div>git log --oneline -- src</div><div>cat a &gt; b</div>';

const HEAD = 'From: John <john@example.com>\nSubject: Re: [app] test\nMIME-Version: 1.0\n';
export const plain = (body: string) =>
  `${HEAD}Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n${body}\n`;
export const html = (body: string) =>
  `${HEAD}Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n<html><body>${body}</body></html>\n`;
export const both = (text: string, body: string) =>
  `${HEAD}Content-Type: multipart/alternative; boundary=b\n\n` +
  `--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n${text}\n` +
  `--b\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n${body}\n--b--\n`;

/** Reads a mail with LF and with CRLF. */
export async function readBoth(mail: string, expected: Typed): Promise<void> {
  for (const raw of [mail, mail.replaceAll('\n', '\r\n')]) {
    const { text } = await parseMessage(Buffer.from(raw));
    assert.deepEqual(readTyped(text), expected);
  }
}

/** Of each of these mails the command is understood, and nothing else. */
export function check(name: string, ...mails: readonly string[]): void {
  test(name, async () => {
    for (const mail of mails) await readBoth(mail, { text: COMMAND, doubt: null });
  });
}

/** Answers by a client that announces what it quotes with this line: above the quote, below it, and between its lines. */
export function checkAttribution(line: string, client = ''): void {
  const name = client === '' ? line : `${client}: ${line}`;
  check(
    `above and below, ${name}`,
    plain(`${COMMAND}\n\n${line}\n\n${PREFIXED}\n`),
    plain(`${line}\n${PREFIXED}\n\n${COMMAND}\n`),
  );
  test(`between the lines it is asked, ${name}`, () =>
    readBoth(plain(`${line}\n> one\n\ngit log\n\n> two\n\npwd\n`), {
      text: 'git log\n\n\npwd',
      doubt: 'between-quoted-lines',
    }));
}
