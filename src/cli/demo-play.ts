import type { ParsedMessage } from '../mail/parse.ts';
import type { Screen } from './demo-screen.ts';
import { askBot, type Correspondent, type Exchange } from './write-to-bot.ts';

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
export const SCENES: readonly Scene[] = [
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

const ANSWER_TIMEOUT_MS = 180_000;

/**
 * Plays the scenes one after the other, and shows each mail as it goes and comes.
 *
 * @returns what was not as it should be, empty when all is well
 * @throws the signal's reason when it ends
 */
export async function play(
  scenes: readonly Scene[],
  you: Correspondent,
  botAddress: string,
  { screen, signal }: { screen: Screen; signal: AbortSignal },
): Promise<string[]> {
  const faults: string[] = [];
  let last: ParsedMessage | undefined;
  for (const [index, { title, subject, body, isReply, expected }] of scenes.entries()) {
    const number = index + 1;
    screen.heading(`${number}. ${title}`);
    const addresses = [`From:    ${you.address}`, `To:      ${botAddress}`];
    screen.mail('you', 'You write', [...addresses, `Subject: ${subject}`], body);
    const stopWaiting = screen.waiting('waiting for the answer');
    let exchange: Exchange;
    try {
      const mail = { to: botAddress, subject, body, inReplyTo: isReply ? last : undefined };
      exchange = await askBot(you, mail, { timeoutMs: ANSWER_TIMEOUT_MS, signal });
    } catch (error) {
      signal.throwIfAborted();
      faults.push(`mail ${number} got no answer: ${(error as Error).message}`);
      continue;
    } finally {
      stopWaiting();
    }
    const { answer, tookMs } = exchange;
    last = answer;
    const headers = [`From:    ${answer.sender ?? ''}`, `Subject: ${answer.subject}`];
    screen.mail('bot', `Answer after ${(tookMs / 1000).toFixed(1)} s`, headers, answer.text.trim());
    for (const [what, pattern] of Object.entries(expected)) {
      if (!pattern.test(answer.text)) faults.push(`answer ${number} lacks ${what}`);
    }
  }
  return faults;
}
