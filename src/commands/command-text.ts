import { MAX_SCRIPT_BYTES } from '../containers/limits.ts';

/** What a message asks to be run, or why it asks nothing. */
export type CommandText = { script: string } | { missing: 'empty' | 'too-large' };

/**
 * The command of a message: its body, or where that is empty the rest of its subject.
 *
 * @param body what the sender typed, without quoted text, signature and a `repo:` line
 * @param subjectRest the subject without reply prefixes and repository tag
 * @param isReply an empty reply is no command: its subject is that of the command before it, which must not run again
 */
export function commandText(body: string, subjectRest: string, isReply: boolean): CommandText {
  const typed = body.replace(/^(?:[^\S\n]*\n)+/, '').trimEnd();
  const text = typed === '' && !isReply ? subjectRest.trim() : typed;
  if (text === '') return { missing: 'empty' };
  // bash would drop NUL bytes without a word, and an argument cannot hold them.
  const script = `${text.replaceAll('\0', '')}\n`;
  return Buffer.byteLength(script) > MAX_SCRIPT_BYTES ? { missing: 'too-large' } : { script };
}
