import type { ParsedMessage } from '../mail/parse.ts';
import type { Screen } from './demo-screen.ts';
import { askBot, awaitReply, type Correspondent, type Exchange } from './write-to-bot.ts';

export type Scene = {
  title: string;
  subject: string;
  body: string;
  /** Answers the mail that came last, as a person would with the reply button. */
  isReply: boolean;
  /** What the answer must have, in words for whoever has to find out why it has not. */
  expected: Readonly<Record<string, RegExp>>;
};

/** A conversation as a user would have it. */
export const FIRST_ACT: readonly Scene[] = [
  {
    title: 'A first command. A container is made for it, with the repository in it.',
    subject: '[my-react-app] Try it out',
    body: 'npm test\necho "written by the first mail" > notes.txt',
    isReply: false,
    expected: {
      'exit code 0': /^exit code 0 /i,
      'the output of the test': /greets by name/,
      'the new file among the changes': /1 file changed[^]*notes\.txt/,
    },
  },
  {
    title: 'The next command, as an answer. The container is still warm, and has the file of the first mail.',
    subject: 'Re: [my-react-app] Try it out',
    body: 'cat notes.txt\ngit status --short',
    isReply: true,
    expected: {
      'exit code 0': /^exit code 0 /i,
      'what the first mail wrote': /^written by the first mail$/m,
      "git's word on the new file": /^\?\? notes\.txt$/m,
    },
  },
  {
    title: 'A command that fails, with exit code 3 and a word on standard error.',
    subject: 'Re: [my-react-app] Try it out',
    body: 'echo "about to fail"\necho "no such thing" >&2\nexit 3',
    isReply: true,
    expected: {
      'exit code 3': /^exit code 3 /i,
      'both lines of output, in order': /^about to fail\nno such thing$/m,
    },
  },
  {
    title: 'A mail for a repository that nobody has registered.',
    subject: '[my-raect-app] Run the tests',
    body: 'npm test',
    isReply: false,
    expected: {
      'the name that was written': /my-raect-app/,
      'the name that was meant': /my-react-app/,
      'that nothing was run': /nothing was run/i,
    },
  },
];

/** The mail that comes when nobody writes for a while. */
export const WARNING: Pick<Scene, 'title' | 'expected'> = {
  title: 'Nobody writes. After a while the bot does.',
  expected: {
    'when the container goes': /^Your container goes (?:at|on) /,
    'how to keep it': /^ *extend$/m,
  },
};

/** What is written then. */
export const SECOND_ACT: Readonly<Record<'extend' | 'again', Scene>> = {
  extend: {
    title: 'One word keeps the container.',
    subject: 'Re: [my-react-app] Try it out',
    body: 'extend',
    isReply: true,
    expected: { 'until when it is kept': /^Kept until .*\d\d:\d\d UTC$/m },
  },
  again: {
    title: 'A new command, in a new container. It finds its files again.',
    subject: 'Re: [my-react-app] Try it out',
    body: 'cat notes.txt\ngit log -1 --format=%s',
    isReply: true,
    expected: {
      'what the first mail wrote': /^written by the first mail$/m,
      'the commit of the removal': /^Auto-save: Container cleanup after idle timeout$/m,
      'that the work was restored': /^Your work of .* was restored/m,
    },
  },
};

const ANSWER_TIMEOUT_MS = 180_000;

/** The mail that came last, and what was not as it should be so far. */
export type Played = { last: ParsedMessage | undefined; count: number; faults: string[] };

type Stage = { you: Correspondent; botAddress: string; screen: Screen; signal: AbortSignal };

/**
 * Plays the scenes one after the other, and shows each mail as it goes and comes.
 *
 * @param played is brought up to date
 * @throws the signal's reason when it ends
 */
export async function play(scenes: readonly Scene[], played: Played, stage: Stage): Promise<void> {
  const { you, botAddress, screen, signal } = stage;
  for (const { title, subject, body, isReply, expected } of scenes) {
    const number = (played.count += 1);
    screen.heading(`${number}. ${title}`);
    const addresses = [`From:    ${you.address}`, `To:      ${botAddress}`];
    screen.mail('you', 'You write', [...addresses, `Subject: ${subject}`], body);
    const stopWaiting = screen.waiting('waiting for the answer');
    let exchange: Exchange;
    try {
      const mail = { to: botAddress, subject, body, inReplyTo: isReply ? played.last : undefined };
      exchange = await askBot(you, mail, { timeoutMs: ANSWER_TIMEOUT_MS, signal });
    } catch (error) {
      signal.throwIfAborted();
      played.faults.push(`mail ${number} got no answer: ${(error as Error).message}`);
      continue;
    } finally {
      stopWaiting();
    }
    played.last = exchange.answer;
    show(exchange, 'Answer', screen);
    check(exchange.answer, expected, `answer ${number}`, played.faults);
  }
}

/**
 * Waits for a mail that the bot writes by itself in answer to somebody's last one, and shows it.
 *
 * @throws the signal's reason when it ends
 */
export async function listen(
  { title, expected }: Pick<Scene, 'title' | 'expected'>,
  inReplyTo: string,
  played: Played,
  { you, screen, signal }: Stage,
): Promise<void> {
  const number = (played.count += 1);
  screen.heading(`${number}. ${title}`);
  const stopWaiting = screen.waiting('nobody writes');
  try {
    const patience = { timeoutMs: ANSWER_TIMEOUT_MS, signal, kind: 'notice' } as const;
    const exchange = await awaitReply(you, inReplyTo, patience);
    stopWaiting();
    played.last = exchange.answer;
    show(exchange, 'The bot writes', screen);
    check(exchange.answer, expected, `mail ${number}`, played.faults);
  } catch (error) {
    signal.throwIfAborted();
    played.faults.push(`mail ${number} has not come: ${(error as Error).message}`);
  } finally {
    stopWaiting();
  }
}

function show({ answer, tookMs }: Exchange, what: string, screen: Screen): void {
  const headers = [`From:    ${answer.sender ?? ''}`, `Subject: ${answer.subject}`];
  screen.mail('bot', `${what} after ${(tookMs / 1000).toFixed(1)} s`, headers, answer.text.trim());
}

function check({ text }: ParsedMessage, expected: Scene['expected'], what: string, faults: string[]): void {
  for (const [thing, pattern] of Object.entries(expected)) {
    if (!pattern.test(text)) faults.push(`${what} lacks ${thing}`);
  }
}
