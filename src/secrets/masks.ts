import { formsOf } from './forms.ts';
import { createMatcher, type Matcher, type Pattern } from './matcher.ts';

/** What is not to be shown. `label` stands in its place. */
export type Hidden = { value: string; label: string };

/** Takes what a command prints piece by piece, and gives it back with the values masked. */
export type MaskStream = {
  /** What may be the beginning of a value is held back until more comes. */
  take: (chunk: Buffer) => Buffer;
  /** @param isCut something is missing here: what may have been the beginning of a value is masked, too */
  flush: (isCut?: boolean) => Buffer;
};

export type Masks = {
  isEmpty: boolean;
  stream: () => MaskStream;
  text: (text: string) => string;
  /** The same for all texts of a record; what is neither text, list nor record stays as it is. */
  all: <T>(value: T) => T;
  /** What is in there, by its labels. */
  labelsIn: (bytes: Buffer) => string[];
  /** So much of a text can hang together. */
  longestBytes: number;
};

/** The labels of secrets by their names: names have no sign that HTML knows. */
export const secretLabel = (name: string): string => `[secret ${name}]`;

/** A line end by CR and LF. */
const MOST_LINE_ENDS = 2;
/** Of what may have been the beginning of a value. */
const LEAST_CUT_BYTES = 6;

const isLineEnd = (byte: number | undefined): boolean => byte === 10 || byte === 13;

/** Masks for these values, in all their forms: see {@link formsOf}. */
export function masksOf(hidden: readonly Hidden[]): Masks {
  const patterns: Pattern[] = hidden.flatMap(({ value, label }) => {
    const { plain, wrapped } = formsOf(value);
    return [
      ...plain.map((form) => ({ bytes: Buffer.from(form), label, isWrapped: false })),
      ...wrapped.map((form) => ({ bytes: Buffer.from(form), label, isWrapped: true })),
    ];
  });
  if (patterns.length === 0) return NO_MASKS;
  const matcher = createMatcher(patterns);
  const text = (given: string): string => {
    const bytes = Buffer.from(given);
    const { spans } = scan(matcher, bytes, 0, START);
    return spans.length === 0 ? given : replaced(bytes, spans, 0, bytes.length).toString();
  };
  return {
    isEmpty: false,
    stream: () => createStream(matcher),
    text,
    all: (value) => mapTexts(value, text),
    labelsIn: (bytes) => [...new Set(scan(matcher, bytes, 0, START).spans.map(({ label }) => label))],
    // Base64 in lines of 76 letters or less has line ends, too.
    longestBytes: Math.ceil(matcher.longestBytes * 1.1),
  };
}

const asIs = <T>(value: T): T => value;

/** Where nothing is to be hidden. */
export const NO_MASKS: Masks = {
  isEmpty: true,
  stream: () => ({ take: asIs, flush: () => Buffer.alloc(0) }),
  text: asIs,
  all: asIs,
  labelsIn: () => [],
  longestBytes: 0,
};

/** `end` is behind it. `length`: of the pattern. */
type Span = { start: number; end: number; label: string; length: number };
/** What stands between the letters of a value and is none of it: line ends, and codes that colour. */
type Skipped = { from: number; to: number };
type Position = {
  state: number;
  lineEnds: number;
  code: 'none' | 'begun' | 'intermediate' | 'parameters';
  skipped: Skipped[];
};
const START: Position = { state: 0, lineEnds: 0, code: 'none', skipped: [] };

const ESCAPE = 0x1b;
/** More of it than that stands within no value by accident. */
const MOST_SKIPPED = 200;
const LONGEST_SKIPPED = 1_000;

/** Where a code that began with ESC stands after one more byte (ECMA-48, 5.4; ECMA-35, 13.2); null: it is none that colours. */
function codeAfter(code: Position['code'], byte: number): Position['code'] | null {
  if (code === 'none') return 'begun';
  if (byte < 0x20 || byte > 0x7e) return null;
  if (code === 'parameters') return byte >= 0x40 ? 'none' : code;
  if (byte < 0x30) return 'intermediate';
  if (code === 'intermediate') return 'none';
  return byte === 0x5b ? 'parameters' : null;
}

/** Reads on from there. The spans overlap nowhere: those that did are one. */
function scan(
  matcher: Matcher,
  bytes: Buffer,
  from: number,
  position: Position,
  spans: Span[] = [],
): { position: Position; spans: Span[] } {
  let { state, lineEnds, code } = position;
  let skipped = position.skipped.map((one) => ({ ...one }));
  /** @returns false when that is too much */
  const skip = (at: number): boolean => {
    const last = skipped.at(-1);
    if (last?.to === at) {
      last.to = at + 1;
      return at - last.from < LONGEST_SKIPPED;
    }
    if (skipped.length >= MOST_SKIPPED) {
      const open = startOf(skipped, at, matcher.depthOf(state));
      skipped = skipped.filter((one) => one.from >= open);
    }
    skipped.push({ from: at, to: at + 1 });
    return skipped.length <= MOST_SKIPPED;
  };
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (state === 0) {
      const next = bytes[at + 1];
      const isPlain = next !== undefined && next !== ESCAPE && !isLineEnd(next);
      if (isPlain && !matcher.canBegin(byte, next)) continue;
      if (skipped.length > 0) skipped = [];
    } else {
      const isCode = byte === ESCAPE || code !== 'none';
      const isBreak = !isCode && isLineEnd(byte);
      const goesOn = isCode ? codeAfter(code, byte) : code;
      if (isBreak) lineEnds += 1;
      if (goesOn === null || (isBreak && (lineEnds > MOST_LINE_ENDS || !matcher.isWrapped(state)))) {
        [state, lineEnds, code] = [0, 0, 'none'];
        at -= 1;
        continue;
      }
      code = goesOn;
      if (isCode || isBreak) {
        if (!skip(at)) [state, lineEnds, code] = [0, 0, 'none'];
        continue;
      }
    }
    state = matcher.step(state, byte);
    lineEnds = 0;
    const ending = matcher.endingOf(state);
    if (!ending) continue;
    add(spans, { start: startOf(skipped, at + 1, ending.length), end: at + 1, ...ending });
  }
  return { position: { state, lineEnds, code, skipped }, spans };
}

/** So many letters before, without what was skipped. */
function startOf(skipped: readonly Skipped[], end: number, letters: number): number {
  let start = end;
  let left = letters;
  for (const { from, to } of skipped.toReversed()) {
    if (to > start || start - to >= left) continue;
    left -= start - to;
    start = from;
  }
  return start - left;
}

function add(spans: Span[], span: Span): void {
  let joined = span;
  for (let last = spans.at(-1); last && last.end > joined.start; last = spans.at(-1)) {
    const longer = last.length > joined.length ? last : joined;
    joined = { ...longer, start: Math.min(last.start, joined.start), end: Math.max(last.end, joined.end) };
    spans.pop();
  }
  spans.push(joined);
}

function replaced(bytes: Buffer, spans: readonly Span[], from: number, to: number): Buffer {
  const parts: Buffer[] = [];
  let at = from;
  for (const { start, end, label } of spans) {
    parts.push(bytes.subarray(at, start), Buffer.from(label));
    at = end;
  }
  return Buffer.concat([...parts, bytes.subarray(at, to)]);
}

function createStream(matcher: Matcher): MaskStream {
  let held = Buffer.alloc(0);
  let position = START;
  let spans: Span[] = [];
  const openFrom = ({ length }: Buffer): number =>
    position.state === 0 ? length : startOf(position.skipped, length, matcher.depthOf(position.state));
  return {
    take(chunk) {
      const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      ({ position, spans } = scan(matcher, bytes, held.length, position, spans));
      // What is still open may begin within a span, which then grows.
      const open = openFrom(bytes);
      const isOpen = ({ end }: Span): boolean => end > open;
      const kept = spans.filter(isOpen);
      const safe = Math.min(open, ...kept.map(({ start }) => start));
      const done = replaced(
        bytes,
        spans.filter((span) => !isOpen(span)),
        0,
        safe,
      );
      spans = kept.map((span) => ({ ...span, start: span.start - safe, end: span.end - safe }));
      const skipped = position.skipped.filter(({ from }) => from >= safe);
      position = {
        ...position,
        skipped: skipped.map(({ from, to }) => ({ from: from - safe, to: to - safe })),
      };
      held = Buffer.from(bytes.subarray(safe));
      return done;
    },
    flush(isCut = false) {
      const depth = matcher.depthOf(position.state);
      if (isCut && depth >= LEAST_CUT_BYTES) {
        add(spans, { start: openFrom(held), end: held.length, label: '[secret, cut off]', length: depth });
      }
      const rest = replaced(held, spans, 0, held.length);
      held = Buffer.alloc(0);
      position = START;
      spans = [];
      return rest;
    },
  };
}

/** What stands under these is a word of the program. */
const OWN_WORDS = new Set(['kind', 'word', 'state', 'result', 'container', 'doubt']);

function mapTexts<T>(value: T, change: (text: string) => string): T {
  if (typeof value === 'string') return change(value) as T;
  if (Array.isArray(value)) return value.map((item: unknown) => mapTexts(item, change)) as T;
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) {
    return value;
  }
  const changed = (key: string, item: unknown): unknown =>
    OWN_WORDS.has(key) && typeof item === 'string' ? item : mapTexts(item, change);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, changed(key, item)])) as T;
}
