import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import type { ParsedMessage } from '../../src/mail/parse.ts';
import { ALICE, BOB, startTestApp, type TestApp } from '../support/app.ts';
import { inContainer } from '../support/engine.ts';
import { ask as askBot } from '../support/mailbox.ts';
import { ranWith } from '../support/ran-with.ts';
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
): Promise<ParsedMessage> {
  return askBot(bot.userAt(from), { to, subject, body, inReplyTo });
}

test('a mailed command runs in the repository and the answer has its output, in the same conversation', async () => {
  const first = await ask(ALICE, '[sample] Look around', 'pwd\ncat README.md\necho oops >&2');
  assert.equal(first.subject, 'Re: [sample] Look around');
  assert.equal(first.sender, bot.botAddress);
  assert.equal(first.headers.get('auto-submitted')?.[0], 'auto-replied');
  ranWith(first.text, '/workspace/sample\n# Sample\noops');
  assert.match(first.text, /^Branch: +main$/m);

  const second = await ask(ALICE, first.subject, 'exit 7', first);
  assert.match(second.text, /^Exit code 7 /);
  assert.deepEqual(second.references.slice(0, -1), [...first.references, first.messageId]);
});

test('files, working directory and exported environment stay from mail to mail; other senders see none of it', async () => {
  await ask(ALICE, '[sample] Stay', 'export COLOUR=green\nmkdir -p sub\ncd sub\necho mine > file.txt');
  const again = await ask(ALICE, '[sample] Another subject', 'pwd; cat file.txt; echo "$COLOUR"');
  ranWith(again.text, '/workspace/sample/sub\nmine\ngreen');

  const other = await ask(BOB, '[sample] Stay', 'pwd; ls; echo "colour: $COLOUR"');
  ranWith(other.text, '/workspace/sample\nREADME.md\ncolour:');
});

test('an answer without a tag goes to the thread it answers', async () => {
  const labelled = await ask(ALICE, '[sample#two] Second thread', 'echo in two > where.txt');
  const answer = await ask(ALICE, 'Re: something else entirely', 'cat where.txt', labelled);
  ranWith(answer.text, 'in two');
});

test('what changed in the repository is told, with lines added and removed', async () => {
  const answer = await ask(
    ALICE,
    '[sample#changes] Change',
    'printf "a\\nb\\n" > new.txt\necho "# Other" > README.md',
  );
  ranWith(answer.text, /^2 files changed, \+3 -1$/m);
  ranWith(answer.text, /^ {2}new\.txt {2}\+2 -0$/m);
  const quiet = await ask(ALICE, '[sample#changes] Change', 'true');
  ranWith(quiet.text, /^No files changed$/m);
});

test('the repository can be named by plus-address and by the first line, and needs no name when there is one', async () => {
  const plus = bot.botAddress.replace('@', '+sample@');
  const named = [
    await ask(ALICE, 'No tag', 'echo $((6*7)) by plus', undefined, plus),
    await ask(ALICE, 'No tag either', 'repo: sample\necho $((6*7)) by line'),
    await ask(ALICE, 'Nothing at all', 'echo $((6*7)) by none'),
  ];
  for (const [index, by] of ['plus', 'line', 'none'].entries()) {
    const { text = '' } = named[index] ?? {};
    ranWith(text, `42 by ${by}`);
    assert.match(text, /^Thread: +alice@example\.com-sample$/m);
  }
});

test('an empty body takes the command from the subject', async () => {
  ranWith((await ask(ALICE, '[sample] echo $((6*7)) from the subject', '')).text, '42 from the subject');
});

test('an unknown repository is answered with those there are, and nothing runs', async () => {
  const answer = await ask(ALICE, '[simple] Run', 'touch /workspace/ran-in-simple');
  assert.match(answer.text, /^There is no repository called simple\n/);
  assert.match(answer.text, /^ {2}\* sample$/m);
  assert.match(answer.text, /nothing was run/i);

  ranWith((await ask(ALICE, '[sample] Look', 'ls /workspace')).text, /^sample$/m);
  const sessions = await bot.app.db('container_sessions').where({ is_active: true });
  assert.notEqual(sessions.length, 0);
  for (const { container_id: id } of sessions)
    assert.doesNotMatch(await inContainer(id as string, 'ls /workspace'), /ran-in-simple/);
});

test('an empty answer to an answer runs nothing and says how to write a command', async () => {
  const first = await ask(ALICE, '[sample#empty] echo run | tee -a /workspace/runs', '');
  ranWith(first.text, 'run');
  const answer = await ask(ALICE, first.subject, '', first);
  assert.match(answer.text, /no command in this mail/i);
  ranWith((await ask(ALICE, '[sample#empty] Look', 'cat /workspace/runs')).text, 'run');
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
  ranWith((await ask(ALICE, '[sample#order] last', 'cat order.txt')).text, '1\n2\n3\n4\n5');
});

test('any output is safe to send: binary, a long line, and more than a mail can carry', async () => {
  const binary = await ask(ALICE, '[sample] Binary', 'printf "\\0\\377begin\\n"; head -c 3000 /dev/urandom');
  ranWith(
    binary.text,
    /^\[2\.9 KB of binary data, all of it attached as output\.log\.gz[^]*\n0000 {2}00 ff 62 65 67 69 6e 0a /,
  );
  const line = await ask(
    ALICE,
    '[sample] Line',
    'head -c 3000000 /dev/zero | tr "\\0" x; echo; echo $((6*7)) after the line',
  );
  ranWith(line.text, /^42 after the line\n/m);
  const large = await ask(ALICE, '[sample] Large', 'seq 1 2000000; echo $((6*7)) is the very end');
  ranWith(large.text, /^1\n2\n3\n[^]*\n2000000\n42 is the very end\n/);
  for (const { attachments } of [binary, line, large]) {
    assert.deepEqual(
      attachments.map(({ fileName }) => fileName),
      ['output.log.gz'],
    );
  }
});
