import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { simpleParser, type ParsedMail } from 'mailparser';
import type { ParsedMessage } from '../../src/mail/parse.ts';
import { openStage, type Stage } from '../lifecycle/stage.ts';
import { ALICE, BOB } from '../support/app.ts';
import { engine } from '../support/engine.ts';
import { ask, readMails } from '../support/mailbox.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { FORGE_SAVES, SYSTEM_CALLS } from './attack-scripts.ts';

/**
 * What a command may try against the machine it runs on, and against what Threadbox reads of its workspace; beside what
 * limits, network, secrets and root.test.ts try. Each must fail, and the bot must go on.
 */
let stage: Stage;
const mark = `threadbox-attack-${randomBytes(6).toString('hex')}`;
before(async () => {
  stage = await openStage({ CONTAINER_NETWORK_GUARD: 'off' });
});
after(() => stage.close());

const goesOn = async (): Promise<void> => ranWith((await stage.ask('echo on')).text, 'on');
const containerId = async (): Promise<string> => (await stage.session())?.container_id ?? '';
/** Raw ones: what a terminal or a mail client would obey, or show in another order. */
// oxlint-disable-next-line no-control-regex
const COMMANDING = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;

async function newestMail(): Promise<ParsedMail> {
  const row = await stage.bot.app
    .db('messages')
    .where({ direction: 'out' })
    .orderBy('id', 'desc')
    .first<{ raw: Buffer }>();
  return simpleParser(row.raw);
}

test('the kernel takes nothing from a command that would reach beyond its container', async () => {
  ranWith((await stage.ask(SYSTEM_CALLS)).text, 'tried 22');
  const script = `for f in /proc/1/{mem,environ,root/etc/passwd,cwd/x,fd/1,map_files,ns/net} /proc/kcore /proc/kmsg /dev/mem /dev/kmsg /dev/fuse \\
    /dev/sda /dev/loop-control /sys/firmware/efi /sys/kernel/debug /proc/sched_debug; do
    (head -c 1 "$f" || ls "$f/") 2>/dev/null | grep -q . && echo "read $f"; (: >"$f") 2>/dev/null && echo "wrote $f"; done
  mkdir -p /tmp/cg && mount -t cgroup -o memory x /tmp/cg 2>/dev/null && echo mounted
  for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir "$d/x" 2>/dev/null && echo "made $d/x"; done; echo end`;
  ranWith((await stage.ask(script)).text, 'end');
});

test('settings and hooks of git are for the container alone, whatever Threadbox does with the workspace', async () => {
  const pwn = `touch /tmp/${mark}`;
  await stage.ask(`cd .git; for hook in pre-commit prepare-commit-msg post-commit post-checkout reference-transaction post-index-change pre-push \\
    fsmonitor-watchman update post-update pre-receive; do printf '#!/bin/sh\\n${pwn}\\n' >hooks/$hook; chmod +x hooks/$hook; done; cd ..
  printf '#!/bin/sh\\n${pwn}; cat\\n' >$HOME/pwn; chmod +x $HOME/pwn
  git config core.fsmonitor $HOME/pwn; git config core.sshCommand $HOME/pwn; git config core.pager $HOME/pwn; git config core.hooksPath .git/hooks
  git config core.editor $HOME/pwn; git config filter.x.clean $HOME/pwn; git config filter.x.smudge $HOME/pwn; git config filter.x.process $HOME/pwn
  git config diff.x.textconv $HOME/pwn; git config diff.external $HOME/pwn; git config gpg.program $HOME/pwn; git config commit.gpgSign true
  git config credential.helper "!$HOME/pwn"; git config uploadpack.packObjectsHook $HOME/pwn; git config remote.origin.uploadpack $HOME/pwn
  git config includeIf.gitdir:/.path $HOME/more; git config alias.add "!$HOME/pwn"; git config protocol.ext.allow always
  printf '* filter=x diff=x\\n' >.gitattributes; printf '[submodule "s"]\\n\\tpath = s\\n\\turl = ext::sh -c ${pwn.replaceAll(' ', '% ')}\\n' >.gitmodules
  mkdir s t && printf 'gitdir: /proc/self/root/etc\\n' >s/.git && printf 'gitdir: ../.git\\n' >t/.git
  echo /proc/1/root/var/lib >>.git/objects/info/alternates; echo work >work`);
  await stage.ask('echo more >>work');
  const { volume_name: volume = '' } = (await stage.session()) ?? {};
  await stage.ask('stop');
  await until(() => engine.getVolume(volume).remove().then(() => true, () => false)); // prettier-ignore
  ranWith((await stage.ask('cat work')).text, /^work\nmore$/m);
  assert.ok(!existsSync(`/tmp/${mark}`));
  await stage.ask('rm -rf .git/hooks/* .git/config .gitattributes .gitmodules s t && git init -q .');
});

const B = '/workspace/.threadbox';
const READ = `${B}/{executions,objects,save,log,last,saved,tree,index,looked,present,at-work} ~/.config /workspace/.{in,out}box .git/MERGE_HEAD .env`;
for (const [what, how] of [
  ['pipes', 'mkfifo "$p"'],
  ['files of 3 TB', 'truncate -s 3T "$p"'],
] as const) {
  test(`${what} in the places of what Threadbox reads hold up nobody`, async () => {
    await stage.ask(`for p in ${READ}; do rm -rf "$p"; ${how}; done; echo ${how.length} >what`);
    await goesOn();
    await stage.ask(`rm -rf .git/MERGE_HEAD .env ~/.config; p=${B}; rm -rf $p; ${how}`);
    await goesOn();
  });
}

test('nor do directories that are closed, or swapped while they are read', async () => {
  await stage.ask(
    `chmod 000 ${B}/executions ${B}/gitconfig ${B} /workspace/.inbox /workspace/.outbox /workspace`,
  );
  await goesOn();
  await stage.ask(
    `(while sleep 0.01; do for d in ${B}/save ${B}/objects /workspace/.outbox; do mv $d /workspace/x && ln -s /etc $d; rm $d; mv /workspace/x $d; done; done) >/dev/null 2>&1 &`,
  );
  const { text } = await stage.ask(
    'mkdir -p $THREADBOX_OUTBOX; ln -s /etc/passwd $THREADBOX_OUTBOX/passwd; mkfifo $THREADBOX_OUTBOX/pipe; true',
  );
  assert.match(text, /^Exit code 0/);
  assert.deepEqual((await newestMail()).attachments, []);
  await stage.ask('pkill -f "while sleep"; sleep 0.1; true');
  await goesOn();
});

test('a command whose place in the workspace is taken is not run, which is told; nothing else ends for it', async () => {
  const sleeps = 'pgrep -xc -f "sleep 1000"';
  await stage.ask(
    `ln -s nowhere ${B}/executions/$((THREADBOX_COMMAND + 1))-1.claim; sleep 1000 >/dev/null 2>&1 &`,
  );
  const failed = await stage.ask('echo never');
  assert.match(
    failed.text.replaceAll(/\s+/g, ' '),
    /^Could not run this command.*The workspace takes no new files/,
  );
  ranWith((await stage.ask(sleeps)).text, '1');
  await stage.ask('pkill -xf "sleep 1000"');
});

test('a save that is forged to be taken apart in the memory of the bot is refused, and the one before stands', async () => {
  await stage.ask('echo kept >kept; cat kept');
  await stage.ask(FORGE_SAVES);
  await stage.ask('echo lost >>kept');
  await until(() => stage.bot.lines.some((line) => /allocate \d+ over limit/.test(JSON.stringify(line))));
  await stage.ask('pkill -f forge-saves; rm -f /tmp/forge-saves.py; true');
  await stage.ask('save');
  await goesOn();
});

test('what floods the way of its answer is cut off', async () => {
  const { text } = await stage.ask(
    'runner=$PPID; cat /dev/zero >/proc/$runner/fd/1 2>/dev/null & sleep 0.2; kill %1; echo flooded',
  );
  assert.match(text, /Exit code|Could not/);
  await goesOn();
});

test('names and texts can command no terminal, no mail client and no reader of the log', async () => {
  const esc = String.raw`\e[2J\e]0;title\a\xc2\x9b31m\xe2\x80\xae`;
  const { text, html } = await (async () => {
    await stage.ask(`git checkout -q -b $'--upload-pack=touch' 2>/dev/null; git symbolic-ref HEAD $'refs/heads/--upload-pack=x\\xe2\\x80\\xae\\xc2\\x9b'
      for name in $'a\\n=== Threadbox: reply above this line ===' $'${esc}' --upload-pack=x -rf $'..\\\\..\\\\x' '<img src=x onerror=alert(1)>'; do echo x >"./$name"; done
      printf '${esc}\\n=== Threadbox: reply above this line ===\\nExit code 0 after 1 s\\n\\0\\0end\\n\\0threadbox-end\\0\\0threadbox-end 00000000000000000000000000000000\\0'
      nohup bash -c $'exec -a "${esc}\\n{\\"level\\":60}" sleep 3' >/dev/null 2>&1 & exit 7`);
    return newestMail();
  })();
  assert.match(text ?? '', /^Exit code 7 /);
  assert.match(text ?? '', /--upload-pack=x\[U\+202E\]/);
  assert.doesNotMatch(text ?? '', COMMANDING);
  assert.doesNotMatch(String(html), COMMANDING);
  assert.ok(!String(html).includes('<img'));
  await stage.ask('save');
  const forged = '{"level":60,"msg":"forged"}';
  await stage.ask(`echo 1\n${forged}\n\u001b[31m\u202e`, {
    subject: `[sample] x\u001b[2J\u009b\u202e ${forged}`,
  });
  await goesOn();
  const lines = stage.bot.lines.map((line) => JSON.stringify(line));
  assert.ok(!stage.bot.lines.some(({ msg }) => msg === 'forged'));
  assert.deepEqual(
    lines.filter((line) => COMMANDING.test(line) || line.includes('\\u001b')),
    [],
  );
  const logs = (
    await engine.getContainer(await containerId()).logs({ stdout: true, stderr: true })
  ).toString();
  assert.doesNotMatch(logs.replaceAll(/[\0-\x02]\0\0\0[^]{4}/g, ''), /[\x1b\x9b]\[|\u009b/); // oxlint-disable-line no-control-regex
});

test('nobody hears of, or touches, what another user does in the same repository, in either direction', async () => {
  const users = [ALICE, BOB].map((address) => ({ address, threadId: `${address}-sample`, mark: randomBytes(8).toString('hex') })); // prettier-ignore
  const answers = new Map<string, ParsedMessage>();
  for (const { address: from, mark: own } of users) {
    answers.set(
      from,
      await stage.ask(`git commit -q --allow-empty -m ${own}; echo ${own} >${own}; echo ${own}`, { from }),
    );
    await stage.ask('save', { from });
  }
  for (const [at, attacker] of users.entries()) {
    const victim = users[1 - at] as (typeof users)[0];
    const of = answers.get(victim.address) as ParsedMessage;
    const running = stage.ask('until [ -e /tmp/go ]; do sleep 0.1; done; echo whole', {
      from: victim.address,
    });
    await stage.untilRuns('sleep 0.1', victim.threadId);
    // In answer to the other's mail, and to the address that its answers go to.
    for (const word of [
      'status',
      'log',
      'cancel all',
      'echo mine; git log --all; git reflog; git stash list; ls -a',
    ]) {
      const { text } = await stage.ask(word, { from: attacker.address, inReplyTo: of });
      assert.ok(!text.includes(victim.mark) && !text.includes(victim.threadId), `${word}: ${text}`);
    }
    const { replyTo } = await simpleParser((await rawOf(of)) ?? '');
    const address = replyTo?.value[0]?.address ?? '';
    assert.match(address, /\+/);
    const answer = await ask(stage.bot.userAt(attacker.address), {
      to: address,
      subject: '[sample] Work',
      body: 'status',
    });
    assert.ok(!answer.text.includes(victim.mark) && !answer.text.includes(victim.threadId), answer.text);
    await stage.inside('touch /tmp/go', victim.threadId);
    ranWith((await running).text, 'whole');
    ranWith((await stage.ask(`cat ${victim.mark}`, { from: victim.address })).text, victim.mark);
  }
  for (const { address, mark: own } of users) {
    const mails = await readMails(stage.bot.userAt(address));
    const others = users.filter((other) => other.mark !== own);
    for (const other of others) assert.ok(mails.every(({ text }) => !text.includes(other.mark)));
  }
  const lines = stage.bot.lines.map((line) => JSON.stringify(line));
  assert.ok(
    users.every((user) => lines.every((line) => !line.includes(user.mark))),
    'the log has what they did',
  );
});

async function rawOf({ messageId }: ParsedMessage): Promise<Buffer | undefined> {
  const row = await stage.bot.app
    .db('messages')
    .where({ message_id: messageId })
    .first<{ raw: Buffer } | undefined>();
  return row?.raw;
}
