import { MAX_SCRIPT_BYTES } from '../containers/limits.ts';
import type { Notice } from '../mail/notices.ts';
import type { Typed } from '../mail/reply-text.ts';
import type { Builtin } from '../store/commands.ts';
import { commandText } from './command-text.ts';
import { isApply } from './control-words.ts';

/** What a message has, once it is known which repository it is about. */
export type Asking = {
  /** What the sender typed, without a `repo:` line; and why it is not sure that it is all of it. */
  typed: Typed;
  subjectRest: string;
  isReply: boolean;
  hasPatch: boolean;
  repositoryName: string;
};

/** What is to be run, or why nothing is: half a command is worse than none. */
export function askedOf({
  typed,
  subjectRest,
  isReply,
  hasPatch,
  repositoryName,
}: Asking): { refusal: Notice } | { script: string; builtin: Builtin | null } {
  const { text } = typed;
  const applies = isApply(text, subjectRest, isReply);
  if (applies && !hasPatch) return { refusal: { kind: 'no-patch' } };
  const doubt = typed.doubt ?? (text.includes('\u{fffd}') ? 'broken-characters' : null);
  // One word of ours cannot be half of anything.
  if (doubt !== null && !applies) {
    return { refusal: { kind: 'unsure', understood: text, doubt, repositoryName } };
  }
  const command = commandText(text, subjectRest, isReply);
  if ('script' in command) return { script: command.script, builtin: applies ? 'apply' : null };
  return command.missing === 'empty'
    ? { refusal: { kind: 'empty-mail', repositoryName } }
    : { refusal: { kind: 'command-too-large', limitBytes: MAX_SCRIPT_BYTES } };
}
