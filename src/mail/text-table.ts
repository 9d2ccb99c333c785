import { displayWidth } from './display-width.ts';
import { visibleLine } from './visible-text.ts';

/** A column of a table of values. Numbers stand at the right. */
export type TableColumn = { name: string; isNumber: boolean };

const LONGEST_CELL = 500;
/** A wider table is told as one block for each row. */
const MOST_WIDTH = 100;
const NULL = '';

export const shownCell = (value: string | null, limit = LONGEST_CELL): string =>
  value === null ? NULL : visibleLine(value, limit);

/** How many characters the widest line of the table would have. */
export function tableWidth(
  columns: readonly TableColumn[],
  rows: readonly (readonly (string | null)[])[],
): number {
  return widthsOf(columns, rows).reduce((sum, width) => sum + width + 2, -2);
}

/** Rows as aligned columns under a heading and a rule; where that is too wide, one block of lines for each row. */
export function textTable(
  columns: readonly TableColumn[],
  rows: readonly (readonly (string | null)[])[],
  widest = MOST_WIDTH,
): string {
  const widths = widthsOf(columns, rows);
  if (widths.reduce((sum, width) => sum + width + 2, -2) > widest && rows.length > 0)
    return textCards(columns, rows);
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => {
        const space = ' '.repeat(Math.max(0, (widths[at] ?? 0) - displayWidth(cell)));
        return columns[at]?.isNumber ? space + cell : cell + space;
      })
      .join('  ')
      .trimEnd();
  return [
    line(columns.map(({ name }) => shownCell(name))),
    widths.map((width) => '-'.repeat(width)).join('  '),
    ...rows.map((row) => line(row.map((cell) => shownCell(cell)))),
  ].join('\n');
}

function widthsOf(columns: readonly TableColumn[], rows: readonly (readonly (string | null)[])[]): number[] {
  return columns.map(({ name }, at) =>
    rows.reduce(
      (most, row) => Math.max(most, displayWidth(shownCell(row[at] ?? null))),
      displayWidth(shownCell(name)),
    ),
  );
}

function textCards(columns: readonly TableColumn[], rows: readonly (readonly (string | null)[])[]): string {
  const width = Math.max(...columns.map(({ name }) => displayWidth(shownCell(name))));
  return rows
    .map((row, index) => {
      const lines = columns.map(({ name }, at) => {
        const label = shownCell(name);
        return `${label}${' '.repeat(width - displayWidth(label))}  ${shownCell(row[at] ?? null)}`.trimEnd();
      });
      return [`[${index + 1}] ${'-'.repeat(Math.max(3, width - 2))}`, ...lines].join('\n');
    })
    .join('\n');
}
