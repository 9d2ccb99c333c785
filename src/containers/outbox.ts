import type Docker from 'dockerode';
import { readFrames, startExec } from './exec.ts';
import { asOurs, RUN_FROM_ENVIRONMENT, scripts } from './inside.ts';

export type OutboxLimits = { fileBytes: number; totalBytes: number };

/** What a command has left to be mailed. Names are as the command gave them: anything is possible in them. */
export type Outbox = {
  files: { name: string; content: Buffer }[];
  /** Too large, or too many. */
  left: { name: string; sizeBytes: number }[];
  /** So many links, pipes and other things that are no files. */
  oddCount: number;
  /** False when it could not be read to its end. */
  isWhole: boolean;
};

/** A variable of the command's environment, which has the directory made: see inside/run.sh. */
export const outboxEnv = (commandId: number) => ({ THREADBOX_OUTBOX: outboxPath(commandId) });
export const outboxPath = (commandId: number): string => `/workspace/.outbox/${commandId}`;

const MOST_FILES = 20;
const MOST_LEFT = 100;
const LONGEST_LINE = 8192;
const TIMEOUT_S = 120;

/**
 * Reads the outbox of a command that has ended. Its files stay where they are, so it may be done again after a crash.
 * Links are not followed.
 *
 * @throws {ContainersError} `CONTAINER_GONE`, `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`. Or the reason of `signal`
 */
export async function collectOutbox(
  docker: Docker,
  containerId: string,
  { commandId, limits, signal }: { commandId: number; limits: OutboxLimits; signal: AbortSignal },
): Promise<Outbox> {
  const name = 'threadbox-outbox';
  const stream = await startExec(docker, containerId, {
    command: asOurs(name, ['timeout', '-k', '5', String(TIMEOUT_S), ...RUN_FROM_ENVIRONMENT, name]),
    env: {
      _THREADBOX_RUN: scripts.outbox,
      _THREADBOX_NUMBER: String(commandId),
      _THREADBOX_FILE_BYTES: String(limits.fileBytes),
      _THREADBOX_TOTAL_BYTES: String(limits.totalBytes),
      _THREADBOX_FILES: String(MOST_FILES),
    },
    signal,
  });
  const reader = new OutboxReader(limits);
  const abort = () => stream.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    for await (const { isError, data } of readFrames(stream)) {
      if (!isError && !reader.take(data)) break;
    }
  } catch (error) {
    signal.throwIfAborted();
    // The connection broke: what is whole is taken, and that the rest is missing is told.
    if (!(error instanceof Error)) throw error;
  } finally {
    signal.removeEventListener('abort', abort);
    stream.destroy();
  }
  return reader.outbox();
}

/** Takes apart what inside/outbox.sh says. Holds no more than the limits allow, whatever comes. */
export class OutboxReader {
  readonly #limits: OutboxLimits;
  readonly #outbox: Outbox = { files: [], left: [], oddCount: 0, isWhole: false };
  #line: Buffer[] = [];
  #lineBytes = 0;
  #file: { name: string; chunks: Buffer[]; missingBytes: number } | null = null;
  #totalBytes = 0;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  /** @returns false when nothing more is to be had */
  take(data: Buffer): boolean {
    let rest = data;
    while (rest.length > 0) {
      if (this.#file) {
        const { chunks, missingBytes } = this.#file;
        const part = rest.subarray(0, missingBytes);
        chunks.push(Buffer.from(part));
        this.#file.missingBytes -= part.length;
        rest = rest.subarray(part.length);
        this.#endFile();
        continue;
      }
      const end = rest.indexOf(0);
      const part = end === -1 ? rest : rest.subarray(0, end);
      this.#line.push(Buffer.from(part));
      this.#lineBytes += part.length;
      rest = rest.subarray(part.length + 1);
      if (this.#lineBytes > LONGEST_LINE) return false;
      if (end !== -1 && !this.#endLine()) return false;
    }
    return true;
  }

  outbox(): Outbox {
    return this.#outbox;
  }

  #endLine(): boolean {
    const line = Buffer.concat(this.#line).toString();
    this.#line = [];
    this.#lineBytes = 0;
    if (line === 'done') this.#outbox.isWhole = true;
    const [, word = '', size = '', name = ''] = /^(file|left|odd) (\d{1,15})(?: ([^]+))?$/.exec(line) ?? [];
    const sizeBytes = Number(size);
    if (word === 'odd') this.#outbox.oddCount = sizeBytes;
    else if (word === 'left' && this.#outbox.left.length < MOST_LEFT)
      this.#outbox.left.push({ name, sizeBytes });
    else if (word === 'file') return this.#startFile(name, sizeBytes);
    return word !== '';
  }

  #startFile(name: string, sizeBytes: number): boolean {
    this.#totalBytes += sizeBytes;
    const { fileBytes, totalBytes } = this.#limits;
    const isTooMuch = sizeBytes > fileBytes || this.#totalBytes > totalBytes;
    if (isTooMuch || this.#outbox.files.length >= MOST_FILES) return false;
    this.#file = { name, chunks: [], missingBytes: sizeBytes };
    this.#endFile();
    return true;
  }

  #endFile(): void {
    if (!this.#file || this.#file.missingBytes > 0) return;
    const { name, chunks } = this.#file;
    this.#outbox.files.push({ name, content: Buffer.concat(chunks) });
    this.#file = null;
  }
}
