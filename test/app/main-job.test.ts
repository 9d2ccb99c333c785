import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { askBot, sendToBot, type Exchange } from '../../src/cli/write-to-bot.ts';
import type { ParsedMessage } from '../../src/mail/parse.ts';
import { ALICE, BOB, startTestApp, type TestApp } from '../support/app.ts';
import { until } from '../support/until.ts';

let bot: TestApp;
before(async () => {
  bot = await startTestApp();
});
after(() => bot.close());

async function ask(
  from: string,
  subject: string,
  body: string,
  inReplyTo?: ParsedMessage,
  to = bot.botAddress,
): Promise<Exchange['answer']> {
  const mail = { to, subject, body, inReplyTo };
  const { answer } = await askBot(bot.userAt(from), mail, {
    timeoutMs: 60_000,
    signal: new AbortController().signal,
  });
  return answer;
}

test('a mailed command runs in the repository and the answer has its output, in the same conversation', async () => {
  const first = await ask(ALICE, '[sample] Look around', 'pwd\ncat README.md\necho oops >&2');
  assert.equal(first.subject, 'Re: [sample] Look around');
  assert.equal(first.sender, bot.botAddress);
  assert.equal(first.headers.get('auto-submitted')?.[0], 'auto-replied');
  assert.match(first.text, /^exit code 0/i);
  assert.match(first.text, /\/workspace\/sample\n# Sample\noops\n/);
  assert.match(first.text, /main/);

  const second = await ask(ALICE, first.subject, 'exit 7', first);
  assert.match(second.text, /^exit code 7/i);
  assert.deepEqual(second.references.slice(0, -1), [...first.references, first.messageId]);
});

test('files, working directory and exported environment stay from mail to mail; other senders see none of it', async () => {
  await ask(ALICE, '[sample] Stay', 'export COLOUR=green\nmkdir -p sub\ncd sub\necho mine > file.txt');
  const again = await ask(ALICE, '[sample] Another subject', 'pwd; cat file.txt; echo "$COLOUR"');
  assert.match(again.text, /\/workspace\/sample\/sub\nmine\ngreen\n/);

  const other = await ask(BOB, '[sample] Stay', 'pwd; ls; echo "colour: $COLOUR"');
  assert.match(other.text, /\/workspace\/sample\nREADME\.md\ncolour:\n/);
});

test('an answer without a tag goes to the thread it answers', async () => {
  const labelled = await ask(ALICE, '[sample#two] Second thread', 'echo in two > where.txt');
  const answer = await ask(ALICE, 'Re: something else entirely', 'cat where.txt', labelled);
  assert.match(answer.text, /in two/);
});

test('what changed in the repository is told, with lines added and removed', async () => {
  const answer = await ask(
    ALICE,
    '[sample#changes] Change',
    'printf "a\\nb\\n" > new.txt\necho "# Other" > README.md',
  );
  assert.match(answer.text, /2 files changed, \+3 -1/);
  assert.match(answer.text, /new\.txt/);
  const quiet = await ask(ALICE, '[sample#changes] Change', 'true');
  assert.match(quiet.text, /no files changed/i);
});

test('the repository can be named by plus-address and by the first line, and needs no name when there is one', async () => {
  const plus = bot.botAddress.replace('@', '+sample@');
  assert.match((await ask(ALICE, 'No tag', 'echo by plus address', undefined, plus)).text, /by plus address/);
  assert.match((await ask(ALICE, 'No tag either', 'repo: sample\necho by line')).text, /by line/);
  assert.match((await ask(ALICE, 'Nothing at all', 'echo the only one')).text, /the only one/);
});

test('an empty body takes the command from the subject', async () => {
  assert.match((await ask(ALICE, '[sample] echo from the subject', '')).text, /from the subject/);
});

test('an unknown repository is answered with those there are, and nothing runs', async () => {
  const answer = await ask(ALICE, '[simple] Run', 'touch /tmp/ran');
  assert.match(answer.text, /simple/);
  assert.match(answer.text, /sample/);
  assert.match(answer.text, /nothing was run/i);
});

test('an empty answer to an answer runs nothing and says how to write a command', async () => {
  const first = await ask(ALICE, '[sample] echo once', '');
  const answer = await ask(ALICE, first.subject, '', first);
  assert.match(answer.text, /no command in this mail/i);
});

test('a stranger gets no answer, and the reason is recorded', async () => {
  await sendToBot(bot.userAt('mallory@elsewhere.test'), {
    to: bot.botAddress,
    subject: '[sample] Hello',
    body: 'id',
  });
  const row = await until(async () =>
    bot.app.db('messages').first().where({ address: 'mallory@elsewhere.test' }),
  );
  assert.equal(row.outcome, 'dropped');
  assert.equal(row.reason, 'the sender is not allowed');
  assert.equal(
    await bot.app.db('messages').first().where({ direction: 'out', address: 'mallory@elsewhere.test' }),
    undefined,
  );
});

test('commands of one thread run in the order they were sent', async () => {
  const alice = bot.userAt(ALICE);
  for (let index = 1; index < 6; index += 1) {
    await sendToBot(alice, {
      to: bot.botAddress,
      subject: '[sample#order] n',
      body: `sleep 0.$((6-${index})); echo ${index} >> order.txt`,
    });
  }
  assert.match((await ask(ALICE, '[sample#order] last', 'cat order.txt')).text, /1\n2\n3\n4\n5\n/);
});

test('any output is safe to send: binary, a long line, and more than a mail can carry', async () => {
  const binary = await ask(ALICE, '[sample] Binary', 'head -c 3000 /dev/urandom; printf "\\0\\0end\\n"');
  assert.match(binary.text, /end/);
  const line = await ask(
    ALICE,
    '[sample] Line',
    'head -c 3000000 /dev/zero | tr "\\0" x; echo; echo after the line',
  );
  assert.match(line.text, /after the line/);
  const large = await ask(ALICE, '[sample] Large', 'seq 1 2000000; echo the very end');
  assert.match(large.text, /\n1\n2\n3\n/);
  assert.match(large.text, /the very end/);
  assert.deepEqual(
    large.attachments.map(({ fileName }) => fileName),
    ['output.log.gz'],
  );
});
