import type Docker from 'dockerode';
import { ContainersError } from './errors.ts';
import { execText } from './exec.ts';

const LAST_BYTES = 4_000;
const ANSWER_MS = 5_000;
const ENDED = 'ended\n';

/** Whether it has ended, and the spool's newest part: see inside/common.sh. */
const PEEK = `
cd /workspace/.threadbox/executions || exit
newest= ended=runs
for file in "$_THREADBOX_COMMAND_ID"-*; do
  [[ -f $file ]] || continue
  case $file in
    *.out | *.ring[01]) [[ -z $newest || $file -nt $newest ]] && newest=$file ;;
    *.exit) ended=ended ;;
  esac
done
echo $ended
[[ -z $newest ]] || exec tail -c ${LAST_BYTES} -- "$newest"
`;

/** `text`: the end of what it has written so far, from the beginning of a line on where there are several. */
export type Peeked = { text: string; hasEnded: boolean };

/**
 * How a command stands. null when it cannot be asked now: a word on that does not wait for it.
 */
export async function peekOutput(
  docker: Docker,
  containerId: string,
  commandId: number,
): Promise<Peeked | null> {
  try {
    const { stdout } = await execText(docker, containerId, {
      command: ['bash', '-c', PEEK],
      env: { _THREADBOX_COMMAND_ID: String(commandId) },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (stdout === '') return null;
    const text = stdout.slice(stdout.indexOf('\n') + 1);
    const isCut = Buffer.byteLength(text) >= LAST_BYTES && text.includes('\n');
    return { text: isCut ? text.slice(text.indexOf('\n') + 1) : text, hasEnded: stdout.startsWith(ENDED) };
  } catch (error) {
    if (error instanceof ContainersError || (error as Error).name === 'TimeoutError') return null;
    throw error;
  }
}
