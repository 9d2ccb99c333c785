/** What a command changed in its repository. */
export type Changes = {
  files: ChangedFile[];
  isComplete: boolean;
  /** Why it is not complete. */
  reason?: string;
};

export type ChangedFile = {
  /** A Buffer where the name is no UTF-8. */
  path: string | Buffer;
  /** Lines; `null` for a binary file. */
  added: number | null;
  removed: number | null;
  /** Where a renamed file was before. */
  oldPath?: string | Buffer;
};

/** What ran short in the container while a command ran, as the kernel has counted it: see inside/ending.sh. */
export type Shortages = {
  /** Processes that the kernel ended, of whichever command: the memory was at its limit. */
  oomKills: number;
  memoryLimitBytes: number | null;
  /** Processes and threads that could not be started, as there were as many as the container may have. */
  refusedProcesses: number;
  processLimit: number | null;
  /** How full they were at its end; none where it went well. `freeFiles`: null where that has no limit. */
  disks: Disk[];
  /** For want of memory the whole container was ended. */
  hasEndedContainer?: boolean;
};

type Disk = { path: string; freeBytes: number; totalBytes: number; freeFiles: number | null };

/** What a script of inside/ says before the output: see `record_facts` in inside/common.sh. */
export type Facts = {
  /** Other than `result`: there is nothing else. */
  word: 'result' | 'already-started' | 'never-started' | 'unknown' | 'not-ready' | 'no-claim';
  /** `null`: the command did not come to its end. */
  exitCode: number | null;
  durationMs: number | null;
  branch: string | null;
  changes: Changes;
  backgroundProcesses: number;
  /** The first of them, as in `sleep 100 (pid 42)`. */
  backgroundNames: string[];
  /** Those that were ended with the command. */
  droppedProcesses: number;
  droppedNames: string[];
  /** So many bytes of the output are missing after the first so many. */
  gap: { afterBytes: number; missingBytes: number };
  wasStopped: boolean;
  /** It was stopped because somebody wanted it to. */
  wasCancelled: boolean;
  isOutputLost: boolean;
  /** It was to end with all it had started, and some of that goes on: who begins another and ends is not killed in time. */
  isUnended: boolean;
  shortages: Shortages | null;
  /** False only where it was said: the workspace is as the last save left it. */
  isUnsaved: boolean;
  /** It has left something to be mailed. */
  hasOutbox: boolean;
};

const MOST_FILES = 1000;
/** More than any command gets to, and little enough to be added up, stored and shown. */
const MOST_PROCESSES = 100_000;
const MOST_NAMED = 5;
const LONGEST_NAME = 60;
const MOST_GAP_BYTES = 2 ** 50;
const LONGEST_MS = 365 * 24 * 3600_000;
const LONGEST_BRANCH = 255;
const words = ['already-started', 'never-started', 'unknown', 'not-ready', 'no-claim'] as const;

/**
 * Reads what a script said. The commands of the thread could have written it themselves: anything is possible in it.
 *
 * @returns `null` when it is not what such a script says
 */
export function parseFacts(bytes: Buffer, isCut: boolean): Facts | null {
  const numstatAt = bytes.indexOf('\nnumstat\n');
  const lines = bytes
    .subarray(0, numstatAt === -1 ? bytes.length : numstatAt)
    .toString()
    .split('\n');
  if (lines[0] !== 'threadbox 1') return null;
  const values = new Map(lines.slice(1).map(splitLine));
  const word = words.find((word) => values.has(word)) ?? 'result';
  if (word === 'result' && numstatAt === -1) return null;
  const numstat = numstatAt === -1 ? Buffer.alloc(0) : bytes.subarray(numstatAt + '\nnumstat\n'.length);
  const [afterBytes = 0, missingBytes = 0] = (values.get('gap') ?? '')
    .split(' ')
    .map((text) => Math.min(wholeNumber(text) ?? 0, MOST_GAP_BYTES));
  return {
    word,
    exitCode: exitCode(values.get('exit')),
    durationMs: durationMs(values.get('time')),
    branch: branchName(values.get('branch')),
    changes: changes(values.get('changes') ?? 'partial nothing was said about it', numstat, isCut),
    backgroundProcesses: Math.min(wholeNumber(values.get('background')) ?? 0, MOST_PROCESSES),
    backgroundNames: processNames(lines, 'process'),
    droppedProcesses: Math.min(wholeNumber(values.get('dropped')) ?? 0, MOST_PROCESSES),
    droppedNames: processNames(lines, 'dropped-process'),
    gap: { afterBytes, missingBytes },
    wasStopped: values.has('stopped'),
    wasCancelled: values.get('stopped') === 'cancelled',
    isOutputLost: values.has('lost'),
    isUnended: values.has('unended'),
    shortages: shortages(values),
    isUnsaved: !values.has('saved'),
    hasOutbox: values.has('outbox'),
  };
}

function processNames(lines: readonly string[], key: string): string[] {
  const found = lines.flatMap((line) => {
    const [name, rest] = splitLine(line);
    const [pid, words] = splitLine(rest);
    return name === key && /^\d{1,10}$/.test(pid)
      ? [`${words.length > LONGEST_NAME ? `${words.slice(0, LONGEST_NAME)}…` : words} (pid ${pid})`]
      : [];
  });
  return found.slice(0, MOST_NAMED);
}

/** @returns `null` where the kernel's counts could not be seen, or not all the time */
function shortages(values: ReadonlyMap<string, string>): Shortages | null {
  if (!values.has('counted')) return null;
  const counts = (name: string) => (values.get(name) ?? '').split(' ').map(wholeNumber);
  const [oomKills, memoryLimitBytes = null] = counts('oom');
  const [refusedProcesses, processLimit = null] = counts('pids');
  const blocks = counts('disks');
  const disks = DISKS.flatMap((path, at) => {
    const [free, all, size, freeInodes, inodes] = blocks.slice(5 * at, 5 * at + 5);
    if (typeof free !== 'number' || typeof all !== 'number' || typeof size !== 'number') return [];
    return [
      {
        path,
        freeBytes: free * size,
        totalBytes: all * size,
        freeFiles: inodes ? (freeInodes ?? null) : null,
      },
    ];
  });
  return {
    oomKills: oomKills ?? 0,
    memoryLimitBytes,
    refusedProcesses: refusedProcesses ?? 0,
    processLimit,
    disks,
  };
}

/** In the order of inside/ending.sh. */
const DISKS = ['/workspace', '/tmp', '/dev/shm'];

function changes(verdict: string, numstat: Buffer, isCut: boolean): Changes {
  const files = parseNumstat(numstat);
  const reasons: string[] = [];
  if (verdict.startsWith('partial')) reasons.push(verdict.slice('partial '.length) || 'git could not tell');
  if (isCut || files.length > MOST_FILES)
    reasons.push(`only ${Math.min(files.length, MOST_FILES)} files are listed`);
  if (reasons.length === 0) return { files, isComplete: true };
  return { files: files.slice(0, MOST_FILES), isComplete: false, reason: reasons.join('; ') };
}

/** The output of `git diff-tree --numstat -z`: see "OTHER DIFF FORMATS" in git-diff-tree(1). What is odd is left out. */
export function parseNumstat(bytes: Buffer): ChangedFile[] {
  const records: Buffer[] = [];
  for (let from = 0, to = bytes.indexOf(0); to !== -1; from = to + 1, to = bytes.indexOf(0, from)) {
    records.push(bytes.subarray(from, to));
  }
  const files: ChangedFile[] = [];
  for (let index = 0; index < records.length; index += 1) {
    const record = records[index] ?? Buffer.alloc(0);
    const [, added, removed] = /^(\d+|-)\t(\d+|-)\t/.exec(record.toString('latin1')) ?? [];
    if (added === undefined || removed === undefined) continue;
    const counts = { added: wholeNumber(added), removed: wholeNumber(removed) };
    const name = record.subarray(added.length + removed.length + 2);
    if (name.length > 0) {
      files.push({ path: fileName(name), ...counts });
      continue;
    }
    const [oldName, newName] = records.slice(index + 1, index + 3);
    if (oldName && newName) files.push({ path: fileName(newName), oldPath: fileName(oldName), ...counts });
    index += 2;
  }
  return files;
}

function fileName(bytes: Buffer): string | Buffer {
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? text : Buffer.from(bytes);
}

function splitLine(line: string): [string, string] {
  const at = line.indexOf(' ');
  return at === -1 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
}

function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

function exitCode(text: string | undefined): number | null {
  const status = wholeNumber(text);
  return status !== null && status <= 255 ? status : null;
}

function branchName(text: string | undefined): string | null {
  return text?.replaceAll(/\p{Cc}/gu, '').slice(0, LONGEST_BRANCH) || null;
}

/** From two clock readings in seconds; some locales write a comma. */
function durationMs(text: string | undefined): number | null {
  const [started, ended] = (text ?? '').split(' ').map((part) => Number(part.replace(',', '.')));
  if (started === undefined || ended === undefined || !Number.isFinite(ended - started)) return null;
  return Math.min(LONGEST_MS, Math.max(0, Math.round((ended - started) * 1000)));
}
