import { MAX_SCRIPT_BYTES } from '../containers/limits.ts';
import type { Notice } from '../mail/notices.ts';
import type { Typed } from '../mail/reply-text.ts';
import type { Builtin } from '../store/commands.ts';
import { commandText } from './command-text.ts';
import { isApply } from './control-words.ts';
import { timeoutLine } from './time-allowed.ts';

/** What a message has, once it is known which repository it is about. */
export type Asking = {
  /** What the sender typed, without a `repo:` line; and why it is not sure that it is all of it. */
  typed: Typed;
  subjectRest: string;
  isReply: boolean;
  hasPatch: boolean;
  repositoryName: string;
  /** The most that a command there may be allowed. */
  mostMs: number;
};

/** `timeoutMs`: what its mail allows it to take; null: what is usual. */
export type Asked = { script: string; builtin: Builtin | null; timeoutMs: number | null };

/** What is to be run, or why nothing is: half a command is worse than none. */
export function askedOf({
  typed,
  subjectRest,
  isReply,
  hasPatch,
  repositoryName,
  mostMs,
}: Asking): { refusal: Notice } | Asked {
  const limit = timeoutLine(typed.text);
  const text = limit?.rest ?? typed.text;
  const applies = isApply(text, subjectRest, isReply);
  if (applies && !hasPatch) return { refusal: { kind: 'no-patch' } };
  const doubt = typed.doubt ?? (text.includes('\u{fffd}') ? 'broken-characters' : null);
  // One word of ours cannot be half of anything.
  if (doubt !== null && !applies) {
    return { refusal: { kind: 'unsure', understood: typed.text, doubt, repositoryName } };
  }
  const timeoutMs = limit?.durationMs ?? null;
  if (limit && (timeoutMs === null || timeoutMs > mostMs)) {
    return { refusal: { kind: 'timeout-line', line: limit.line, isTooLong: timeoutMs !== null, mostMs } };
  }
  const command = commandText(text, subjectRest, isReply);
  if ('script' in command) return { script: command.script, builtin: applies ? 'apply' : null, timeoutMs };
  return command.missing === 'empty'
    ? { refusal: { kind: 'empty-mail', repositoryName } }
    : { refusal: { kind: 'command-too-large', limitBytes: MAX_SCRIPT_BYTES } };
}
