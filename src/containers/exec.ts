import type { Duplex } from 'node:stream';
import type Docker from 'dockerode';
import { commandUser } from './command-user.ts';
import { ContainersError, engineError, statusOf } from './errors.ts';

export type ExecRequest = {
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  signal?: AbortSignal | undefined;
  /** What is written to the stream becomes its standard input. */
  hasInput?: boolean;
};

/** Without an id the path of the request would name none, and the engine would send the driver to another host. */
export function expectContainer(containerId: string): void {
  if (containerId === '') throw new ContainersError('CONTAINER_GONE', 'There is no container');
}

/**
 * Starts a process in a running container, as the user of the commands.
 *
 * @returns its output as it comes, stdout and stderr in frames: see {@link readFrames}
 * @throws {ContainersError} `mayHaveStarted` is false where the process certainly was not
 */
export async function startExec(docker: Docker, containerId: string, request: ExecRequest): Promise<Duplex> {
  expectContainer(containerId);
  const { hasInput = false } = request;
  const abort = request.signal ? { abortSignal: request.signal } : {};
  let exec: Docker.Exec;
  try {
    exec = await docker.getContainer(containerId).exec({
      Cmd: [...request.command],
      Env: Object.entries(request.env).map(([name, value]) => `${name}=${value}`),
      User: await commandUser(docker, containerId, abort),
      // The container's own working directory may have been removed by a command.
      WorkingDir: '/',
      AttachStdin: hasInput,
      AttachStdout: true,
      AttachStderr: true,
      ...abort,
    });
  } catch (error) {
    request.signal?.throwIfAborted();
    throw goneOr(error, 'run a process in the container', false);
  }
  try {
    return await exec.start({ hijack: hasInput, ...abort });
  } catch (error) {
    request.signal?.throwIfAborted();
    // An answer of the engine means that it did not start it; a broken connection means nothing.
    throw goneOr(error, 'start a process in the container', statusOf(error) === null);
  }
}

/**
 * Runs a process in a running container to its end, as the user of the commands.
 *
 * @throws {ContainersError} what {@link startExec} throws; `DOCKER_UNREACHABLE` when the connection breaks before its end. Or
 *   the reason of the signal
 */
export async function execText(
  docker: Docker,
  containerId: string,
  request: ExecRequest,
): Promise<{ stdout: string; stderr: string }> {
  const stream = await startExec(docker, containerId, request);
  const texts: [Buffer[], Buffer[]] = [[], []];
  let sizeBytes = 0;
  try {
    for await (const { isError, data } of readFrames(stream)) {
      sizeBytes += data.length;
      if (sizeBytes <= MAX_TEXT_BYTES) texts[isError ? 1 : 0].push(Buffer.from(data));
      if (sizeBytes > MOST_READ_BYTES) break;
    }
  } catch (error) {
    // Either has the words of any connection that was cut, as one to the database has.
    request.signal?.throwIfAborted();
    throw engineError(error, 'read what a process in the container says', true);
  }
  return { stdout: Buffer.concat(texts[0]).toString(), stderr: Buffer.concat(texts[1]).toString() };
}

const MAX_TEXT_BYTES = 256 * 1024;
/** A process of the same user can write to what ours writes to, for ever and faster than anybody reads. */
const MOST_READ_BYTES = 16 * 1024 * 1024;
const FRAME_HEADER_BYTES = 8;

export type Frame = { isError: boolean; data: Buffer };

/**
 * Takes the engine's stream apart ("Stream format" of its API, /containers/{id}/attach): a header of 8 bytes, 1 or 2
 * in the first for stdout or stderr, the length in the last four. Holds no more than one chunk at a time.
 */
export class FrameReader {
  #header = Buffer.alloc(0);
  #left = 0;
  #isError = false;

  *take(chunk: Buffer): Generator<Frame> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left === 0) {
        const wanted = FRAME_HEADER_BYTES - this.#header.length;
        this.#header = Buffer.concat([this.#header, rest.subarray(0, wanted)]);
        rest = rest.subarray(wanted);
        if (this.#header.length < FRAME_HEADER_BYTES) break;
        this.#isError = this.#header[0] === 2;
        this.#left = this.#header.readUInt32BE(4);
        this.#header = Buffer.alloc(0);
        continue;
      }
      const data = rest.subarray(0, this.#left);
      this.#left -= data.length;
      rest = rest.subarray(data.length);
      yield { isError: this.#isError, data };
    }
  }

  /** True where a frame has ended and no other has begun. */
  isBetween(): boolean {
    return this.#left === 0 && this.#header.length === 0;
  }
}

/** The frames of a stream that is read to its end. */
export async function* readFrames(stream: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  const reader = new FrameReader();
  for await (const chunk of stream) yield* reader.take(chunk);
}

function goneOr(error: unknown, doing: string, mayHaveStarted: boolean): ContainersError {
  const status = statusOf(error);
  const words = error instanceof Error ? error.message : '';
  if (status === 404 || status === 409 || /is not running|is restarting|is paused/.test(words)) {
    return new ContainersError(
      'CONTAINER_GONE',
      `The container is not there any more, or does not run: ${words}`,
      {
        cause: error,
        mayHaveStarted,
      },
    );
  }
  return engineError(error, doing, mayHaveStarted);
}
