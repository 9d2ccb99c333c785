import { withoutTokens } from '../secrets/well-known.ts';
import { durationInWords, durationToType, plural, sizeInWords } from './amounts.ts';
import type { Obstacle } from './mime-content.ts';
import { atMoment, momentInWords } from './moments.ts';
import { nearestName } from './nearest-name.ts';
import {
  example,
  list,
  quote,
  renderTold,
  reply,
  words,
  type RenderedNotice,
  type Tellers,
  type Told,
} from './notice-blocks.ts';
import { DOUBTS, OBSTACLES, TOKEN_PROBLEMS } from './notice-reasons.ts';
import type { Doubt } from './reply-text.ts';
import type { MailKind } from './templates.ts';
import { visibleLine } from './visible-text.ts';

/** What a sender is told when a mail of theirs could not be run as it was. `candidates`: the sender's repositories. */
export type Notice =
  | { kind: 'unknown-repository'; name: string; candidates: readonly string[] }
  | { kind: 'no-repository'; candidates: readonly string[] }
  | { kind: 'which-repository'; candidates: readonly string[] }
  | { kind: 'empty-mail'; repositoryName: string }
  | { kind: 'unsure'; understood: string; doubt: Doubt | 'broken-characters'; repositoryName: string }
  | { kind: 'no-patch' }
  | { kind: 'unreadable'; obstacle: Exclude<Obstacle, 'deadly'> }
  /** Threadbox has stopped each time that it read the mail. */
  | { kind: 'deadly'; messageNumber: number }
  | { kind: 'mail-too-large'; sizeBytes: number; limitBytes: number }
  | { kind: 'command-too-large'; limitBytes: number }
  | { kind: 'timeout-line'; line: string; isTooLong: boolean; mostMs: number }
  | {
      kind: 'too-old';
      /** The oldest first. */
      mails: readonly { subject: string; receivedAt: Date }[];
      maxMailAgeMs: number;
      now: Date;
    }
  | { kind: 'too-many'; limit: 'sender' | 'thread' | 'all'; maximum: number; againAt: Date; now: Date }
  | { kind: 'looks-automatic'; command: string }
  | { kind: 'token-missing'; problem: 'none' | 'expired' | 'foreign' }
  | { kind: 'fault'; messageNumber: number }
  | { kind: 'paused'; command: string; reason: string; since: Date; now: Date }
  | { kind: 'delayed'; command: string; reason: string };

/** What happened and what to do next, short. */
export function renderNotice(notice: Notice): RenderedNotice {
  const tell = TELLERS[notice.kind] as (notice: Notice) => Told;
  return renderTold(tell(notice), MAIL_KINDS[notice.kind] ?? 'refused');
}

/** All others say that nothing was run, and why. */
const MAIL_KINDS: Partial<Record<Notice['kind'], MailKind>> = {
  fault: 'error',
  deadly: 'error',
  paused: 'notice',
  delayed: 'notice',
};

/** What the mail says, without the tokens in it. */
const quoteOwn = (text: string) => quote(withoutTokens(text.slice(0, 20_000)));

const TOO_MANY = {
  sender: 'You have sent too many commands in the last hour',
  thread: 'This thread has had too many commands in the last hour',
  all: 'Threadbox has had too many commands in the last hour',
};

const TELLERS: Tellers<Notice> = {
  'unknown-repository': ({ name, candidates }) => unknownRepository(visibleLine(name, 80), candidates),
  'no-repository': () => ({
    title: 'There is no repository to run this in yet',
    blocks: [
      words('Nothing was run. A repository has to be registered first, by somebody who runs this Threadbox:'),
      quote('npx threadbox repo add my-app https://github.com/example/my-app.git'),
      words('After that, send your mail again.'),
    ],
  }),
  'which-repository': (notice) => ({
    title: 'Which repository is this for?',
    blocks: [
      words('Nothing was run. You can use more than one, so name one in square brackets in the subject:'),
      example(notice.candidates[0] ?? 'my-app'),
      words('Your repositories:'),
      list(notice.candidates),
    ],
  }),
  'empty-mail': (notice) => ({
    title: 'There was no command in this mail',
    blocks: [
      words(
        'Nothing was run. Write the command into the mail, above anything quoted. Several lines make a script:',
      ),
      example(notice.repositoryName || 'my-app', 'git pull\nnpm test'),
    ],
  }),
  unsure: ({ understood, doubt, repositoryName }) => ({
    title: 'Which part of this mail is the command?',
    blocks: [
      words(`Nothing was run. ${DOUBTS[doubt]}`),
      ...(understood.trim() === '' ? [] : [words('This is what was understood:'), quoteOwn(understood)]),
      words('To have it run, write the command alone, above anything quoted, between two lines like these:'),
      example(repositoryName || 'my-app', '```\ngit pull\nnpm test\n```'),
      words('Or send it as a new mail with nothing else in it.'),
    ],
  }),
  'no-patch': () => ({
    title: 'There is no patch in this mail',
    blocks: [
      words(
        'Nothing was changed. Attach what is to be applied, as .patch or .diff files, and write this one word:',
      ),
      reply('apply'),
      words('git format-patch makes patches that keep their author and message; a plain git diff is staged.'),
    ],
  }),
  unreadable: ({ obstacle }) => {
    const [title, why, next] = OBSTACLES[obstacle];
    return { title, blocks: [words(`Nothing was run. ${why}`), words(next)] };
  },
  'mail-too-large': (notice) => ({
    title: `This mail is too large: ${sizeInWords(notice.sizeBytes)}`,
    blocks: [
      words(
        `Nothing was run. A mail to Threadbox can have up to ${sizeInWords(notice.limitBytes)}, attachments included.`,
      ),
      words(
        'Send the command without the attachments, and let it fetch what it needs, for example with curl or git.',
      ),
    ],
  }),
  'command-too-large': (notice) => ({
    title: 'This command is too long',
    blocks: [
      words(`Nothing was run. A command can have up to ${sizeInWords(notice.limitBytes)}.`),
      words(
        'Put what is long into a file of the repository and run that, or split it over several mails: files stay from one to the next.',
      ),
    ],
  }),
  'timeout-line': ({ line, isTooLong, mostMs }) => ({
    title: isTooLong ? 'This command may not take so long' : 'For how long may this command run?',
    blocks: [
      words(
        isTooLong
          ? `Nothing was run. A command can be given ${durationInWords(mostMs)} at the most, and your mail begins with:`
          : 'Nothing was run. Your mail begins with a line that sets a time limit, but names no length of time:',
      ),
      quote(line, 200),
      words('A first line of this form, alone, is understood; the command stands below it:'),
      reply(`timeout ${durationToType(isTooLong ? mostMs : Math.min(mostMs, 7_200_000))}\nnpm test`),
      ...(isTooLong ? [] : [words(`The most is ${durationInWords(mostMs)}.`)]),
    ],
  }),
  'too-old': ({ mails, maxMailAgeMs, now }) => {
    const one = mails.length === 1;
    return {
      title: `${one ? 'Your mail was' : `${mails.length} mails of yours were`} too old to be run`,
      blocks: [
        words(
          `Threadbox was away for a while, and what has waited for longer than ${durationInWords(maxMailAgeMs)} is not run unasked: by now you may want something else. Of ${one ? 'this mail' : 'these mails'} nothing was run:`,
        ),
        list(
          mails.map(
            ({ subject, receivedAt }) => `${subject || '(no subject)'} (${momentInWords(receivedAt, now)})`,
          ),
        ),
        words(`To run ${one ? 'it, send it' : 'one, send it'} again.`),
      ],
    };
  },
  'too-many': ({ limit, maximum, againAt, now }) => ({
    title: TOO_MANY[limit],
    blocks: [
      words(
        `Nothing was run. Threadbox takes ${plural(maximum, 'mail')} an hour ${{ sender: 'from one sender', thread: 'for one thread', all: 'in all' }[limit]}, as more are mostly a loop or a mishap. There is room again ${atMoment(againAt, now)}.`,
      ),
      words(
        'What you send before that is dropped, and no other mail tells you so. After that, send it again.',
      ),
    ],
  }),
  'looks-automatic': ({ command }) => ({
    title: 'Not run again: it looked like an automatic answer',
    blocks: [
      quoteOwn(command),
      words(
        'Nothing was run. This is the very text that failed a moment ago, and the same text again is mostly sent by a program that answers mail.',
      ),
      words(
        'If you meant it, send it again with anything changed about it: a line that says # again is enough. As long as it stays the same it is dropped, and for an hour no other mail tells you so.',
      ),
    ],
  }),
  'token-missing': ({ problem }) => ({
    title: 'Please confirm that it was you',
    blocks: [
      words(
        `Nothing was run. ${TOKEN_PROBLEMS[problem]} Answer this mail, with your command in it: that shows that you can read what is sent to you.`,
      ),
      words(
        'Leave the address that your mail program fills in as it is. From then on, answers in the conversation are enough.',
      ),
    ],
  }),
  fault: (notice) => ({
    title: 'A fault of Threadbox kept your mail from being run',
    blocks: [
      words(
        `Nothing was run. It is not your doing: whoever runs this Threadbox finds more in its log, under message ${notice.messageNumber}.`,
      ),
      words('Send your mail again when it is mended.'),
    ],
  }),
  deadly: ({ messageNumber }) => ({
    title: 'Threadbox stopped each time it read this mail',
    blocks: [
      words('Nothing was run. It is not read any more, so that the mails of others can be.'),
      words(
        `Send your command again in other words, as a new, plain mail. Or tell whoever runs this Threadbox: it is message ${messageNumber} in its log.`,
      ),
    ],
  }),
  paused: ({ command, reason, since, now }) => ({
    title: 'Threadbox is paused, and your command is waiting',
    blocks: [
      quoteOwn(command),
      words(
        `Whoever runs this Threadbox has paused it ${atMoment(since, now)}${reason === '' ? '.' : ', for this reason:'}`,
      ),
      ...(reason === '' ? [] : [quote(reason, 500)]),
      words(
        'It is not lost. It runs by itself when the pause is over, as does all you send meanwhile; there is no need to send anything again.',
      ),
    ],
  }),
  delayed: (notice) => ({
    title: 'Your command is waiting',
    blocks: [
      quoteOwn(notice.command),
      words('It is not lost, and has not been started yet. This is what it waits for:'),
      quote(notice.reason, 500),
      words('It will run by itself as soon as it can. There is no need to send it again.'),
    ],
  }),
};

function unknownRepository(name: string, candidates: readonly string[]): Told {
  const title = `There is no repository called ${name}`;
  const nearest = nearestName(name, candidates);
  if (candidates.length === 0) {
    return {
      title,
      blocks: [
        words('Nothing was run. No repository is registered for you yet: ask whoever runs this Threadbox.'),
      ],
    };
  }
  const question = nearest === null ? 'Name one of yours in the subject:' : `Did you mean ${nearest}?`;
  return {
    title,
    blocks: [
      words(`Nothing was run. ${question}`),
      example(nearest ?? candidates[0] ?? ''),
      words(candidates.length === 1 ? 'Your repository:' : 'Your repositories:'),
      list(candidates),
    ],
  };
}
