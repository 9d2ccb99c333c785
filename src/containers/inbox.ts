import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type Docker from 'dockerode';
import { ContainersError, UNWRITABLE } from './errors.ts';
import { startExecWithInput } from './exec-input.ts';
import { readFrames } from './exec.ts';
import { asOurs, RUN_FROM_ENVIRONMENT, scripts } from './inside.ts';

const TIMEOUT_MS = 5 * 60_000;
const MAX_TEXT_BYTES = 4096;

export type InboxFile = { name: string; content: Buffer };

/** Where the files of a command's mail are in its container. */
export const inboxPath = (commandId: number): string => `/workspace/.inbox/${commandId}`;

/**
 * Puts files into a thread's workspace, as its user's, not executable. What is in that directory already goes, so it may
 * be done again after a crash.
 *
 * @param request names as `safeNames` makes them: each one part of a path
 * @throws {ContainersError} `WORKSPACE` when there is no room, `WORKSPACE_UNWRITABLE`: nothing of them is there then; `CONTAINER_GONE`, `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`. Or
 *   the reason of `signal`
 */
export async function placeFiles(
  docker: Docker,
  containerId: string,
  { commandId, files, signal }: { commandId: number; files: readonly InboxFile[]; signal: AbortSignal },
): Promise<void> {
  const odd = files.find(({ name }) => /[/\0]|^\.{0,2}$/.test(name));
  if (odd) throw new Error(`Expected the name of a file, got ${JSON.stringify(odd.name)}`);
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const seconds = String(TIMEOUT_MS / 1000 + 5);
  const name = 'threadbox-inbox';
  const stream = await startExecWithInput(docker, containerId, {
    command: asOurs(name, ['timeout', '-k', '5', seconds, ...RUN_FROM_ENVIRONMENT, name]),
    env: { _THREADBOX_RUN: scripts.inbox, _THREADBOX_NUMBER: String(commandId) },
    signal: deadline,
  });
  stream.on('error', () => undefined);
  const abort = () => stream.destroy();
  deadline.addEventListener('abort', abort, { once: true });
  try {
    // Who has no room for them stops reading, and says so.
    const sending = pipeline(Readable.from(framed(files)), stream, { end: false }).catch(() => undefined);
    const said = await readText(stream);
    await sending;
    signal.throwIfAborted();
    if (said === 'done') return;
    throw faultOf(said);
  } finally {
    deadline.removeEventListener('abort', abort);
    stream.destroy();
  }
}

/** @param said by the script, in place of `done` */
function faultOf(said: string): ContainersError {
  if (said === '')
    return new ContainersError('CONTAINER_GONE', 'The container went while files were put into it');
  if (said === 'unwritable') return new ContainersError('WORKSPACE_UNWRITABLE', UNWRITABLE);
  const why = said === 'full' ? 'it is full' : said;
  const next =
    'Make room with a command in a mail that has none attached, as with git clean or rm; then send this one again';
  const words = `The files attached to your mail could not be put into the workspace: ${why}. None of them is there. ${next}`;
  return new ContainersError('WORKSPACE', words);
}

function* framed(files: readonly InboxFile[]): Generator<Buffer> {
  for (const { name, content } of files) {
    yield Buffer.from(`${content.length} ${name}\0`);
    for (let from = 0; from < content.length; from += CHUNK_BYTES) {
      yield content.subarray(from, from + CHUNK_BYTES);
    }
  }
  yield Buffer.from('end\0');
}

const CHUNK_BYTES = 64 * 1024;

async function readText(stream: AsyncIterable<Buffer>): Promise<string> {
  let said = '';
  try {
    for await (const { isError, data } of readFrames(stream)) {
      if (!isError && said.length < MAX_TEXT_BYTES) said += data.toString();
      if (said.length > 0) break;
    }
  } catch {
    // The connection broke: the last word is missing, and that is told.
  }
  return said.trim();
}
