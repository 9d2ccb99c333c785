const SENDERS = 20;
const TEXT = 'npm test\n';
const ATTACHMENT = Buffer.alloc(20_000, 'log line of some length\n')
  .toString('base64')
  .replace(/.{76}/g, '$&\r\n');

/** One of a backlog as people write it: plain, with HTML beside it, an answer with what it quotes, with a file. */
export function backlogMail(index: number, to: string): string {
  const sender = `user${index % SENDERS}@example.com`;
  const head = [
    `Return-Path: <${sender}>`,
    `Delivered-To: ${to}`,
    'Received: from mail.example.com (mail.example.com [192.0.2.1]) by mx.threadbox.test with ESMTPS; Sun, 22 Nov 2026 10:00:00 +0000',
    `From: User ${index % SENDERS} <${sender}>`,
    `To: ${to}`,
    `Subject: [sample] Work of the week`,
    `Date: ${new Date().toUTCString()}`,
    `Message-ID: <backlog-${index}@example.com>`,
    'MIME-Version: 1.0',
  ];
  const content = KINDS[index % KINDS.length] as (index: number) => string[];
  return [...head, ...content(index)].join('\r\n');
}

const script = (index: number) => `${TEXT}echo ${index}\n`.replaceAll('\n', '\r\n');

const plain = (index: number) => ['Content-Type: text/plain; charset=utf-8', '', script(index)];

const alternative = (index: number) => [
  'Content-Type: multipart/alternative; boundary="a"',
  '',
  '--a',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  script(index),
  '--a',
  'Content-Type: text/html; charset=utf-8',
  '',
  `<html><body><div dir="ltr">${TEXT.trim()}<br>echo ${index}<br></div></body></html>`,
  '--a--',
  '',
];

const answer = (index: number) => [
  `In-Reply-To: <earlier-${index}@threadbox.test>`,
  `References: <first-${index}@threadbox.test> <earlier-${index}@threadbox.test>`,
  'Content-Type: text/plain; charset=utf-8',
  '',
  script(index),
  '',
  'On Sun, Nov 22, 2026 at 10:00 AM Threadbox <bot@threadbox.test> wrote:',
  '',
  ...Array.from(
    { length: 60 },
    (_, line) => `> line ${line} of what was answered before, as long as such lines are`,
  ),
  '',
];

const withFile = (index: number) => [
  'Content-Type: multipart/mixed; boundary="m"',
  '',
  '--m',
  ...plain(index),
  '--m',
  'Content-Type: text/plain; name="run.log"',
  'Content-Disposition: attachment; filename="run.log"',
  'Content-Transfer-Encoding: base64',
  '',
  ATTACHMENT,
  '--m--',
  '',
];

const KINDS = [plain, alternative, answer, alternative, plain, answer, plain, alternative, answer, withFile];
