/** One line of the table, and one element of the JSON. `ratio` is median to floor. */
export type Row = {
  name: string;
  unit: string;
  median: number;
  worst: number;
  n: number;
  floor: number;
  ratio: number;
};

/** Something measured `n` times, and as often the least that it could be. */
export type Series = { values: readonly number[]; floors: readonly number[] };

/** Below it a tenth is much. */
const FEW = 10;

/** @param better what is good for this figure: the worst is the other end */
export function row(name: string, unit: string, { values, floors }: Series, better: 'less' | 'more'): Row {
  const middle = median(values);
  const floor = median(floors);
  const digits = floor < FEW ? 2 : 1;
  return {
    name,
    unit,
    median: rounded(middle, digits),
    worst: rounded(better === 'less' ? Math.max(...values) : Math.min(...values), digits),
    n: values.length,
    floor: rounded(floor, digits),
    ratio: rounded(middle / floor, 3),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) throw new Error('Expected at least one value');
  return (lower + upper) / 2;
}

/** The least value that so large a part of them does not exceed. @param part from 0 to 1 */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  const value = sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
  if (value === undefined) throw new Error('Expected at least one value');
  return value;
}

function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}

/** Columns as wide as they need to be; the first to the left, numbers to the right. */
export function table(head: readonly string[], lines: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...lines].map((line) => line.map(String));
  const widths = head.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  return cells
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  '),
    )
    .join('\n');
}

export function rowTable(rows: readonly Row[]): string {
  return table(
    ['', 'unit', 'median', 'worst', 'n', 'floor', 'above floor', 'ratio'],
    rows.map(({ name, unit, median: middle, worst, n, floor, ratio }) => {
      return [name, unit, middle, worst, n, floor, rounded(middle - floor, floor < FEW ? 2 : 1), ratio];
    }),
  );
}
