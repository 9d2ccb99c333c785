/**
 * - `DOCKER_UNREACHABLE`: the engine does not answer, or what it has to say before a container is started. Try again later.
 * - `DOCKER_REFUSED`: it answers, and says no.
 * - `CUT_OFF`: it has ended a helper of ours before that had come to its end, as it is being stopped, or since that took too long. Try
 *   again later.
 * - `NETWORK_GUARD`: what keeps containers from the host's networks cannot be put in place, or the proxy of the repository's
 *   allow-list does not serve. Try again later.
 * - `IMAGE_MISSING`: there is no such image on the engine.
 * - `CONTAINER_GONE`: the container was removed or stopped meanwhile.
 * - `WORKSPACE_NOT_READY`: the workspace is not prepared (or was destroyed by a command): prepare it, then try again.
 * - `WORKSPACE`: the workspace cannot be prepared or used; the message has git's words.
 * - `WORKSPACE_UNWRITABLE`: it takes no new files. A disk that has failed, as where that of the host was full, is sound again when
 *   its container is started anew.
 * - `WORKSPACE_LOST`: the workspace has gone, with what was not saved of it. There is nothing to save or to look at.
 * - `REPOSITORY_UNAVAILABLE`: the upstream cannot be fetched; the message has git's words.
 * - `SCRIPT_TOO_LARGE`: the command is longer than can be handed to a process.
 * - `REPOSITORY_MISSING`: a command has moved the repository away, or removed it: there is work, or was, and nothing of it
 *   can be saved. What was saved before is as it was.
 * - `SAVE_FAILED`: the work in a workspace could not be saved; what was saved before is as it was.
 * - `RESTORE_FAILED`: a saved state could not be put into a workspace: prepare it again, then try again.
 */
export type ContainersErrorCode =
  | 'DOCKER_UNREACHABLE'
  | 'DOCKER_REFUSED'
  | 'CUT_OFF'
  | 'NETWORK_GUARD'
  | 'IMAGE_MISSING'
  | 'CONTAINER_GONE'
  | 'WORKSPACE_NOT_READY'
  | 'WORKSPACE'
  | 'WORKSPACE_UNWRITABLE'
  | 'WORKSPACE_LOST'
  | 'REPOSITORY_UNAVAILABLE'
  | 'SCRIPT_TOO_LARGE'
  | 'REPOSITORY_MISSING'
  | 'SAVE_FAILED'
  | 'RESTORE_FAILED';

/** Of `WORKSPACE_UNWRITABLE`. */
export const UNWRITABLE =
  'The workspace takes no new files: its disk, or the one of the machine that it lies on, is full or damaged. Whoever runs this Threadbox can see to that';

/** What goes wrong in this room. */
export class ContainersError extends Error {
  readonly code: ContainersErrorCode;
  /**
   * False: the command was certainly not started, the same execution may be tried again. True: only
   * `recoverExecution` can tell.
   */
  readonly mayHaveStarted: boolean;

  constructor(
    code: ContainersErrorCode,
    message: string,
    { cause, mayHaveStarted = false }: { cause?: unknown; mayHaveStarted?: boolean } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ContainersError';
    this.code = code;
    this.mayHaveStarted = mayHaveStarted;
  }
}

/** The HTTP status of an answer of the engine, `null` where there was none. */
export function statusOf(error: unknown): number | null {
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === 'number' ? status : null;
}

/**
 * What a failed request to the engine means.
 *
 * @param doing what was tried, e.g. `start the container`
 */
export function engineError(error: unknown, doing: string, mayHaveStarted = false): ContainersError {
  if (error instanceof ContainersError) return error;
  const status = statusOf(error);
  const words = error instanceof Error ? error.message : String(error);
  if (status === null) {
    const message = `Docker does not answer (tried to ${doing}): ${words}`;
    return new ContainersError('DOCKER_UNREACHABLE', message, { cause: error, mayHaveStarted });
  }
  const code = status === 404 && /no such image/i.test(words) ? 'IMAGE_MISSING' : 'DOCKER_REFUSED';
  return new ContainersError(code, `Docker refused to ${doing}: ${words}`, { cause: error, mayHaveStarted });
}
