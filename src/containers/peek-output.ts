import type Docker from 'dockerode';
import { ContainersError } from './errors.ts';
import { NO_MASKS, type Masks } from '../secrets/masks.ts';
import { execText } from './exec.ts';
import { asOurs } from './inside.ts';

const LAST_BYTES = 4_000;
const ANSWER_MS = 5_000;
const RUNS = 'runs\n';

/**
 * Whether it runs, and the spool's newest part: see inside/common.sh. One that died with its host has left a claim and no
 * end: only its process tells.
 */
const PEEK = `
cd /workspace/.threadbox/executions || exit
newest= state=rests
for file in "$_THREADBOX_COMMAND_ID"-*; do
  [[ -f $file ]] || continue
  case $file in
    *.out | *.ring[01]) [[ -z $newest || $file -nt $newest ]] && newest=$file ;;
    *.claim)
      pid= start= line=
      read -r pid start _ <"$file"
      [[ ! -e /proc/$pid/stat ]] || read -r line <"/proc/$pid/stat"
      stat=(\${line##*) })
      [[ -n $start && \${stat[0]} != Z && \${stat[19]} == "$start" && ! -e \${file%.claim}.exit ]] && state=runs
      ;;
  esac
done
echo $state
[[ -z $newest ]] || exec tail -c "$_THREADBOX_BYTES" -- "$newest"
`;

/** `text`: the end of what it has written so far, from the beginning of a line on where there are several. */
export type Peeked = { text: string; isAlive: boolean };

/**
 * How a command stands. null when it cannot be asked now: a word on that does not wait for it.
 */
export async function peekOutput(
  docker: Docker,
  containerId: string,
  commandId: number,
  masks: Masks = NO_MASKS,
): Promise<Peeked | null> {
  // So much more that a value at the beginning is whole.
  const wantedBytes = LAST_BYTES + masks.longestBytes;
  try {
    const { stdout } = await execText(docker, containerId, {
      command: asOurs('threadbox-look', ['timeout', '-k', '1', '10', 'bash', '-c', PEEK]),
      env: { _THREADBOX_COMMAND_ID: String(commandId), _THREADBOX_BYTES: String(wantedBytes) },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (stdout === '') return null;
    const whole = Buffer.from(masks.text(stdout.slice(stdout.indexOf('\n') + 1)));
    const text = whole.subarray(-LAST_BYTES).toString();
    const isCut = whole.length >= LAST_BYTES && text.includes('\n');
    return { text: isCut ? text.slice(text.indexOf('\n') + 1) : text, isAlive: stdout.startsWith(RUNS) };
  } catch (error) {
    if (error instanceof ContainersError || (error as Error).name === 'TimeoutError') return null;
    throw error;
  }
}
