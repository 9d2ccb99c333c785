import { writeSync } from 'node:fs';

export type LogOutput = { write: (line: string) => void };

type Write = (fd: number, bytes: Buffer) => number;

/** What is not taken at once waits, up to so much; what comes after that is lost, and counted. */
const MOST_WAITING_BYTES = 1 << 20;
/** Where whoever reads it is slow, as a pipe or a journal is. */
const SLOW_READER_MS = 50;
/** Where the disk is full, or does not answer for another reason. */
const TRY_AGAIN_MS = 1_000;

/**
 * Where the lines of the log go. What becomes of them is never a reason to end, or to wait: neither a disk that is full under
 * the file, nor a reader that has stopped to read, or has gone.
 */
export function openLogOutput(fd: number, write: Write = writeSync): LogOutput {
  const waiting: Buffer[] = [];
  let waitingBytes = 0;
  let lost = 0;
  let isGone = false;
  let isEndWatched = false;
  let timer: NodeJS.Timeout | null = null;

  function put(line: string): void {
    const bytes = Buffer.from(line);
    waiting.push(bytes);
    waitingBytes += bytes.length;
  }

  /** @returns false when nothing more is taken now */
  function writeFirst(first: Buffer): boolean {
    try {
      const written = write(fd, first);
      waitingBytes -= written;
      if (written < first.length) waiting[0] = first.subarray(written);
      else waiting.shift();
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE' || code === 'EBADF') {
        isGone = true;
        waiting.length = 0;
      } else tryAgain(code === 'EAGAIN' ? SLOW_READER_MS : TRY_AGAIN_MS);
      return false;
    }
  }

  function flush(): void {
    for (let [first] = waiting; first; [first] = waiting) {
      if (!writeFirst(first)) return;
      if (waiting.length > 0 || lost === 0) continue;
      put(lostLine(lost));
      lost = 0;
    }
  }

  function tryAgain(afterMs: number): void {
    timer = setTimeout(() => {
      timer = null;
      flush();
    }, afterMs);
    timer.unref();
    if (isEndWatched) return;
    isEndWatched = true;
    process.once('exit', flush);
  }

  return {
    write(line) {
      if (isGone) return;
      if (waitingBytes + Buffer.byteLength(line) > MOST_WAITING_BYTES && waiting.length > 0) {
        lost += 1;
        return;
      }
      put(line);
      if (timer === null) flush();
    },
  };
}

const WARN = 40;

const lostLine = (lines: number): string =>
  `${JSON.stringify({ level: WARN, time: Date.now(), lines, msg: 'lines of this log were lost: nothing more could be written for a while' })}\n`;
