/** One of the texts that are looked for; it has no line end in it. */
export type Pattern = {
  bytes: Buffer;
  label: string;
  /** Also where line ends stand between its letters. */
  isWrapped: boolean;
};

type Ending = { length: number; label: string };

/** Of a state of the matcher: how many bytes of a pattern have been read, and what ends there. */
export type Matcher = {
  step: (state: number, byte: number) => number;
  /** Whether a state goes on beyond a line end. */
  isWrapped: (state: number) => boolean;
  depthOf: (state: number) => number;
  /** The longest pattern that ends there. */
  endingOf: (state: number) => Ending | null;
  /** Whether any pattern begins so. */
  canBegin: (byte: number, next: number) => boolean;
  longestBytes: number;
};

/**
 * Looks for all patterns at once, by one step for each byte whatever the patterns are (Aho and Corasick, "Efficient
 * String Matching", 1975).
 */
export function createMatcher(patterns: readonly Pattern[]): Matcher {
  const next = new Map<number, number>();
  const depth = [0];
  const fail = [0];
  const wrapped = [false];
  const endings: (Ending | null)[] = [null];
  const pairs = new Uint8Array(65_536);
  for (const { bytes, label, isWrapped } of patterns) {
    let state = 0;
    for (const byte of bytes) {
      const key = state * 256 + byte;
      let child = next.get(key);
      if (child === undefined) {
        child = depth.push((depth[state] ?? 0) + 1) - 1;
        fail.push(0);
        wrapped.push(false);
        endings.push(null);
        next.set(key, child);
      }
      if (isWrapped) wrapped[child] = true;
      state = child;
    }
    endings[state] ??= { length: bytes.length, label };
    pairs[(bytes[0] ?? 0) * 256 + (bytes[1] ?? 0)] = 1;
    if (isWrapped) {
      for (const end of [10, 13]) pairs[(bytes[0] ?? 0) * 256 + end] = 1;
    }
  }

  const step = (from: number, byte: number): number => {
    for (let state = from; ; state = fail[state] ?? 0) {
      const child = next.get(state * 256 + byte);
      if (child !== undefined) return child;
      if (state === 0) return 0;
    }
  };
  // A map keeps the order of insertion, in which one pattern's states follow one another: by depth it must be.
  const edges = [...next].map(([key, child]) => ({ parent: Math.floor(key / 256), byte: key % 256, child }));
  edges.sort((one, other) => (depth[one.child] ?? 0) - (depth[other.child] ?? 0));
  for (const { parent, byte, child } of edges) {
    const shorter = parent === 0 ? 0 : step(fail[parent] ?? 0, byte);
    fail[child] = shorter;
    wrapped[child] ||= wrapped[shorter] ?? false;
    endings[child] ??= endings[shorter] ?? null;
  }
  return {
    step,
    isWrapped: (state) => wrapped[state] ?? false,
    depthOf: (state) => depth[state] ?? 0,
    endingOf: (state) => endings[state] ?? null,
    canBegin: (byte, following) => pairs[byte * 256 + following] === 1,
    longestBytes: Math.max(0, ...patterns.map(({ bytes }) => bytes.length)),
  };
}
