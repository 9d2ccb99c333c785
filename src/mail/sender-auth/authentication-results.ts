/** One method's result. Properties as `header.from`, `smtp.mailfrom`, `reason`; names in lower case, values as given. */
export type MethodResult = {
  method: string;
  result: string;
  properties: ReadonlyMap<string, readonly string[]>;
};

/** `servId`: who says so, in lower case; null where the field does not begin with an authserv-id, as Microsoft's. */
export type AuthenticationResults = { servId: string | null; results: MethodResult[] };

/** Providers need one or two KB. */
const LONGEST = 32 * 1024;

/**
 * An Authentication-Results field (RFC 8601, 2.2): comments and quoted strings are understood, also nested ones and
 * escapes. Providers write into it what senders chose (addresses, HELO names), so a field that is not well-formed in any
 * part of it is taken for one that somebody has broken out of.
 *
 * @returns null when it is not well-formed
 */
export function parseAuthenticationResults(value: string): AuthenticationResults | null {
  const segments = value.length > LONGEST ? null : readSegments(value);
  const [first, ...rest] = segments ?? [];
  if (first === undefined) return null;
  const [id, version, ...more] = first;
  const hasId = id !== undefined && id.value === null;
  if (hasId && (more.length > 0 || (version && (version.value !== null || !/^\d{1,9}$/.test(version.key)))))
    return null;
  const results: MethodResult[] = [];
  for (const words of hasId ? rest : [first, ...rest]) {
    if (isNoResult(words, hasId)) continue;
    const result = methodResult(words);
    if (!result) return null;
    results.push(result);
  }
  return { servId: hasId ? asciiLower(id.key) : null, results };
}

/** `none`; and where there is no authserv-id, Microsoft has been seen to put the recipient's domain between results. */
function isNoResult(words: readonly Word[], hasId: boolean): boolean {
  const [only] = words;
  if (only === undefined) return true;
  if (words.length > 1 || only.value !== null) return false;
  return only.key === 'none' || (!hasId && /^[\w.-]+\.[a-z]+$/i.test(only.key));
}

function methodResult([method, ...rest]: readonly Word[]): MethodResult | null {
  if (!method || !method.value) return null;
  const parts = /^([a-z][a-z0-9-]*)(?:\/\d+)?$/i.exec(method.key);
  if (!parts || !/^[a-z0-9-]+$/i.test(method.value)) return null;
  const properties = new Map<string, string[]>();
  for (const { key, value } of rest) {
    if (value === null || !/^[a-z][\w-]*(?:\.[\w.-]+)?$/i.test(key)) return null;
    const name = asciiLower(key);
    properties.set(name, [...(properties.get(name) ?? []), value]);
  }
  return { method: asciiLower(parts[1] ?? ''), result: asciiLower(method.value), properties };
}

/** `value` is null for a word without `=`. */
type Word = { key: string; value: string | null };

/** Cuts at `;`, takes comments out and quotes off. In one pass, however the value is made. */
function readSegments(text: string): Word[][] | null {
  const segments: Word[][] = [[]];
  let word: (Word & { isClosed: boolean }) | null = null;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === '(') {
      at = endOfComment(text, at);
      if (at < 0) return null;
      if (word) word.isClosed = true;
    } else if (character === ')') {
      return null;
    } else if (character === ';') {
      word = null;
      segments.push([]);
    } else if (/\s/.test(character)) {
      if (word) word.isClosed = true;
    } else if (character === '=' && word && word.value === null) {
      word.value = '';
      word.isClosed = false;
    } else {
      // After `=` the value may follow a space; else a space ends the word.
      if (!word || (word.isClosed && word.value !== '')) {
        word = { key: '', value: null, isClosed: false };
        segments.at(-1)?.push(word);
      }
      word.isClosed = false;
      let piece = character;
      if (character === '"') {
        const quoted = quotedString(text, at);
        if (!quoted) return null;
        piece = quoted.content;
        at = quoted.end;
      }
      if (word.value === null) word.key += piece;
      else word.value += piece;
    }
  }
  return segments;
}

/** @returns the place of its closing bracket, or -1 */
function endOfComment(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === '\\') at += 1;
    else if (character === '(') depth += 1;
    else if (character === ')') {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  return -1;
}

function quotedString(text: string, from: number): { content: string; end: number } | null {
  let content = '';
  for (let at = from + 1; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === '"') return { content, end: at };
    if (character === '\\') at += 1;
    content += text.charAt(at);
  }
  return null;
}

/** Only ASCII: other letters may fold into ASCII ones. */
const asciiLower = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
