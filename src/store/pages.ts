import type { Knex } from 'knex';

/** Which part of a list is asked for: rows whose number is below `before`, the newest first. */
export type Page = { limit: number; before: number | null };

/** A part of a list, and where the next one begins; null when there is none. */
export type Listed<T> = { items: T[]; next: number | null };

/** Takes one row more than is asked for: so it is known whether there are more. */
export function pageOf(query: Knex.QueryBuilder, column: string, { limit, before }: Page): void {
  if (before !== null) void query.where(column, '<', before);
  void query.orderBy(column, 'desc').limit(limit + 1);
}

export function listed<T>(rows: T[], { limit }: Page, numberOf: (row: T) => number): Listed<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last !== undefined ? numberOf(last) : null };
}

/** For `ilike`: rows that have these very characters somewhere. */
export const containing = (text: string): string => `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;

/** Rows in which one of the columns contains the text. */
export function whereContains(
  query: Knex.QueryBuilder,
  text: string | undefined,
  columns: readonly string[],
): void {
  if (text === undefined || text === '') return;
  const pattern = containing(text);
  void query.where((matching) => {
    for (const column of columns) void matching.orWhereILike(column, pattern);
  });
}
