import { sizeInWords } from './amounts.ts';
import { misreadNote } from './misread-note.ts';
import { visibleLine } from './visible-text.ts';

/** What ran short while a command ran, as it was measured in its container. */
export type ShortageFacts = {
  oomKills: number;
  memoryLimitBytes: number | null;
  refusedProcesses: number;
  processLimit: number | null;
  disks: readonly { path: string; freeBytes: number; totalBytes: number; freeFiles: number | null }[];
  /** For want of memory the whole container was ended. */
  hasEndedContainer?: boolean;
};

/** What a workspace takes and may take, and whether a command was stopped for that. */
export type OversizeFacts = { usedBytes: number; maxBytes: number; wasStopped: boolean };

/** How a command ended, as far as it tells what kept it from its work. */
export type EndingFacts = {
  command: string;
  result: 'exited' | 'timed_out' | 'cancelled' | 'interrupted' | 'failed' | 'not_begun';
  exitCode: number | null;
  /** `null`: it could not be measured. */
  shortages: ShortageFacts | null;
  oversize?: OversizeFacts | null;
  /** The end of what it wrote, without colours. */
  lastOutput: string;
  repositoryName: string;
};

const LAST_BYTES = 4000;
// eslint-disable-next-line no-control-regex -- what is taken away begins with one
const ESCAPES = /\u001b(?:\[[\d;:?<=>]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.)/g;

/** The end of an output as text: without colours, and of a line that was written over only the last. */
export function lastText({ head, tail }: { head: Buffer; tail: Buffer }): string {
  const bytes = tail.length > 0 ? tail : head;
  const text = bytes.subarray(-LAST_BYTES).toString().replaceAll(ESCAPES, '').replaceAll('\r\n', '\n');
  return text.replaceAll(/^.*\r(?=.)/gm, '').replaceAll('\r', '');
}

/** What kept a command from its work, each in words and with what to do about it; none for most. */
export function endingNotes(facts: EndingFacts): string[] {
  const { shortages } = facts;
  const notes = shortages
    ? [
        memoryNote(shortages, facts.repositoryName),
        processNote(shortages),
        diskNote(shortages, facts.lastOutput),
      ]
    : [];
  return [...notes, oversizeNote(facts), questionNote(facts), replacedNote(facts), misreadNote(facts)].filter(
    (note) => note !== null,
  );
}

/** Shells report a process ended by a signal as 128 + its number (signal(7)); 126 and 127 are their own. */
export function meaningOf(exitCode: number | null, shortages: ShortageFacts | null): string {
  const killed = shortages === null ? 'killed, perhaps for want of memory' : 'killed: signal KILL';
  const words: Record<number, string> = {
    126: 'cannot be executed',
    127: 'command not found',
    129: 'hung up: signal HUP',
    130: 'interrupted: signal INT',
    131: 'quit: signal QUIT',
    132: 'illegal instruction: signal ILL',
    134: 'aborted: signal ABRT',
    135: 'bus error: signal BUS',
    136: 'arithmetic error: signal FPE',
    137: (shortages?.oomKills ?? 0) > 0 ? 'killed for want of memory' : killed,
    139: 'segmentation fault: signal SEGV',
    141: 'its output was closed: signal PIPE',
    143: 'terminated: signal TERM',
    159: 'forbidden system call: signal SYS',
  };
  const word = words[exitCode ?? 0];
  return word === undefined ? '' : ` (${word})`;
}

function memoryNote(
  { oomKills, memoryLimitBytes, hasEndedContainer = false }: ShortageFacts,
  repositoryName: string,
): string | null {
  if (oomKills === 0) return null;
  const killed = oomKills === 1 ? '1 process' : `${oomKills} processes`;
  const ended = hasEndedContainer
    ? 'was ended with all that ran in it (its /tmp is empty now)'
    : `${killed} had to be ended for it`;
  const limit = memoryLimitBytes === null ? 'its limit' : `its limit of ${sizeInWords(memoryLimitBytes)}`;
  const more = memoryLimitBytes === null ? '4g' : sizeToType(2 * memoryLimitBytes);
  return (
    `Out of memory: its container came to ${limit}, and ${ended}. ` +
    'Let it do less at a time (fewer workers, smaller pieces); what lies in /tmp counts, too. ' +
    `Whoever runs this Threadbox can allow more: threadbox repo set ${visibleLine(repositoryName, 80)} --memory ${more}`
  );
}

/** As `repo set` takes it. */
function sizeToType(sizeBytes: number): string {
  const gigabytes = sizeBytes / 1024 ** 3;
  return Number.isInteger(gigabytes) ? `${gigabytes}g` : `${Math.ceil(sizeBytes / 1024 ** 2)}m`;
}

function processNote({ refusedProcesses, processLimit }: ShortageFacts): string | null {
  if (refusedProcesses === 0) return null;
  const limit = processLimit === null ? 'may have' : `may have, ${processLimit}`;
  return (
    `Too many processes: its container had as many processes and threads as it ${limit}, and more could not be started. ` +
    'Let it run fewer at the same time (make -j2, fewer workers); what goes on in the background counts, too.'
  );
}

const FULL_BYTES = 1024 ** 2;
const DISK_WORDS = /no space left on device|disk quota exceeded|\bENOSPC\b|\bEDQUOT\b/i;

/** A program that finds a disk full mostly takes away what it had begun to write: then only its words tell. */
function diskNote({ disks }: ShortageFacts, lastOutput: string): string | null {
  const full = disks.filter(({ freeBytes, freeFiles }) => freeBytes < FULL_BYTES || freeFiles === 0);
  const saysSo = DISK_WORDS.test(lastOutput);
  if (disks.length === 0 || (full.length === 0 && !saysSo)) return null;
  const shown = (full.length > 0 ? full : disks).map(
    ({ path, freeBytes, totalBytes, freeFiles }) =>
      `${path} has ${freeFiles === 0 ? 'no room for another file' : `${sizeInWords(freeBytes)} of ${sizeInWords(totalBytes)} left`}`,
  );
  const what = full.length > 0 ? 'Disk full' : 'It met a full disk; by its end there was room again';
  const isWorkspace = full.length === 0 || full.some(({ path }) => path === '/workspace');
  return (
    `${what}: ${shown.join(', ')}. ` +
    (isWorkspace
      ? 'See what is large (du -sh /workspace/* ~/.cache), remove what is not needed, and run it again.'
      : 'Those places are in memory; put what is large below /workspace: mkdir -p ~/tmp && export TMPDIR=~/tmp')
  );
}

/** Where a workspace took no new files before a command could begin, and its container was started anew for that. */
export const startedAnewNote =
  'Your workspace took no new files any more, as where the disk of the machine was full, so your container was started anew: ' +
  'what ran in the background has ended, /tmp is empty, and what was written last may be missing. See that your files are as ' +
  'you want them.';

/** Where nothing keeps a workspace to its size, it is looked at. */
function oversizeNote({ oversize, repositoryName }: EndingFacts): string | null {
  if (!oversize) return null;
  const { usedBytes, maxBytes, wasStopped } = oversize;
  const more = sizeToType(2 * maxBytes);
  return (
    `Workspace too large: it takes ${sizeInWords(usedBytes)} and may take ${sizeInWords(maxBytes)}${wasStopped ? ', so the command was stopped' : '; a command that adds to it is stopped'}. ` +
    'See what is large (du -sh /workspace/* ~/.cache) and remove what is not needed. ' +
    `Whoever runs this Threadbox can allow more: threadbox repo set ${visibleLine(repositoryName, 80)} --workspace ${more}`
  );
}

/** Quotation marks that no keyboard has, a dash where an option begins, a space that is none to bash. */
const REPLACED = /[\u2018-\u201f]|(?<=^|\s)[\u2013\u2014](?=[\p{L}\p{N}])|\u00a0/gmu;

/** Phones and word processors put them in while somebody types. What was meant nobody knows, so it is run as it came. */
function replacedNote({ result, exitCode, command }: EndingFacts): string | null {
  if (result !== 'exited' || exitCode === 0) return null;
  const found = new Set(command.slice(0, LAST_BYTES).match(REPLACED));
  if (found.size === 0) return null;
  const shown = [...found].map((sign) => (sign === '\u00a0' ? 'no-break spaces' : sign)).join(' ');
  return (
    `The command has ${shown} in it, which mail programs put in the place of what is typed, and which are letters to bash. ` +
    'It wants \' and " for quotes, -- for options: on a phone, switch off Smart Punctuation for that.'
  );
}

/** What programs say when they wanted to ask and found nobody there; each with what to do. */
const COULD_NOT_ASK: readonly [said: RegExp, advice: string][] = [
  [
    /could not read (?:username|password) for|terminal prompts disabled/i,
    'It wanted a user name or a password, and nobody can type one in. Give it to the program in its environment or in a file of the workspace.',
  ],
  [
    /^sudo: |no new privileges/im,
    'Commands run as an ordinary user, and sudo cannot work here. Install what is missing below your home directory or in the repository.',
  ],
  [
    /host key verification failed/i,
    'ssh wanted to ask whether it may trust that machine. Put its key into ~/.ssh/known_hosts first, as with ssh-keyscan.',
  ],
];

const NOBODY_THERE =
  /\[y\/n\]\s*abort\.?$|EOFError|EOF when reading|force closed the prompt|ERR_USE_AFTER_CLOSE|(?:stdin|input(?: device)?) is not an? (?:tty|terminal)|not an interactive (?:terminal|session)/im;

const QUESTION =
  /[[(]\s*y(?:es)?\s*\/\s*no?\b[^\])]{0,40}[\])]\s*[?:>]?$|(?:password|passphrase|user ?name|verification code)\b[^\n]{0,60}[:>]$|^\?\s\S|press (?:any key|enter|return)|^(?:package name|version|description|entry point|test command|git repository|keywords|author|license):\s*(?:\(.*\))?$|\b(?:continue|proceed|overwrite|replace|are you sure|is this ok|ok to proceed)\b[^\n]{0,80}\?\s*(?:[[(].*[\])])?\s*:?$|^(?:please )?(?:enter|type|select|choose)\b[^\n]{0,80}[?:>]$/i;

const LAST_LINES = 15;

/** Its standard input is empty: what asks gets no answer, and gives up or asks for ever. */
function questionNote({ result, exitCode, lastOutput }: EndingFacts): string | null {
  const isBad = result === 'timed_out' || (result === 'exited' && exitCode !== 0);
  if (!isBad && result !== 'exited') return null;
  const lines = lastOutput.trimEnd().split('\n').slice(-LAST_LINES);
  const last = (lines.at(-1) ?? '').trim().slice(-300);
  const said = isBad ? COULD_NOT_ASK.find(([words]) => words.test(lines.join('\n'))) : undefined;
  if (said) return said[1];
  // One that went well asked for something only where it stopped amid a line.
  const asks = QUESTION.test(last) && (isBad || !/\n\s*$/.test(lastOutput));
  if (!asks && !(isBad && NOBODY_THERE.test(lines.join('\n')))) return null;
  const what = asks ? `It ended with a question (${visibleLine(last, 120)})` : 'It asked a question';
  return `${what}, and nobody can answer while it runs. Run it with its option for that, such as -y, --yes or --non-interactive, or write the answers before it: printf 'y\\n' | command`;
}
