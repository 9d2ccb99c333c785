import { FrameReader } from './exec.ts';
import { parseFacts, type Facts } from './facts.ts';
import { NO_MASKS, type Masks, type MaskStream } from '../secrets/masks.ts';
import { OutputCapture, type CapturedOutput } from './output.ts';

/** What came over the stream of one of the scripts of inside/. */
export type StreamedAnswer = {
  /** `null`: it did not come so far. */
  facts: Facts | null;
  output: CapturedOutput;
  /** The last bytes came too; without, the connection broke or the script was killed. */
  isWhole: boolean;
  /** A runner said that it has claimed the command: it starts, or has run. */
  hasBegun: boolean;
  /** More came after the end: nobody knows what it belongs to. */
  hasMore: boolean;
  /** The beginning of what came instead of facts. */
  oddity: string;
};

const FACTS_END = Buffer.from('\0\0end\n');
const TRAILER = Buffer.from('\0threadbox-end\0');
const MAX_FACTS_BYTES = 1024 * 1024;
/**
 * More than facts, and all of an output that is kept (see inside/common.sh), can ever be. A command may write to where its
 * runner does, for ever and faster than anybody reads.
 */
const MOST_BYTES = 256 * 1024 * 1024;

/**
 * Reads facts and output. Never throws for what the stream says or for how it ends.
 *
 * @param stream as `startExec` gives it, or of a runner
 * @param reading `nonce`: of a runner's answer: its end is then where the trailer with that nonce is, otherwise the
 *   stream's end. `masks`: of the output, before anything of it is kept
 */
export async function readAnswer(
  stream: AsyncIterable<Buffer>,
  { nonce = null, masks = NO_MASKS }: { nonce?: string | null | undefined; masks?: Masks | undefined } = {},
): Promise<StreamedAnswer> {
  const capture = new OutputCapture();
  const frames = new FrameReader();
  const reader = createAnswerReader(capture, nonce, masks.stream());
  let readBytes = 0;
  try {
    for await (const chunk of stream) {
      readBytes += chunk.length;
      if (readBytes > MOST_BYTES) break;
      for (const { isError, data } of frames.take(chunk)) if (!isError) await reader.take(data);
      if (reader.isAtEnd()) break;
    }
  } catch {
    // The connection broke. `isWhole` says so, and whoever asked finds out what became of the container.
  }
  await reader.finish();
  const { leftBytes, ...read } = reader.state();
  return { ...read, output: await capture.finish(), hasMore: leftBytes > 0 || !frames.isBetween() };
}

/** Beginning, facts and output, one after the other. */
function createAnswerReader(capture: OutputCapture, nonce: string | null, mask: MaskStream) {
  const beginning = createBeginningReader(nonce);
  const factsReader = createFactsReader();
  let facts: Facts | null = null;
  let output: ReturnType<typeof createOutputReader> | null = null;
  return {
    async take(data: Buffer): Promise<void> {
      if (output) return output.take(data);
      const found = factsReader.take(beginning.take(data));
      if (!found) return;
      facts = parseFacts(found.facts, found.isCut);
      const gap = facts?.gap ?? { afterBytes: 0, missingBytes: 0 };
      output = createOutputReader({ capture, mask }, gap, nonce);
      await output.take(found.rest);
    },
    isAtEnd: () => output?.isAtEnd() ?? false,
    finish: () => capture.write(mask.flush()),
    state: () => ({
      facts,
      isWhole: output?.isWhole() ?? false,
      leftBytes: output?.leftBytes() ?? 0,
      hasBegun: beginning.hasBegun(),
      oddity: facts ? '' : factsReader.beginning(),
    }),
  };
}

const NO_BYTES = Buffer.alloc(0);

/** Takes away what a runner says first, so that a command is known to have been claimed before there is an answer. */
function createBeginningReader(nonce: string | null) {
  const begun = Buffer.from(nonce === null ? '' : `\0threadbox-begun ${nonce}\0`);
  let held: Buffer | null = NO_BYTES;
  let hasBegun = false;
  return {
    take(chunk: Buffer): Buffer {
      if (held === null || nonce === null) return chunk;
      const all = Buffer.concat([held, chunk]);
      const isOther = !begun.subarray(0, all.length).equals(all.subarray(0, begun.length));
      if (!isOther && all.length < begun.length) {
        held = all;
        return NO_BYTES;
      }
      held = null;
      hasBegun = !isOther;
      return hasBegun ? all.subarray(begun.length) : all;
    },
    hasBegun: () => hasBegun,
  };
}

/** Collects up to the end of the facts. More of them than fits is passed over. */
function createFactsReader() {
  let kept = Buffer.alloc(0);
  let window = Buffer.alloc(0);
  return {
    take(chunk: Buffer): { facts: Buffer; isCut: boolean; rest: Buffer } | null {
      const searched = Buffer.concat([window, chunk]);
      const at = searched.indexOf(FACTS_END);
      const isCut = kept.length >= MAX_FACTS_BYTES;
      if (!isCut) kept = Buffer.concat([kept, chunk]);
      if (at === -1) {
        window = Buffer.from(searched.subarray(Math.max(0, searched.length - FACTS_END.length + 1)));
        return null;
      }
      const rest = searched.subarray(at + FACTS_END.length);
      const facts = isCut ? kept : kept.subarray(0, kept.length - rest.length - FACTS_END.length);
      return { facts, isCut, rest };
    },
    beginning: () => kept.subarray(0, 500).toString().trim(),
  };
}

/** Passes the output on, less the trailer: so much of it is always held back. */
function createOutputReader(
  { capture, mask }: { capture: OutputCapture; mask: MaskStream },
  gap: Facts['gap'],
  nonce: string | null,
) {
  const trailer = nonce === null ? TRAILER : Buffer.from(`\0threadbox-end ${nonce}\0`);
  let held = Buffer.alloc(0);
  let passedBytes = 0;
  let leftBytes = 0;
  let isAtEnd = false;
  const pass = async (bytes: Buffer) => {
    const beforeGap = gap.afterBytes - passedBytes;
    passedBytes += bytes.length;
    if (gap.missingBytes === 0 || beforeGap < 0 || beforeGap >= bytes.length) {
      return capture.write(mask.take(bytes));
    }
    await capture.write(mask.take(bytes.subarray(0, beforeGap)));
    await capture.write(mask.flush(true));
    await capture.skip(gap.missingBytes);
    await capture.write(mask.take(bytes.subarray(beforeGap)));
  };
  return {
    async take(chunk: Buffer): Promise<void> {
      if (isAtEnd) {
        leftBytes += chunk.length;
        return;
      }
      const all = Buffer.concat([held, chunk]);
      // A command can print a trailer, but not this nonce.
      const at = nonce === null ? -1 : all.indexOf(trailer);
      isAtEnd = at !== -1;
      const end = isAtEnd ? at : Math.max(0, all.length - trailer.length);
      if (end > 0) await pass(all.subarray(0, end));
      held = Buffer.from(all.subarray(end, end + trailer.length));
      leftBytes = all.length - end - held.length;
    },
    isAtEnd: () => isAtEnd,
    isWhole: () => held.equals(trailer),
    leftBytes: () => leftBytes,
  };
}
