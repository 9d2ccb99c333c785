import type { EndingFacts } from './ending-notes.ts';
import { isOneSlipAway } from './nearest-name.ts';

/** Those that answer without a container's shell, and `apply`. */
const WORDS_TO_US = 'status cancel extend save stop fresh restore diff log keep apply help'.split(' ');

/** Of a line that is a sentence: what it begins with. */
const GREETING = /^(?:hi|hello|hey|dear|please|thanks|thank|can|could|would|good)\b[ ,]/i;

/** The exit code of shells for a command that is not there (POSIX.1-2017, Shell Command Language 2.8.2). */
const NOT_FOUND = 127;
const LONGEST_LINE = 60;
const LONGEST_TEXT = 4000;

/**
 * Where bash was given what it was not meant for: a word to Threadbox that was mistyped, or has more beside it, or a
 * request in plain words. Only where bash knew no such command.
 */
export function misreadNote({ command, result, exitCode }: EndingFacts): string | null {
  if (result !== 'exited' || exitCode !== NOT_FOUND) return null;
  const text = command.slice(0, LONGEST_TEXT).trim();
  const word = wordMeant(text);
  if (word !== null) {
    return `If you meant Threadbox itself, reply with the one word ${word}, alone in the mail. Whatever else a mail says is run by bash.`;
  }
  if (!GREETING.test(text)) return null;
  return 'A mail is run by bash as it stands, and nobody reads it as a request: write commands alone, as in npm test. The word help, alone in a mail, tells more.';
}

function wordMeant(text: string): string | null {
  if (text.includes('\n') || text.length > LONGEST_LINE) return null;
  const [first = '', ...rest] = text.toLowerCase().split(/\s+/u);
  const written = first.replace(/[?!.,:;]+$/, '');
  const known = WORDS_TO_US.find((word) => word === written);
  if (known !== undefined) return known;
  // A short one is one slip away from too many programs.
  if (rest.length > 0 || written.length < 4) return null;
  return WORDS_TO_US.find((word) => isOneSlipAway(written, word)) ?? null;
}
