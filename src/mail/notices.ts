import { sizeInWords } from './amounts.ts';
import { nearestName } from './nearest-name.ts';
import {
  example,
  list,
  quote,
  renderTold,
  words,
  type RenderedNotice,
  type Tellers,
  type Told,
} from './notice-blocks.ts';
import { visibleLine } from './visible-text.ts';

/** What a sender is told when a mail of theirs could not be run as it was. `candidates`: the sender's repositories. */
export type Notice =
  | { kind: 'unknown-repository'; name: string; candidates: readonly string[] }
  | { kind: 'no-repository'; candidates: readonly string[] }
  | { kind: 'which-repository'; candidates: readonly string[] }
  | { kind: 'empty-mail'; repositoryName: string }
  | { kind: 'mail-too-large'; sizeBytes: number; limitBytes: number }
  | { kind: 'command-too-large'; limitBytes: number }
  | { kind: 'token-missing'; problem: 'none' | 'expired' | 'foreign' }
  | { kind: 'fault'; messageNumber: number }
  | { kind: 'delayed'; command: string; reason: string };

/** What happened and what to do next, short. */
export function renderNotice(notice: Notice): RenderedNotice {
  const tell = TELLERS[notice.kind] as (notice: Notice) => Told;
  return renderTold(tell(notice));
}

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
  delayed: (notice) => ({
    title: 'Your command is waiting',
    blocks: [
      quote(notice.command),
      words('It is not lost, and has not been started yet. This is what it waits for:'),
      quote(notice.reason, 500),
      words('It will run by itself as soon as it can. There is no need to send it again.'),
    ],
  }),
};

const TOKEN_PROBLEMS = {
  none: 'Here, a command has to come as an answer to a mail of Threadbox.',
  expired: 'The mail that you have answered is more than a month old.',
  foreign: 'The address that you have written to was made for somebody else, or by another Threadbox.',
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
