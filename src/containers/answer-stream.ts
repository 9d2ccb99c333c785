import { readFrames } from './exec.ts';
import { parseFacts, type Facts } from './facts.ts';
import { OutputCapture, type CapturedOutput } from './output.ts';

/** What came over the stream of one of the scripts of inside/. */
export type StreamedAnswer = {
  /** `null`: it did not come so far. */
  facts: Facts | null;
  output: CapturedOutput;
  /** The last bytes came too; without, the connection broke or the script was killed. */
  isWhole: boolean;
  /** The beginning of what came instead of facts. */
  oddity: string;
};

const FACTS_END = Buffer.from('\0\0end\n');
const TRAILER = Buffer.from('\0threadbox-end\0');
const MAX_FACTS_BYTES = 1024 * 1024;

/**
 * Reads facts and output. Never throws for what the stream says or for how it ends.
 *
 * @param stream as `startExec` gives it
 */
export async function readAnswer(stream: AsyncIterable<Buffer>): Promise<StreamedAnswer> {
  const capture = new OutputCapture();
  const factsReader = createFactsReader();
  let facts: Facts | null = null;
  let output: ReturnType<typeof createOutputReader> | null = null;
  try {
    for await (const { isError, data } of readFrames(stream)) {
      if (isError) continue;
      let rest = data;
      if (!output) {
        const found = factsReader.take(data);
        if (!found) continue;
        facts = parseFacts(found.facts, found.isCut);
        output = createOutputReader(capture, facts?.gap ?? { afterBytes: 0, missingBytes: 0 });
        rest = found.rest;
      }
      await output.take(rest);
    }
  } catch {
    // The connection broke. `isWhole` says so, and whoever asked finds out what became of the container.
  }
  const isWhole = output?.isWhole() ?? false;
  return { facts, output: await capture.finish(), isWhole, oddity: facts ? '' : factsReader.beginning() };
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
function createOutputReader(capture: OutputCapture, gap: Facts['gap']) {
  let held = Buffer.alloc(0);
  let passedBytes = 0;
  const pass = async (bytes: Buffer) => {
    const beforeGap = gap.afterBytes - passedBytes;
    passedBytes += bytes.length;
    if (gap.missingBytes === 0 || beforeGap < 0 || beforeGap >= bytes.length) return capture.write(bytes);
    await capture.write(bytes.subarray(0, beforeGap));
    await capture.skip(gap.missingBytes);
    await capture.write(bytes.subarray(beforeGap));
  };
  return {
    async take(chunk: Buffer): Promise<void> {
      const all = Buffer.concat([held, chunk]);
      const end = Math.max(0, all.length - TRAILER.length);
      if (end > 0) await pass(all.subarray(0, end));
      held = Buffer.from(all.subarray(end));
    },
    isWhole: () => held.equals(TRAILER),
  };
}
