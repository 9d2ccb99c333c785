import type Docker from 'dockerode';
import { ContainersError } from './errors.ts';
import { execText } from './exec.ts';

const LAST_BYTES = 4_000;
const ANSWER_MS = 5_000;

/** The spool's newest part: see inside/common.sh. */
const PEEK = `
cd /workspace/.threadbox/executions || exit
newest=
for file in "$_THREADBOX_COMMAND_ID"-*.out "$_THREADBOX_COMMAND_ID"-*.ring[01]; do
  [[ -f $file && ( -z $newest || $file -nt $newest ) ]] && newest=$file
done
[[ -z $newest ]] || exec tail -c ${LAST_BYTES} -- "$newest"
`;

/**
 * The last lines that a command has written so far. Empty when it has written nothing, or nothing can be asked now: a
 * word on how things stand does not wait for it.
 */
export async function peekOutput(docker: Docker, containerId: string, commandId: number): Promise<string> {
  try {
    const { stdout } = await execText(docker, containerId, {
      command: ['bash', '-c', PEEK],
      env: { _THREADBOX_COMMAND_ID: String(commandId) },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    return stdout;
  } catch (error) {
    if (error instanceof ContainersError || (error as Error).name === 'TimeoutError') return '';
    throw error;
  }
}
