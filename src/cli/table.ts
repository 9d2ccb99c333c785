import { visibleLine } from '../mail/visible-text.ts';
import { harmlessJson } from '../harmless-json.ts';
import { displayWidth } from '../mail/display-width.ts';

/** Rows as aligned columns under a heading, for people. What would command the terminal is made visible. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map((cell) => visibleLine(cell, 500)));
  const all = [heading.map((title) => title.toUpperCase()), ...clean];
  const widths = heading.map((_, column) => Math.max(...all.map((row) => displayWidth(row[column] ?? ''))));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - displayWidth(cell))))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** What a list command prints: a table, or with `--json` the records themselves. */
export function printList(records: readonly object[], { asJson, heading, row, empty }: ListFormat): void {
  if (asJson) printJson(records);
  else if (records.length === 0) console.log(empty);
  else
    console.log(
      table(
        heading,
        records.map((record) => row(record as never)),
      ),
    );
}

/** What could command the terminal, or change the reading order, as JSON writes such characters. */
export function printJson(value: object): void {
  console.log(harmlessJson(JSON.stringify(value, null, 2)));
}

type ListFormat = {
  asJson: boolean;
  heading: readonly string[];
  row: (record: never) => readonly string[];
  /** What is said when there is none, with the next thing to do. */
  empty: string;
};
