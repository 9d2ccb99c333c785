/**
 * Values as one parameter of a query: `jsonb_to_recordset(?::jsonb) as asked (...)` makes rows of them. A query is made
 * out of so many at once without being another for each number of them.
 */
export function asRows(rows: readonly object[]): string {
  const json = JSON.stringify(rows);
  // Half a surrogate pair, as a broken mail may have, is no Unicode for PostgreSQL. It is always written as its number.
  if (!/\\ud[89a-f]/.test(json)) return json;
  return JSON.stringify(rows, (_, value: unknown) =>
    typeof value === 'string' && !value.isWellFormed() ? value.toWellFormed() : value,
  );
}

/** The same, each with its place `n`, for the answers to find their way back. */
export const asNumberedRows = (rows: readonly object[]): string =>
  asRows(rows.map((row, n) => ({ ...row, n })));

/** One answer for each of those that were asked; `none` where no row came back. */
export function inPlaces<Row extends { n: number }, None>(
  count: number,
  rows: readonly Row[],
  none: None,
): (Omit<Row, 'n'> | None)[] {
  const places = Array.from<Omit<Row, 'n'> | None>({ length: count }).fill(none);
  for (const { n, ...row } of rows) places[n] = row;
  return places;
}
