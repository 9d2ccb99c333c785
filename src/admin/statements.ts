import { tokensOf, type Token } from './tokens.ts';

/** One statement as it was written, and what was given for its question marks. */
export type Statement = { text: string; parameters: string[] };

/** Below a query, on a line of its own: what stands for a question mark. */
// What is around the value is trimmed apart: a pattern for both ends takes a time that grows with the square of the line.
const VALUE_LINE = /^[ \t]*\?[ \t]*=(.*)$/;

/**
 * Statements that semicolons separate, with strings, names, comments and dollar quotes respected. Lines like `? = 3`
 * below a statement are the values of its question marks, in their order.
 */
export function splitStatements(sql: string): Statement[] {
  const { text, values } = withoutValues(sql);
  const statements: Statement[] = [];
  let own: Token[] = [];
  const take = (): void => {
    const [first] = own;
    const last = own.at(-1);
    if (first && last) statements.push({ text: text.slice(first.start, last.end), parameters: [] });
    own = [];
  };
  for (const token of tokensOf(text)) {
    if (token.kind === 'symbol' && token.text === ';') take();
    else own.push(token);
  }
  take();
  return statements.map((statement) => {
    const count = questionMarks(tokensOf(statement.text)).length;
    return { ...statement, parameters: values.splice(0, count) };
  });
}

function withoutValues(sql: string): { text: string; values: string[] } {
  const values: string[] = [];
  let starts: ReadonlySet<number> | null = null;
  let at = 0;
  const lines = sql.split('\n').map((line) => {
    const lineStart = at;
    at += line.length + 1;
    const value = VALUE_LINE.exec(line.replace(/\r$/, ''));
    if (!value) return line;
    // Not within a string.
    starts ??= new Set(tokensOf(sql).map(({ start }) => start));
    if (!starts.has(lineStart + line.indexOf('?'))) return line;
    values.push(unquoted((value[1] ?? '').trim()));
    return '';
  });
  return { text: lines.join('\n'), values };
}

/** `'it''s'` and `"it's"` are what stands between the quotes. */
export function unquoted(value: string): string {
  const quote = value[0] ?? '';
  const isQuoted = value.length > 1 && /['"]/.test(quote) && value.endsWith(quote);
  return isQuoted ? value.slice(1, -1).replaceAll(quote + quote, quote) : value;
}

const OPERAND_END = /^(?:word|quoted|string|number)$/;
/** After these words a value comes, and after others an operator, as the `?` of jsonb is one. */
const BEFORE_VALUES =
  /^(?:select|where|and|or|not|in|like|ilike|similar|to|between|limit|offset|when|then|else|case|by|on|values|interval|is|from|distinct|any|all|having|return|as|date|timestamp|timestamptz|time|escape)$/i;

/** Those that stand for a value. */
function questionMarks(tokens: readonly Token[]): Token[] {
  return tokens.filter((token, index) => {
    if (token.kind !== 'symbol' || token.text !== '?') return false;
    const before = tokens[index - 1];
    const after = tokens[index + 1];
    // `?|`, `?&`, `@?` and their like.
    if (after?.start === token.end && /^[|&?]$/.test(after.text)) return false;
    if (before?.end === token.start && /^[@?]$/.test(before.text)) return false;
    if (!before) return true;
    if (before.kind === 'word') return BEFORE_VALUES.test(before.text);
    return !OPERAND_END.test(before.kind) && !/^[)\]]$/.test(before.text);
  });
}

/** The statement with `$1`, `$2`, ... for its question marks, and how many there are. */
export function numbered(statement: string): { text: string; count: number } {
  const marks = questionMarks(tokensOf(statement));
  let text = '';
  let at = 0;
  for (const [index, { start, end }] of marks.entries()) {
    text += `${statement.slice(at, start)}$${index + 1}`;
    at = end;
  }
  return { text: text + statement.slice(at), count: marks.length };
}

/**
 * What of a statement is not for reading, by the names it calls; null where there is nothing.
 *
 * @param forbidden in lower case
 */
export function forbiddenIn(statement: string, forbidden: ReadonlySet<string>): string | null {
  const tokens = tokensOf(statement);
  for (const [index, { kind, text, end }] of tokens.entries()) {
    const after = tokens[index + 1];
    // U&"..." can be any name.
    if (kind === 'word' && /^u$/i.test(text) && after?.text === '&' && tokens[index + 2]?.kind === 'quoted') {
      if (after.start === end) return 'U&"..."';
    }
    if (kind !== 'word' && kind !== 'quoted') continue;
    // `(7).name` is a call, too (PostgreSQL's manual, 8.16.5).
    if (after?.text !== '(' && tokens[index - 1]?.text !== '.') continue;
    const name = (kind === 'quoted' ? text.slice(1, -1).replaceAll('""', '"') : text).toLowerCase();
    if (forbidden.has(name)) return name;
  }
  return null;
}

/** Phones make them of what was typed. */
export const hasCurlyQuotes = (statement: string): boolean =>
  tokensOf(statement).some(({ kind, text }) => kind === 'word' && /[\u2018-\u201f]/.test(text));

/** The word that a statement begins with, in capitals; empty where it begins with none. */
export function firstWord(statement: string): string {
  const [first] = tokensOf(statement);
  return first?.kind === 'word' ? first.text.toUpperCase() : '';
}
