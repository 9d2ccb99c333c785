import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTyped, REPLY_MARKER, type Doubt } from '../../src/mail/reply-text.ts';
import { processorMs } from '../support/processor-time.ts';

type Case = { mail: string; typed: string; doubt?: Doubt };

/** Each case is tried with LF and with CRLF. */
function check(name: string, cases: Readonly<Record<string, Case>>): void {
  for (const [what, { mail, typed, doubt = null }] of Object.entries(cases)) {
    test(`${name}: ${what}`, () => {
      assert.deepEqual(readTyped(mail), { text: typed, doubt });
      assert.deepEqual(readTyped(mail.replaceAll('\n', '\r\n')), { text: typed, doubt });
    });
  }
}

/** A script that must come out as it went in. */
const kept = (mail: string) => ({ mail, typed: mail });

const ANSWER = [
  'exit code 0 after 1.2 s',
  '',
  'all tests passed',
  '',
  'To go on, answer this mail.',
  REPLY_MARKER,
];
const quoted = ANSWER.map((line) => (line === '' ? '>' : `> ${line}`)).join('\n');
const unprefixed = ANSWER.join('\n');

check('a plain command keeps every line', {
  'one line': kept('npm test'),
  'blank lines between': kept('cd src\n\n\nls -la'),
  indentation: kept('if true; then\n    echo yes\n\techo tab\nfi'),
  'trailing spaces': kept('printf "%s" a   \nls'),
  'two dashes': kept('git checkout --\nls\n--\necho after'),
  'three dashes and underscores': kept('echo a\n---\n___\n-----\n__________________\necho b'),
  'a redirection at the start of a line': kept('> empty.txt\n>> log.txt echo more\nls'),
  'redirections that go on with a command': kept('pg_dump app \\\n> app.sql 2> errors.txt\nls'),
  'words that open an attribution': kept('echo "On Monday he wrote"\nOn=1\nLe=2\nAm=3'),
  'a comment like an attribution': kept(
    '# On 2026-11-22 John <john@example.com> wrote:\necho kept\n> out.txt',
  ),
  'a line that ends in a colon': kept('echo On 22 Nov 2026 at 10:00:\n> file'),
  'a single header line': kept('From: me\necho a\nSubject: none'),
  'our marker in a command': kept(`grep -r '${REPLY_MARKER}' .\necho done`),
  'signs like those of a phone, not at the end': kept('Sent from my iPhone\nls'),
});

check('a here-document is not looked into', {
  'quoted text': kept('cat > mail.txt <<EOF\n> quoted\n>> twice\nEOF\nwc -l mail.txt'),
  headers: kept("cat <<'END'\nFrom: a@example.com\nDate: today\nSubject: hello\n\nbody\nEND"),
  'an attribution': kept(
    'cat <<-X\n\tOn 22 Nov 2026, Bot <bot@example.com> wrote:\n\t> hello\n\tX\necho after',
  ),
  'a signature': kept('git commit -F - <<"MSG"\nFix\n\n-- \nJohn\nMSG\ngit log -1'),
  'our marker': kept(`cat <<EOF\n${REPLY_MARKER}\nEOF\nls`),
  'two in one line': kept('diff <(cat <<A) <(cat <<B)\n-- \nA\n> b\n-- \nB\necho same'),
  'in a quoted mail below': {
    mail: `cat <<EOF\n-- \nEOF\n\nOn 22 Nov 2026, Bot <bot@example.com> wrote:\n${quoted}`,
    typed: 'cat <<EOF\n-- \nEOF',
  },
});

check('a fenced block', {
  'as the whole text loses its fence': { mail: '\n```bash\nls\n> x\n-- \n```\n', typed: 'ls\n> x\n-- ' },
  'as the whole text above a quote': {
    mail: `\`\`\`\nls\n\`\`\`\n\nOn 22 Nov 2026, Bot <bot@example.com> wrote:\n${quoted}`,
    typed: 'ls',
  },
  'among other lines stays as it is': kept('cat <<EOF > README.md\n```\n-- \n```\nEOF'),
  'with its language and its blank lines is kept as it is': {
    mail: '```sh\n\n  ls\n\n```\n\nSent from my iPhone\n',
    typed: '\n  ls\n',
  },
  'in a quoted argument is content': kept('gh pr create --body "Look:\n```\nls\n```\n"\necho done'),
});

const SIGNATURES = {
  'dash dash space': '-- \nJohn Doe\n+1 555 0100',
  'an iPhone': 'Sent from my iPhone',
  Outlook: 'Get Outlook for Android',
  'a German phone': 'Von meinem iPhone gesendet',
  'a French phone': 'Envoyé de mon iPhone',
};
for (const [what, signature] of Object.entries(SIGNATURES)) {
  check('a signature goes', { [what]: { mail: `npm test\n\n${signature}\n`, typed: 'npm test' } });
}
check('a signature goes', {
  'above a quote, too': {
    mail: `npm test\n\n-- \nJohn\n\nOn 22 Nov 2026 at 10:00, Bot <bot@example.com> wrote:\n${quoted}`,
    typed: 'npm test',
  },
});

/** What clients put between what was typed and the mail it answers; then the lines of that mail. */
const TOP_POSTS: Readonly<Record<string, string>> = {
  Gmail: `On Sun, Nov 22, 2026 at 10:00 AM Threadbox <bot@example.com> wrote:\n\n${quoted}`,
  'Gmail, wrapped': `On Sun, Nov 22, 2026 at 10:00 AM Threadbox the Bot <bot@example.com>\nwrote:\n\n${quoted}`,
  'Gmail in German': `Am So., 22. Nov. 2026 um 10:00 Uhr schrieb Threadbox <bot@example.com>:\n\n${quoted}`,
  'Gmail in French': `Le dim. 22 nov. 2026 à 10:00, Threadbox <bot@example.com> a écrit :\n\n${quoted}`,
  'Gmail in Spanish': `El dom, 22 nov 2026 a las 10:00, Threadbox (<bot@example.com>) escribió:\n\n${quoted}`,
  'Gmail in Japanese': `2026年11月22日(日) 10:00 Threadbox <bot@example.com>:\n\n${quoted}`,
  'Gmail in Chinese': `Threadbox <bot@example.com> 于2026年11月22日周日 10:00写道：\n\n${quoted}`,
  'Apple Mail': `> On 22. Nov 2026, at 10:00, Threadbox <bot@example.com> wrote:\n> \n${quoted}`,
  Thunderbird: `On 11/22/26 10:00, Threadbox wrote:\n${quoted}`,
  'Thunderbird in Dutch': `Op 22-11-2026 om 10:00 schreef Threadbox:\n${quoted}`,
  mutt: `On Sun, Nov 22, 2026 at 10:00:00AM +0000, Threadbox wrote:\n${quoted}`,
  Outlook: `________________________________\nFrom: Threadbox <bot@example.com>\nSent: Sunday, November 22, 2026 10:00 AM\nTo: John <john@example.com>\nSubject: Re: [app] test\n\n${unprefixed}`,
  'Outlook in German': `Von: Threadbox <bot@example.com>\nGesendet: Sonntag, 22. November 2026 10:00\nAn: John\nBetreff: AW: [app] test\n\n${unprefixed}`,
  'Outlook, older': `-----Original Message-----\nFrom: Threadbox\nSent: Sunday\nTo: John\nSubject: test\n\n${unprefixed}`,
  'an attribution without any sign of a quote below': `On 22 Nov 2026, Threadbox wrote:\n\n${unprefixed}`,
  'no attribution at all': quoted,
};
for (const [client, quote] of Object.entries(TOP_POSTS)) {
  check('an answer written above the quote', {
    [client]: { mail: `npm test\nls --\n\n${quote}\n`, typed: 'npm test\nls --' },
  });
  if (client.startsWith('Outlook') || client.includes('without') || client === 'Apple Mail') continue;
  check('an answer written below the quote', {
    [client]: { mail: `${quote}\n\nnpm test\nls --\n`, typed: 'npm test\nls --' },
  });
  check('half of what was typed below a quote', {
    [client]: {
      mail: `${quote}\n\nnpm test\n> out.txt\n`,
      typed: 'npm test',
      doubt: 'between-quoted-lines',
    },
  });
}

check('what was typed', {
  'never takes the end of a wrapped quoted line for a command': {
    mail: `On 22 Nov 2026, Bot <bot@example.com> wrote:\n> ${'long '.repeat(14)}line\nwrapped\n> more\n\nls`,
    typed: 'ls',
  },
  'is nothing where only a quote is': {
    mail: `On 22 Nov 2026, Bot <bot@example.com> wrote:\n${quoted}\n`,
    typed: '',
  },
  'is nothing in an empty mail': { mail: '\n \n\n', typed: '' },
  'has nothing of the footer of a list or a gateway below the quote': {
    mail: `ls\n\nOn 22 Nov 2026, Bot <bot@example.com> wrote:\n${quoted}\n\n__________________\nThis mail is confidential.\n`,
    typed: 'ls',
  },
  'has nothing of a signature below the quote': {
    mail: `ls\n\nOn 22 Nov 2026, Bot <bot@example.com> wrote:\n${quoted}\n\n-- \nJohn\n`,
    typed: 'ls',
  },
});

const ATTRIBUTION = 'On Sun, 22 Nov 2026 at 10:00, Bot <bot@example.com> wrote:';
check('it is asked', {
  'where the answers stand between the quoted lines': {
    mail: `${ATTRIBUTION}\n> first question\nnpm test\n> second question\nls\n`,
    typed: 'npm test\nls',
    doubt: 'between-quoted-lines',
  },
  'where quoted lines are left, and nothing that says whose they are': {
    mail: '> Exit code 0 after 1.2 s\ngit log\n> all tests passed\npwd\n',
    typed: 'git log\npwd',
    doubt: 'between-quoted-lines',
  },
  'where text stands above the quote and below it': {
    mail: `npm ci\n\n${ATTRIBUTION}\n${quoted}\n\nnpm test\n`,
    typed: 'npm ci',
    doubt: 'around-a-quote',
  },
  'where text stands above the quote and within it': {
    mail: `npm ci\n\n${ATTRIBUTION}\n> one\nnpm test\n> two\n`,
    typed: 'npm ci',
    doubt: 'around-a-quote',
  },
  'where text stands around a quote without any sign': {
    mail: `npm ci\n\n${ATTRIBUTION}\n\n${unprefixed}\n\nnpm test\n`,
    typed: 'npm ci',
    doubt: 'around-a-quote',
  },
  'where a line like an attribution stands amid a script': {
    mail: `npm ci\n${ATTRIBUTION}\nnpm test\n`,
    typed: 'npm ci',
    doubt: 'open-quote',
  },
  'where a signature would cut a quoted argument': {
    mail: 'git commit -m "Fix it\n\n-- \nJohn"\ngit push\n',
    typed: 'git commit -m "Fix it',
    doubt: 'cut-short',
  },
  'where an attribution would cut a here-document that does not end': {
    mail: `cat > mail.txt <<EOF\n${ATTRIBUTION}\n> hello\n`,
    typed: 'cat > mail.txt <<EOF',
    doubt: 'cut-short',
  },
  'where headers would cut a line that goes on': {
    mail: `send \\\nFrom: a@example.com\nDate: today\nSubject: hello\n\n${unprefixed}`,
    typed: 'send \\',
    doubt: 'cut-short',
  },
  'where the quote has no beginning that can be seen': {
    mail: `ls\n${unprefixed}\n`,
    typed: '',
    doubt: 'no-beginning',
  },
  'where a fenced block stands among other lines': {
    mail: 'Please run:\n\n```\nls\n```\n\nThank you\n',
    typed: 'Please run:\n\n```\nls\n```\n\nThank you',
    doubt: 'beside-a-fence',
  },
  'where there are two fenced blocks': {
    mail: '```\na\n```\nand\n```\nb\n```',
    typed: '```\na\n```\nand\n```\nb\n```',
    doubt: 'beside-a-fence',
  },
});

check('it is not asked', {
  'where a fenced block stands above the quote': {
    mail: `\`\`\`\nls\n\`\`\`\n\n${ATTRIBUTION}\n${quoted}\n\nThis mail is confidential.\n`,
    typed: 'ls',
  },
  'where such lines stand in a fenced block': { mail: '```\n> a b\nls\n```\n', typed: '> a b\nls' },
  'where what looks like a here-document is none': {
    mail: `echo "a << b" '<< c' $((x << n)) # << d\ncat <<< e\n\n${ATTRIBUTION}\n${quoted}\n`,
    typed: `echo "a << b" '<< c' $((x << n)) # << d\ncat <<< e`,
  },
  'where a script that is cut is whole': {
    mail: `echo "it's $((1 << 2))" # don't\n\n${ATTRIBUTION}\n${quoted}\n`,
    typed: `echo "it's $((1 << 2))" # don't`,
  },
  'where nothing was cut, however odd the script': kept('echo "a\ncat <<EOF\nls |'),
  'where nothing follows the attribution': { mail: `ls\n\n${ATTRIBUTION}\n\n`, typed: 'ls' },
});

const LONG: Readonly<Record<string, string>> = {
  'many quoted lines and here-documents': Array.from(
    { length: 20_000 },
    (_, index) => `cat <<E${index}\n> quoted ${index}`,
  ).join('\n'),
  'lines of dashes': `${'-'.repeat(300_000)}x\n${`${'-'.repeat(900)}x\n`.repeat(300)}`,
  'a line of digits above a quoted answer': `${'1'.repeat(300_000)}:\n${quoted}`,
  'lines like headers': `${'abc: 2026 <a@b.c>\n'.repeat(20_000)}${unprefixed}`,
  'a line of addresses': `<${'a@'.repeat(150_000)}:`,
};
for (const [what, mail] of Object.entries(LONG)) {
  test(`a long mail takes linear time: ${what}`, () => assert.ok(processorMs(() => readTyped(mail)) < 5_000));
}
