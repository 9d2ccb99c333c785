import { visibleLine } from '../mail/visible-text.ts';
import { durationOf } from './duration.ts';

const PLAIN_WORDS = ['status', 'save', 'stop', 'fresh', 'restore', 'diff', 'log', 'help', 'keep'] as const;

/** What is asked of Threadbox itself. Without a duration, `extend` is for one more idle timeout. */
export type ControlWord =
  | { word: 'extend'; durationMs: number | null }
  /** `isAll`: what waits, too. */
  | { word: 'cancel'; isAll: boolean }
  | { word: (typeof PLAIN_WORDS)[number] };

/** `extend` with so few words is never meant for the shell. */
const MOST_WORDS = 4;
const LONGEST_LINE = 100;
/** Mail clients leave them around what was typed. */
const INVISIBLE = /[\u200b-\u200d\u2060\ufeff]/g;
/** As a word is quoted by people who have read of it. */
const QUOTED = /^(?:"(.*)"|'(.*)'|`(.*)`|“(.*)”|„(.*)“|«(.*)»)$/u;

/**
 * The control word of a message: one line and nothing else; in a mail without text that is no answer, its subject.
 * `fault`: an `extend` with something after it that is no duration, told instead of being run by a shell. `null`: the
 * message is a command.
 *
 * @param text what the sender typed, without quoted text and signature
 * @param subjectRest the subject without reply prefixes and repository tag
 */
export function controlWord(
  text: string,
  subjectRest: string,
  isReply: boolean,
): ControlWord | { fault: string } | null {
  const typed = plain(text);
  const line = (typed === '' && !isReply ? plain(subjectRest) : typed).replace(/[.!]$/, '');
  if (line.length > LONGEST_LINE || /[\r\n]/.test(line)) return null;
  const [first = '', ...rest] = line.toLowerCase().split(/\s+/u);
  if (first === 'cancel' && rest.length <= 1 && (rest[0] ?? 'all') === 'all') {
    return { word: 'cancel', isAll: rest.length === 1 };
  }
  if (first !== 'extend') {
    const word = rest.length === 0 ? PLAIN_WORDS.find((known) => known === first) : undefined;
    return word === undefined ? null : { word };
  }
  if (rest.length === 0) return { word: 'extend', durationMs: null };
  const durationMs = durationOf(rest.join(' '));
  if (durationMs !== null && durationMs > 0) return { word: 'extend', durationMs };
  return rest.length < MOST_WORDS ? { fault: faultOf(line, rest.join(' ')) } : null;
}

/** True for the one word `apply`: what comes attached is run through git, in the container. */
export function isApply(text: string, subjectRest: string, isReply: boolean): boolean {
  const typed = plain(text);
  return /^apply[.!]?$/i.test(typed === '' && !isReply ? plain(subjectRest) : typed);
}

function plain(text: string): string {
  const typed = text.replace(INVISIBLE, '').trim();
  return (
    QUOTED.exec(typed)
      ?.slice(1)
      .find((inner) => inner !== undefined)
      ?.trim() ?? typed
  );
}

function faultOf(line: string, rest: string): string {
  const example = /^\d{1,4}$/.test(rest) && Number(rest) > 0 ? Number(rest) : 2;
  return `"${visibleLine(line, 80)}" names no length of time. Say it like this: extend ${example}h, extend ${example === 2 ? 90 : example} minutes, extend 1h30m. Or just: extend.`;
}
