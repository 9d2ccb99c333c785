import { durationOf } from '../commands/duration.ts';
import { durationInWords, sizeInWords } from '../mail/amounts.ts';
import type { RepositoryLimits } from '../store/repositories.ts';
import { usageError, type Options } from './command.ts';

/** What the commands of one repository may use. */
export const LIMIT_OPTIONS = {
  'command-timeout': { value: 'TIME', summary: 'how long a command may run, as in 2h or 90m, or default' },
  memory: { value: 'SIZE', summary: "a container's memory, as in 4g or 512m, or default" },
  cpus: { value: 'COUNT', summary: "a container's processors, as in 2 or 0.5, or default" },
  workspace: { value: 'SIZE', summary: 'what a workspace may hold, as in 20g or 512m, or default' },
  background: { value: 'WHAT', summary: 'what a command leaves running: keep, end, or default' },
  root: { value: 'WHETHER', summary: 'commands are root in their container, to install packages: on or off' },
} as const;

const MOST_MS = 7 * 86_400_000;
const LEAST_MEMORY_BYTES = 64 * 1024 ** 2;
const MOST_MEMORY_BYTES = 1024 ** 4;
const LEAST_WORKSPACE_BYTES = 32 * 1024 ** 2;
const MOST_WORKSPACE_BYTES = 16 * 1024 ** 4;
const LEAST_CPUS = 0.1;
const MOST_CPUS = 512;
const UNIT_BYTES: Record<string, number> = { m: 1024 ** 2, g: 1024 ** 3 };

/**
 * Those that are given; null for `default`.
 *
 * @throws {CliError} that says what was expected
 */
export function limitsOf(options: Options): Partial<RepositoryLimits> {
  const written = options as Record<string, string | undefined>;
  const { 'command-timeout': time, memory, cpus, workspace, background, root } = written;
  return {
    ...(time !== undefined && { commandTimeoutMs: orDefault(time, timeOf) }),
    ...(memory !== undefined && { memoryBytes: orDefault(memory, memoryOf) }),
    ...(cpus !== undefined && { cpus: orDefault(cpus, cpusOf) }),
    ...(workspace !== undefined && { workspaceBytes: orDefault(workspace, workspaceOf) }),
    ...(background !== undefined && { backgroundProcesses: orDefault(background, backgroundOf) }),
    ...(root !== undefined && { root: rootOf(root) }),
  };
}

const orDefault = <T>(written: string, read: (written: string) => T): T | null =>
  written === 'default' ? null : read(written);

function timeOf(written: string): number {
  const timeMs = durationOf(written.toLowerCase());
  if (timeMs !== null && timeMs >= 1000 && timeMs <= MOST_MS) return timeMs;
  throw usageError(
    `--command-timeout: expected a time up to 7d, as in 2h or 90m, or default; got ${written}`,
  );
}

/** NaN where it is no size. */
function sizeOf(written: string): number {
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?)([mg])i?b?$/.exec(written.toLowerCase()) ?? [];
  return Math.round(Number(count) * (UNIT_BYTES[unit] ?? Number.NaN));
}

function memoryOf(written: string): number {
  const sizeBytes = sizeOf(written);
  if (sizeBytes >= LEAST_MEMORY_BYTES && sizeBytes <= MOST_MEMORY_BYTES) return sizeBytes;
  throw usageError(`--memory: expected a size from 64m up, as in 4g or 512m, or default; got ${written}`);
}

function workspaceOf(written: string): number {
  const sizeBytes = sizeOf(written);
  if (sizeBytes >= LEAST_WORKSPACE_BYTES && sizeBytes <= MOST_WORKSPACE_BYTES) return sizeBytes;
  throw usageError(`--workspace: expected a size from 32m up, as in 20g or 512m, or default; got ${written}`);
}

function cpusOf(written: string): number {
  const count = Number(written);
  if (/^\d+(\.\d+)?$/.test(written) && count >= LEAST_CPUS && count <= MOST_CPUS) return count;
  throw usageError(`--cpus: expected a number from 0.1 up, as in 2 or 0.5, or default; got ${written}`);
}

function backgroundOf(written: string): 'keep' | 'end' {
  if (written === 'keep' || written === 'end') return written;
  throw usageError(`--background: expected keep, end or default; got ${written}`);
}

function rootOf(written: string): boolean {
  if (written === 'on' || written === 'off') return written === 'on';
  throw usageError(`--root: expected on or off; got ${written}`);
}

/** As a list shows them: what differs from the server's. */
export function shownLimits(limits: RepositoryLimits): string {
  const { commandTimeoutMs, memoryBytes, cpus, workspaceBytes, backgroundProcesses, root } = limits;
  const own = [
    ...(commandTimeoutMs === null ? [] : [durationInWords(commandTimeoutMs)]),
    ...(memoryBytes === null ? [] : [sizeInWords(memoryBytes)]),
    ...(cpus === null ? [] : [`${cpus} CPU${cpus === 1 ? '' : 's'}`]),
    ...(workspaceBytes === null ? [] : [`workspace: ${sizeInWords(workspaceBytes)}`]),
    ...(backgroundProcesses === null ? [] : [`background: ${backgroundProcesses}`]),
    ...(root ? ['as root'] : []),
  ];
  return own.join(', ') || '(default)';
}

/** What to say when some were set. */
export function changedLimits(change: Partial<RepositoryLimits>, now: RepositoryLimits): string[] {
  const isForNext = change.memoryBytes !== undefined || change.cpus !== undefined;
  const names = [
    'commandTimeoutMs',
    'memoryBytes',
    'cpus',
    'workspaceBytes',
    'backgroundProcesses',
    'root',
  ] as const;
  return [
    ...(names.some((name) => change[name] !== undefined) ? [`Its commands: ${shownLimits(now)}.`] : []),
    ...(isForNext
      ? [
          "Memory and CPUs are those of a thread's next container; one that is there keeps its own until it goes (by itself when it is idle, or by a mail that says stop).",
        ]
      : []),
    ...(change.root === undefined ? [] : [change.root ? ROOT_ON : ROOT_OFF]),
    ...(change.workspaceBytes !== undefined
      ? [
          'A workspace that is there grows when its container is started the next time, and never shrinks: a mail that says fresh makes a new one.',
        ]
      : []),
  ];
}

const ROOT_ON =
  "They are root from a thread's next container on: a mail that says stop ends the one that is there. What they install outside of /workspace goes with the container. What that means for this machine: docs/security.md, Root.";
const ROOT_OFF =
  "They are an ordinary user from a thread's next container on; one that is there stays root's until it goes (by itself when it is idle, or by a mail that says stop). /workspace is given to that user.";
