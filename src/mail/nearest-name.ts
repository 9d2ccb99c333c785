/** The name that was probably meant: one that differs by a slip or two, or of which only a part was written. */
export function nearestName(written: string, names: readonly string[]): string | null {
  const sought = written.toLowerCase().slice(0, 100);
  if (sought === '') return null;
  let best: string | null = null;
  let fewest = Math.max(2, Math.floor(sought.length / 3)) + 1;
  for (const name of names) {
    const known = name.toLowerCase();
    const isPart =
      sought.length >= 3 && (known.includes(sought) || (known.length >= 3 && sought.includes(known)));
    const slips = isPart ? 1 : editDistance(sought, known);
    if (slips < fewest && slips < known.length) {
      fewest = slips;
      best = name;
    }
  }
  return best;
}

/** One character too many, too few or wrong, or two neighbours that have changed places. */
export function isOneSlipAway(written: string, name: string): boolean {
  if (editDistance(written, name) === 1) return true;
  const at = [...name].findIndex((character, index) => written[index] !== character);
  if (at === -1 || written.length !== name.length) return false;
  return written === name.slice(0, at) + (name[at + 1] ?? '') + (name[at] ?? '') + name.slice(at + 2);
}

/** Levenshtein: insertions, deletions and replacements of one character. */
function editDistance(one: string, other: string): number {
  let previous = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let row = 1; row <= one.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= other.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (one[row - 1] === other[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous.at(-1) ?? 0;
}
