import { isSurelyAsked, type KnownQuery } from '../admin/asked-queries.ts';
import type { Typed } from '../mail/reply-text.ts';

/** `late`: what waits there was asked too long ago to be confirmed. `over`: it is trusted no longer. */
export type ConversationState = 'first' | 'waits' | 'late' | 'trusted' | 'over';

/** `words`: something that is no query as far as can be told, as a mistyped one and a sentence are. */
export type TypedKind = 'yes' | 'no' | 'query' | 'words' | 'nothing' | 'unsure';

/**
 * What comes of a mail in a conversation about SQL:
 *
 * - `ask`: its queries wait to be confirmed
 * - `ask-again`: those that wait already do so once more
 * - `confirm`: what waits is run, and what it asks besides
 * - `run`: what it asks is run
 * - `decline`: nothing waits any more, and the conversation is trusted no longer
 * - `nothing-waits`, `empty`, `unsure`: told so
 */
type Step = 'ask' | 'ask-again' | 'confirm' | 'run' | 'decline' | 'nothing-waits' | 'empty' | 'unsure';

const UNTRUSTED: Record<TypedKind, Step> = {
  yes: 'nothing-waits',
  no: 'decline',
  query: 'ask',
  words: 'ask',
  nothing: 'empty',
  unsure: 'unsure',
};
/** Denials and answers by machine come here as well: nothing but what is surely meant so says yes. */
const ASKED: Record<TypedKind, Step> = {
  yes: 'confirm',
  no: 'decline',
  query: 'confirm',
  words: 'ask-again',
  nothing: 'ask-again',
  unsure: 'ask-again',
};
const STEPS: Record<ConversationState, Record<TypedKind, Step>> = {
  first: UNTRUSTED,
  waits: ASKED,
  late: { ...ASKED, yes: 'ask-again', query: 'ask' },
  trusted: { ...UNTRUSTED, query: 'run', words: 'run' },
  over: UNTRUSTED,
};

export const nextStep = (state: ConversationState, kind: TypedKind): Step => STEPS[state][kind];

const YES = /^[^\p{L}\p{N}]*(?:yes|y|ok|okay|confirm|confirmed)[^\p{L}\p{N}]*$/iu;
/** People answer before they have read that they need not. */
const NO = /^\W*(?:no|nope|not|never|stop|cancel|don['’]?t|do not|i did not|i did ?n['’]?t|nein)\b/i;

export function kindOf({ text, doubt }: Typed, known: readonly KnownQuery[]): TypedKind {
  // A denial counts wherever it stands.
  if (NO.test(text) && !isSurelyAsked(text, known)) return 'no';
  if (doubt !== null) return 'unsure';
  if (text.trim() === '') return 'nothing';
  if (YES.test(text)) return 'yes';
  return isSurelyAsked(text, known) ? 'query' : 'words';
}
