import { gzipSync } from 'node:zlib';
import { withoutTokens } from '../secrets/well-known.ts';
import { durationInWords, plural } from './amounts.ts';
import { logCutWords } from './attachment-words.ts';
import { changesOf, type ChangesFacts } from './changes-in-words.ts';
import { endingNotes, lastText, meaningOf, type OversizeFacts, type ShortageFacts } from './ending-notes.ts';
import { renderOutput, type OutputBytes } from './render-output.ts';
import { renderMail } from './templates.ts';
import { moreTime, type TimeAllowed } from './time-in-words.ts';
import { visibleLine, visibleText } from './visible-text.ts';

/** What a command wrote, and all of it compressed as far as that was kept. */
export type OutputFacts = OutputBytes & { log: { gzip: Buffer; isComplete: boolean } | null };

/**
 * Everything an answer tells. `failed`: the command could not be run at all, and `error` says why; `not_begun`: it was
 * cancelled before.
 */
export type AnswerFacts = {
  command: string;
  result: 'exited' | 'timed_out' | 'cancelled' | 'interrupted' | 'failed' | 'not_begun';
  exitCode: number | null;
  durationMs: number;
  branch: string | null;
  changes: ChangesFacts;
  output: OutputFacts;
  threadId: string;
  repositoryName: string;
  containerName: string;
  backgroundProcesses: number;
  /** The first of them by their names. */
  backgroundNames: readonly string[];
  droppedProcesses: number;
  droppedNames: readonly string[];
  timeAllowed: TimeAllowed;
  shortages: ShortageFacts | null;
  /** Its workspace takes more than it may, where that is measured. */
  oversize?: OversizeFacts | null;
  notes: readonly string[];
  error?: string | undefined;
  /** What the command has left to be mailed. */
  files?: readonly Attachment[];
};

type Attachment = { fileName: string; contentType: string; content: Buffer };
export type RenderedAnswer = { text: string; html: string; attachments: Attachment[] };

/** All of the output, where the mail shows a part of it. */
export const LOG_NAME = 'output.log.gz';
/** Of a process, with its number. */
const LONGEST_NAME = 100;
const COMMAND_LINES = 6;
const COMMAND_LINE_CHARACTERS = 160;

/** The mail that answers a command. Whatever the command wrote, it is safe to send. */
export function renderAnswer(facts: AnswerFacts): RenderedAnswer {
  const isAllKept = facts.output.log?.isComplete ?? facts.output.omittedBytes === 0;
  const output = renderOutput(facts.output, isAllKept ? LOG_NAME : null);
  const log = output.isCut ? keptLog(facts.output) : null;
  const outcome = outcomeOf(facts);
  const error = facts.error === undefined ? '' : visibleText(facts.error.slice(0, 4000));
  const values = {
    ...outcome,
    title: `${outcome.headline}${outcome.took}`,
    preheader: [`${outcome.headline}${outcome.took}`, output.lastLine.slice(0, 110).toWellFormed()]
      .filter(Boolean)
      .join(' · '),
    command: commandLines(facts.command),
    hasRun: hasRun(facts.result),
    refusal: hasRun(facts.result) ? '' : error,
    output,
    remarks: [
      ...(hasRun(facts.result) && error !== '' ? [error] : []),
      ...endingNotes({ ...facts, lastOutput: lastText(facts.output) }),
      ...notesOf(facts, log?.isComplete === false),
      ...facts.notes.map((note) => visibleLine(note, 500)),
    ],
    changes: changesOf(facts.changes),
    branch: facts.branch === null ? '' : visibleLine(facts.branch, 120),
    repositoryName: visibleLine(facts.repositoryName),
    threadId: visibleLine(facts.threadId),
    containerName: visibleLine(facts.containerName),
  };
  const ownLog = log ? [{ fileName: LOG_NAME, contentType: 'application/gzip', content: log.gzip }] : [];
  const attachments = [...ownLog, ...(facts.files ?? [])];
  const kind = facts.result === 'interrupted' ? 'interrupted' : 'answer';
  return { ...renderMail(kind, values), attachments };
}

type Tone = 'good' | 'bad' | 'unsure' | 'calm';
type Outcome = { tone: Tone; sign: string; headline: string; took: string; next: string };

const SIGNS: Readonly<Record<Tone, string>> = { good: '✓', bad: '✕', unsure: '?', calm: '■' };

const GO_ON = 'Reply with your next command. It runs in the same container, where this one left off.';

const OUTCOMES: {
  [Result in AnswerFacts['result']]: (facts: AnswerFacts) => Omit<Outcome, 'sign' | 'took'>;
} = {
  exited: ({ exitCode, shortages }) => ({
    tone: exitCode === 0 ? 'good' : 'bad',
    headline: `Exit code ${exitCode ?? 'unknown'}${meaningOf(exitCode, shortages)}`,
    next: GO_ON,
  }),
  timed_out: ({ timeAllowed }) => ({
    tone: 'bad',
    headline: 'Stopped at the time limit',
    next: `Reply with your next command; everything that this one had started was ended, too. It was given ${durationInWords(timeAllowed.timeoutMs)}. ${moreTime(timeAllowed)}`,
  }),
  cancelled: ({ oversize }) => ({
    tone: oversize?.wasStopped === true ? 'bad' : 'calm',
    headline: oversize?.wasStopped === true ? 'Stopped: its workspace became too large' : 'Cancelled',
    next: 'It was ended before its time, and everything it had started with it. Look at what it has done (git status), or reply with your next command.',
  }),
  not_begun: () => ({
    tone: 'calm',
    headline: 'Cancelled before it began',
    next: 'Reply with your next command.',
  }),
  interrupted: () => ({
    tone: 'unsure',
    headline: 'Interrupted',
    next: 'The command was cut off, and its end is not known. It was not run again. Look at what it has done (git status), then send it once more if you need to.',
  }),
  failed: () => ({
    tone: 'bad',
    headline: 'Could not run this command',
    next: 'Send it again once the reason is gone.',
  }),
};

const hasRun = (result: AnswerFacts['result']) => result !== 'failed' && result !== 'not_begun';

function outcomeOf(facts: AnswerFacts): Outcome {
  const { result, durationMs } = facts;
  const took = !hasRun(result) ? '' : ` after ${durationInWords(durationMs)}`;
  const outcome = OUTCOMES[result](facts);
  return { ...outcome, sign: SIGNS[outcome.tone], took };
}

function notesOf(facts: AnswerFacts, isLogCut: boolean): string[] {
  const { backgroundProcesses, backgroundNames, droppedProcesses, droppedNames, result } = facts;
  const notes = [];
  if (backgroundProcesses > 0) {
    // Of those that ended by themselves nobody knows which of the thread's commands has started it.
    const whose = result === 'timed_out' || result === 'cancelled' ? ' of earlier commands' : '';
    const goes = backgroundProcesses === 1 ? 'goes' : 'go';
    notes.push(
      `${processes(backgroundProcesses)}${whose} ${goes} on in the background${named(backgroundNames, backgroundProcesses)}`,
    );
  }
  if (droppedProcesses > 0) {
    const were = droppedProcesses === 1 ? 'was' : 'were';
    notes.push(
      `${processes(droppedProcesses)} it left in the background ${were} ended with it, as this Threadbox is set${named(droppedNames, droppedProcesses)}`,
    );
  }
  if (isLogCut) notes.push(logCutWords(LOG_NAME));
  return notes;
}

const processes = (count: number): string => `${count} ${count === 1 ? 'process' : 'processes'}`;

function named(names: readonly string[], count: number): string {
  if (names.length === 0) return '.';
  const more = count > names.length ? `, and ${count - names.length} more` : '';
  return `: ${names.map((name) => visibleLine(name, LONGEST_NAME)).join(', ')}${more}.`;
}

function commandLines(command: string): string[] {
  const lines = visibleText(withoutTokens(command.slice(0, 20_000)))
    .trim()
    .split('\n');
  const shown = lines.slice(0, lines.length > COMMAND_LINES ? COMMAND_LINES - 1 : COMMAND_LINES);
  const cut = shown.map((line) =>
    visibleLine(line.replaceAll('\t', '  ').trimEnd(), COMMAND_LINE_CHARACTERS),
  );
  return lines.length > shown.length
    ? [...cut, `… (${plural(lines.length - shown.length, 'more line')})`]
    : cut;
}

/** The whole output, as it was kept; or made from the two ends where they meet. */
function keptLog({ head, tail, omittedBytes, log }: OutputFacts): OutputFacts['log'] {
  if (log !== null || omittedBytes > 0) return log;
  return { gzip: gzipSync(Buffer.concat([head, tail])), isComplete: true };
}
