import type { AskedQuery } from '../store/sql-queries.ts';
import { SHIPPED_QUERIES, type NamedQuery } from './shipped-queries.ts';
import { firstWord, numbered, splitStatements, unquoted } from './statements.ts';
import { tokensOf } from './tokens.ts';

/** What can be asked for by a word: what comes with Threadbox, and what was saved. */
export type KnownQuery = Pick<NamedQuery, 'name' | 'query'>;

const MOST_QUERIES = 20;
const LONGEST_QUERY = 64 << 10;
/** Of all that was typed: a longer text is not looked into, as that would hold up everybody else's mail. */
const LONGEST_TEXT = 128 << 10;

/** The name of what is saved: `save NAME: SELECT ...`. */
const SAVE = /^save\s+([^\s:]+)\s*:\s*([^]*)$/i;
const QUERY_NAME = /^[a-z][a-z0-9_-]{0,39}$/;
/** Values behind the name of a query, in quotes where they have spaces. */
const VALUE = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\S+/g;
const LIST = /^queries[.!]?$/i;

/** What a query is that lists the known ones. */
export const LIST_QUERIES = 'queries';

/** The queries of a text, named ones with what stands for them; or why none of them is run. */
export function askedQueries(
  typed: string,
  known: readonly KnownQuery[],
): { queries: AskedQuery[] } | { fault: string } {
  if (Buffer.byteLength(typed) > LONGEST_TEXT) {
    return { fault: `Queries can have up to ${LONGEST_TEXT >> 10} KB together. Send them in several mails.` };
  }
  const text = typed.replaceAll('\0', '').trim();
  // What is saved may have semicolons of its own, in strings, and nothing stands beside it.
  if (SAVE.test(text)) return { queries: [{ name: null, query: text.replace(/;\s*$/, ''), parameters: [] }] };
  const statements = splitStatements(text);
  if (statements.length > MOST_QUERIES) {
    return {
      fault: `There are ${statements.length} queries in this mail, and up to ${MOST_QUERIES} are taken. Send them in several.`,
    };
  }
  const queries = statements.map(({ text: query, parameters }) => {
    if (LIST.test(query)) return { name: null, query: LIST_QUERIES, parameters: [] };
    return namedQuery(query, known) ?? { name: null, query, parameters };
  });
  if (queries.some(({ query }) => Buffer.byteLength(query) > LONGEST_QUERY)) {
    return { fault: `A query can have up to ${LONGEST_QUERY >> 10} KB.` };
  }
  return { queries };
}

/** `history john@example.com` */
function namedQuery(line: string, known: readonly KnownQuery[]): AskedQuery | null {
  if (line.includes('\n')) return null;
  const [first = '', ...values] = line.match(VALUE) ?? [];
  const found = known.find(({ name }) => name === first.toLowerCase());
  return found ? { name: found.name, query: found.query, parameters: values.map(unquoted) } : null;
}

/** What is to be saved, or what is wrong with it; null where nothing is. */
export function saveRequest(query: string): { name: string; query: string } | { fault: string } | null {
  const [, name = '', body = ''] = SAVE.exec(query) ?? [];
  if (name === '') return null;
  if (!QUERY_NAME.test(name.toLowerCase())) {
    return {
      fault: 'a name has up to 40 letters, digits, - and _, and begins with a letter, as in open-threads',
    };
  }
  const lower = name.toLowerCase();
  if (lower === LIST_QUERIES || lower === 'save' || SHIPPED_QUERIES.some((one) => one.name === lower)) {
    return { fault: `${lower} comes with Threadbox: choose another name` };
  }
  const [statement, ...more] = splitStatements(body);
  if (!statement || more.length > 0) return { fault: 'one query is saved under one name, behind the colon' };
  if (Buffer.byteLength(statement.text) > LONGEST_QUERY) return { fault: 'this query is too long' };
  return isReading(statement.text)
    ? { name: lower, query: statement.text }
    : { fault: 'only SELECT, WITH, VALUES or TABLE can be saved' };
}

/**
 * The saved queries as they are when those that wait have run: who saves one and asks for it in the next mail means that
 * one, however long the first takes.
 *
 * @param queued texts, the newest first
 */
export const savedBy = (queued: readonly string[], saved: readonly KnownQuery[]): KnownQuery[] => [
  ...queued.flatMap((text) => {
    const request = saveRequest(text);
    return request && !('fault' in request) ? [request] : [];
  }),
  ...saved,
];

const READING = /^(?:SELECT|WITH|VALUES|TABLE)$/;

export const isReading = (query: string): boolean =>
  READING.test(firstWord(query)) || query.trimStart().startsWith('(');

/** True for a text that is queries and nothing else, as far as can be told; not for a sentence that begins like one. */
export function isSurelyAsked(text: string, known: readonly KnownQuery[]): boolean {
  const asked = askedQueries(text, known);
  if ('fault' in asked || asked.queries.length === 0) return false;
  return asked.queries.every(({ name, query, parameters }) => {
    if (name !== null) return numbered(query).count === parameters.length;
    return query === LIST_QUERIES || saveRequest(query) !== null || isShapedLikeQuery(query);
  });
}

const SHAPES =
  /^[\s(]*(?:select\b|values\s*\(|table\s\S+(?:\s\.\s\S+)?$|with\s[^]*?\bas\s*(?:(?:not\s+)?materialized\s*)?\()/i;

/** `With regards, Ann` is none. */
const isShapedLikeQuery = (query: string): boolean =>
  isReading(query) &&
  SHAPES.test(
    tokensOf(query)
      .map(({ text }) => text)
      .join(' '),
  );
