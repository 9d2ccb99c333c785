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
  const most = 1 + patterns.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const depth = new Int32Array(most);
  const parent = new Int32Array(most);
  const lastByte = new Uint8Array(most);
  const fail = new Int32Array(most);
  const wrapped = new Uint8Array(most);
  /** Of the pattern, from 1 on; 0: none ends there. */
  const ending = new Int32Array(most);
  const edges = createEdges(most);
  const pairs = new Uint8Array(65_536);
  let count = 1;
  for (const [index, { bytes, isWrapped }] of patterns.entries()) {
    let state = 0;
    for (const byte of bytes) {
      let child = edges.get(state, byte);
      if (child === 0) {
        child = count;
        count += 1;
        depth[child] = (depth[state] as number) + 1;
        parent[child] = state;
        lastByte[child] = byte;
        edges.add(state, byte, child);
      }
      if (isWrapped) wrapped[child] = 1;
      state = child;
    }
    if (ending[state] === 0) ending[state] = index + 1;
    const first = (bytes[0] ?? 0) * 256;
    for (const next of isWrapped ? [bytes[1] ?? 0, 10, 13] : [bytes[1] ?? 0]) pairs[first + next] = 1;
  }

  const step = (from: number, byte: number): number => {
    for (let state = from; ; state = fail[state] as number) {
      const child = edges.get(state, byte);
      if (child !== 0 || state === 0) return child;
    }
  };
  for (const state of byDepth(depth.subarray(0, count))) {
    const before = parent[state] as number;
    const shorter = before === 0 ? 0 : step(fail[before] as number, lastByte[state] as number);
    fail[state] = shorter;
    if (wrapped[shorter]) wrapped[state] = 1;
    if (ending[state] === 0) ending[state] = ending[shorter] as number;
  }
  const endings = patterns.map(({ bytes, label }) => ({ length: bytes.length, label }));
  return {
    step,
    isWrapped: (state) => wrapped[state] === 1,
    depthOf: (state) => depth[state] as number,
    endingOf: (state) => (ending[state] === 0 ? null : (endings[(ending[state] as number) - 1] ?? null)),
    canBegin: (byte, following) => pairs[byte * 256 + following] === 1,
    longestBytes: patterns.reduce((longest, { bytes }) => Math.max(longest, bytes.length), 0),
  };
}

/** All states but the first, those of fewer bytes before those of more: not the order in which they were made. */
function byDepth(depth: Int32Array): Int32Array {
  const starts = new Int32Array(depth.reduce((most, one) => Math.max(most, one), 0) + 2);
  for (const one of depth) starts[one + 1] = (starts[one + 1] as number) + 1;
  for (let at = 1; at < starts.length; at += 1)
    starts[at] = (starts[at] as number) + (starts[at - 1] as number);
  const order = new Int32Array(depth.length);
  for (const [state, one] of depth.entries()) {
    order[starts[one] as number] = state;
    starts[one] = (starts[one] as number) + 1;
  }
  return order.subarray(1);
}

/** A hash table of where each byte leads from each state, with open addressing: a Map takes ten times the memory. */
function createEdges(most: number) {
  const bits = Math.ceil(Math.log2(2 * most + 2));
  const mask = 2 ** bits - 1;
  const keys = new Int32Array(mask + 1);
  const children = new Int32Array(mask + 1);
  const placeOf = (key: number): number => {
    // Knuth's multiplicative hashing: 2^32 by the golden ratio.
    let at = Math.imul(key, 0x9e3779b1) >>> (32 - bits);
    while (keys[at] !== 0 && keys[at] !== key) at = (at + 1) & mask;
    return at;
  };
  return {
    /** 0: nowhere. */
    get: (state: number, byte: number): number => children[placeOf(state * 256 + byte + 1)] as number,
    add(state: number, byte: number, child: number): void {
      const key = state * 256 + byte + 1;
      const at = placeOf(key);
      keys[at] = key;
      children[at] = child;
    },
  };
}
