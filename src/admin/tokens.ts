/** A piece of SQL that is no comment and no space. Offsets count UTF-16 units. */
export type Token = {
  kind: 'word' | 'quoted' | 'string' | 'number' | 'symbol';
  text: string;
  start: number;
  end: number;
};

const SPACE = /\s+/uy;
const LINE_COMMENT = /--[^\n\r]*/y;
// As PostgreSQL has it (4.1.1 of its manual): all that is not ASCII is a letter.
const WORD = /[A-Za-z_\u{80}-\u{10ffff}][\w$\u{80}-\u{10ffff}]*/uy;
// Not the name behind `$1.name`.
const NUMBER = /\d\w*(?:\.\d\w*)?/y;
const DOLLAR_QUOTE = /\$(?:[A-Za-z_\u{80}-\u{10ffff}][\w\u{80}-\u{10ffff}]*)?\$/uy;
const PLAIN_STRING = /'(?:[^']|'')*(?:'|$)/y;
const ESCAPE_STRING = /'(?:[^'\\]|''|\\[^])*(?:'|$)/y;
const QUOTED_NAME = /"(?:[^"]|"")*(?:"|$)/y;

/** The tokens of SQL as PostgreSQL reads them. What is left open, as a string without its end, goes on to the end. */
export function tokensOf(sql: string): Token[] {
  const tokens: Token[] = [];
  /** Where the last string that knows the backslash ends. */
  let escapedTo = -1;
  let at = 0;
  const match = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    return pattern.exec(sql)?.[0] ?? null;
  };
  while (at < sql.length) {
    const skipped = match(SPACE) ?? match(LINE_COMMENT) ?? blockComment(sql, at);
    if (skipped !== null) {
      at += skipped.length;
      continue;
    }
    const last = tokens.at(-1);
    const isEscaped = last !== undefined && knowsBackslash(last, at, escapedTo);
    const token = next(sql, at, match, isEscaped);
    tokens.push({ ...token, start: at, end: at + token.text.length });
    at += token.text.length;
    if (isEscaped && token.kind === 'string') escapedTo = at;
  }
  return tokens;
}

/** E'...' and e'...' alone, and the lines that such a string goes on in: a string behind a string is its next line. */
const knowsBackslash = (last: Token, at: number, escapedTo: number): boolean =>
  last.kind === 'string'
    ? last.end === escapedTo
    : last.kind === 'word' && last.end === at && /^e$/i.test(last.text);

function next(
  sql: string,
  at: number,
  match: (pattern: RegExp) => string | null,
  isEscaped: boolean,
): Pick<Token, 'kind' | 'text'> {
  const word = match(WORD);
  if (word !== null) return { kind: 'word', text: word };
  const number = match(NUMBER);
  if (number !== null) return { kind: 'number', text: number };
  const string =
    match(isEscaped ? ESCAPE_STRING : PLAIN_STRING) ?? dollarQuoted(sql, at, match(DOLLAR_QUOTE));
  if (string !== null) return { kind: 'string', text: string };
  const name = match(QUOTED_NAME);
  if (name !== null) return { kind: 'quoted', text: name };
  return { kind: 'symbol', text: String.fromCodePoint(sql.codePointAt(at) ?? 0) };
}

function dollarQuoted(sql: string, at: number, quote: string | null): string | null {
  if (quote === null) return null;
  const end = sql.indexOf(quote, at + quote.length);
  return sql.slice(at, end === -1 ? sql.length : end + quote.length);
}

/** They can stand within one another. */
function blockComment(sql: string, at: number): string | null {
  if (!sql.startsWith('/*', at)) return null;
  let depth = 0;
  for (const { 0: mark, index } of sql.slice(at).matchAll(/\/\*|\*\//g)) {
    depth += mark === '/*' ? 1 : -1;
    if (depth === 0) return sql.slice(at, at + index + 2);
  }
  return sql.slice(at);
}
