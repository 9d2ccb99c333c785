import { once } from 'node:events';
import { constants, createGzip, type Gzip } from 'node:zlib';

/** What is kept of a command's output, however long it was. */
export type CapturedOutput = {
  /** The beginning; everything when `tail` is empty. */
  head: Buffer;
  tail: Buffer;
  totalBytes: number;
  /** What stands neither in head nor in tail. */
  omittedBytes: number;
  /** Everything, compressed; `null` when head and tail have it all. Incomplete when it would have become too large. */
  log: { gzip: Buffer; isComplete: boolean } | null;
};

export type OutputLimits = { headBytes: number; tailBytes: number; gzipBytes: number };

const DEFAULT_LIMITS: OutputLimits = {
  headBytes: 24 * 1024,
  tailBytes: 24 * 1024,
  gzipBytes: 5 * 1024 * 1024,
};
/** What deflate may still hold back, and what it takes to say where the log ends. */
const GZIP_RESERVE_BYTES = 256 * 1024;

/**
 * Takes an output of any length and keeps its two ends, and a compressed log up to a limit. The memory it needs does
 * not depend on the length. Ends with {@link OutputCapture.finish} or {@link OutputCapture.discard}.
 */
export class OutputCapture {
  readonly #limits: OutputLimits;
  /** Everything as long as it fits in head and tail together; then the first `headBytes`. */
  #head: Buffer[] = [];
  #headLength = 0;
  #tail: Buffer[] = [];
  #tailLength = 0;
  #totalBytes = 0;
  #log: GzipLog | null = null;

  constructor(limits: OutputLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
  }

  /** The chunk is copied where it is kept. Resolves when more can be taken. */
  async write(chunk: Buffer): Promise<void> {
    this.#totalBytes += chunk.length;
    const room = this.#limits.headBytes + this.#limits.tailBytes - this.#headLength;
    if (!this.#log && chunk.length <= room) {
      this.#head.push(Buffer.from(chunk));
      this.#headLength += chunk.length;
      return;
    }
    this.#log ??= await this.#outgrow();
    const headRoom = Math.max(0, this.#limits.headBytes - this.#headLength);
    if (headRoom > 0) this.#head.push(Buffer.from(chunk.subarray(0, headRoom)));
    this.#headLength += Math.min(headRoom, chunk.length);
    this.#keepTail(chunk.subarray(headRoom));
    await this.#log.write(chunk);
  }

  /** Says that bytes are missing here, which nobody has any more. */
  async skip(missingBytes: number): Promise<void> {
    this.#log ??= await this.#outgrow();
    this.#totalBytes += missingBytes;
    // What comes now does not belong to the beginning any more.
    this.#headLength = this.#limits.headBytes;
    await this.#log.miss(missingBytes);
  }

  async finish(): Promise<CapturedOutput> {
    let head = Buffer.concat(this.#head);
    if (!this.#log) {
      return { head, tail: Buffer.alloc(0), totalBytes: this.#totalBytes, omittedBytes: 0, log: null };
    }
    const log = await this.#log.finish();
    let tail = Buffer.concat(this.#tail);
    tail = tail.subarray(Math.max(0, tail.length - this.#limits.tailBytes));
    const omits = head.length + tail.length < this.#totalBytes;
    if (omits) {
      head = head.subarray(0, wholeCharactersEnd(head));
      tail = tail.subarray(wholeCharactersStart(tail));
    }
    const omittedBytes = this.#totalBytes - head.length - tail.length;
    return { head, tail, totalBytes: this.#totalBytes, omittedBytes, log };
  }

  /** Frees what it holds; for when nobody wants the result any more. */
  discard(): void {
    this.#log?.discard();
  }

  async #outgrow(): Promise<GzipLog> {
    const log = new GzipLog(this.#limits.gzipBytes);
    const all = Buffer.concat(this.#head);
    await log.write(all);
    this.#head = [Buffer.from(all.subarray(0, this.#limits.headBytes))];
    this.#headLength = Math.min(all.length, this.#limits.headBytes);
    this.#keepTail(all.subarray(this.#limits.headBytes));
    return log;
  }

  #keepTail(chunk: Buffer): void {
    if (chunk.length === 0) return;
    const { tailBytes } = this.#limits;
    this.#tail.push(Buffer.from(chunk.subarray(Math.max(0, chunk.length - tailBytes))));
    this.#tailLength += Math.min(chunk.length, tailBytes);
    if (this.#tailLength < 2 * tailBytes && this.#tail.length < 256) return;
    const joined = Buffer.concat(this.#tail);
    this.#tail = [Buffer.from(joined.subarray(Math.max(0, joined.length - tailBytes)))];
    this.#tailLength = Math.min(joined.length, tailBytes);
  }
}

/** A gzip of what is written, which ends by itself before it grows beyond its limit. */
class GzipLog {
  readonly #gzip: Gzip = createGzip({ level: constants.Z_BEST_SPEED });
  readonly #limitBytes: number;
  readonly #chunks: Buffer[] = [];
  #sizeBytes = 0;
  #isComplete = true;
  #isEnded = false;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
    this.#gzip.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#sizeBytes += chunk.length;
    });
  }

  async write(chunk: Buffer): Promise<void> {
    for (let from = 0; from < chunk.length && !this.#isEnded; from += 65_536) {
      if (!this.#gzip.write(Buffer.from(chunk.subarray(from, from + 65_536))))
        await once(this.#gzip, 'drain');
      if (this.#sizeBytes > this.#limitBytes - GZIP_RESERVE_BYTES) {
        this.#end('\n[threadbox: the log is cut here, it would have become too large]\n');
      }
    }
  }

  async miss(missingBytes: number): Promise<void> {
    this.#isComplete = false;
    await this.write(Buffer.from(`\n[threadbox: ${missingBytes} bytes are left out here]\n`));
  }

  async finish(): Promise<{ gzip: Buffer; isComplete: boolean }> {
    if (!this.#isEnded) this.#gzip.end();
    if (!this.#gzip.readableEnded) await once(this.#gzip, 'end');
    return { gzip: Buffer.concat(this.#chunks), isComplete: this.#isComplete };
  }

  discard(): void {
    this.#gzip.destroy();
  }

  #end(lastWords: string): void {
    this.#isComplete = false;
    this.#isEnded = true;
    this.#gzip.end(lastWords);
  }
}

/** Where the last whole UTF-8 character of a cut-off text ends (RFC 3629, 3); the end itself where it is no UTF-8. */
function wholeCharactersEnd(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function wholeCharactersStart(bytes: Buffer): number {
  let start = 0;
  while (start < 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return start;
}
