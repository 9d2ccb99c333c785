import { durationInWords, plural } from './amounts.ts';
import { PATCH_WORDS, patchCutWords } from './attachment-words.ts';
import { changesOf, type ChangedFile } from './changes-in-words.ts';
import { momentInWords } from './moments.ts';
import { facts, firstLine, lastOutput, words, type Block, type Tellers, type Told } from './notice-blocks.ts';
import { visibleLine } from './visible-text.ts';
import { workInWords } from './work-in-words.ts';

/** What is answered to a control word that asks. */
export type LookNotice =
  | {
      kind: 'status';
      running: { command: string; since: Date; lastLines: string | null } | null;
      queued: readonly string[];
      container: 'running' | 'stopped' | 'none';
      goesAt: Date | null;
      lastCommand: { command: string; endedAt: Date; exitCode: number | null; state: string } | null;
      /** Answers that did not arrive. */
      undelivered: readonly {
        writtenAt: Date;
        /** Of a copy: for whom it was. */
        copyFor: string | null;
        error: string;
        statusCode: string | null;
      }[];
      saved: { savedAt: Date; filesModified: number; expiresAt: Date | null } | null;
      now: Date;
    }
  | {
      kind: 'diff';
      files: readonly ChangedFile[];
      patch: Buffer | null;
      isCut: boolean;
      /** Of a patch that is not shown: the secrets in it. */
      withheld?: readonly string[];
    }
  | { kind: 'log'; commands: readonly LoggedCommand[]; now: Date };

type LoggedCommand = {
  number: number;
  command: string;
  state: string;
  exitCode: number | null;
  startedAt: Date | null;
  durationMs: number | null;
};

/** All that is changed, with the answer to `diff`. */
export const PATCH_NAME = 'changes.patch';
const MOST_QUEUED = 5;
const MOST_LOGGED = 30;

export const LOOK_TELLERS: Tellers<LookNotice> = { status, diff, log };

const TOO_MUCH =
  'There is too much of it, or it takes too long, to be told here. A command in your container can tell more: git diff --stat';

type Status = Extract<LookNotice, { kind: 'status' }>;

function status(notice: Status): Told {
  const { running, queued, now } = notice;
  const rows = [
    { label: 'Container', value: containerInWords(notice) },
    ...queuedRows(queued),
    ...(notice.lastCommand ? [{ label: 'Last command', value: lastInWords(notice.lastCommand, now) }] : []),
    { label: 'Saved', value: savedInWords(notice) },
    ...notice.undelivered.map((mail) => ({ label: 'Not delivered', value: undeliveredInWords(mail, now) })),
  ];
  return {
    title: statusTitle(notice),
    blocks: [
      ...(running ? [lastOutput(running.command, running.lastLines).block] : []),
      facts(rows),
      words(nextInWords(notice)),
    ],
  };
}

function nextInWords({ running, queued, goesAt }: Status): string {
  if (running) return 'Reply with your next command, or with the one word cancel to end this one.';
  if (goesAt !== null)
    return 'Reply with your next command, or with the one word extend to keep the container longer.';
  return `Reply with your next command${queued.length > 0 ? ', or with cancel to drop the one that comes next' : ''}.`;
}

function statusTitle({ running, queued, now }: Status): string {
  if (running) {
    const tookMs = now.getTime() - running.since.getTime();
    return `A command has been running for ${durationInWords(tookMs)}, since ${momentInWords(running.since, now)}`;
  }
  if (queued.length > 0) return `${plural(queued.length, 'command')} waiting, none running`;
  return 'Nothing is running';
}

function containerInWords({ container, goesAt, saved, now }: Status): string {
  if (container === 'running') {
    return goesAt === null
      ? 'in use'
      : `kept until ${momentInWords(goesAt, now)}: ${durationInWords(goesAt.getTime() - now.getTime())} from now, and longer if a command runs`;
  }
  if (container === 'stopped') return 'stopped; your next command starts it';
  return `none; your next command gets one${saved ? ', with your saved work' : ''}`;
}

function queuedRows(queued: readonly string[]): { label: string; value: string }[] {
  const shown = queued.slice(0, queued.length > MOST_QUEUED ? MOST_QUEUED - 1 : MOST_QUEUED).map(firstLine);
  const more = queued.length > shown.length ? [`and ${queued.length - shown.length} more`] : [];
  return [...shown, ...more].map((value, at) => ({ label: at === 0 ? 'Waiting' : '', value }));
}

function lastInWords(last: NonNullable<Status['lastCommand']>, now: Date): string {
  const outcome = outcomeInWords(last.state, last.exitCode);
  return `${firstLine(last.command)} · ${outcome}, ${momentInWords(last.endedAt, now)}`;
}

function undeliveredInWords(mail: Status['undelivered'][number], now: Date): string {
  const words = mail.error.replace(/^the SMTP server \S+ refused the mail: /, '');
  const code = mail.statusCode === null || words.includes(mail.statusCode) ? '' : `${mail.statusCode} `;
  const copy = mail.copyFor === null ? '' : `, the copy for ${visibleLine(mail.copyFor, 80)}`;
  return `my mail of ${momentInWords(mail.writtenAt, now)}${copy}: ${code}${visibleLine(words, 160)}`;
}

function savedInWords({ saved, now }: Status): string {
  if (saved === null) return 'nothing yet';
  const work = workInWords(saved.filesModified, 0) ?? 'no files changed';
  const end = saved.expiresAt === null ? '' : `; kept until ${momentInWords(saved.expiresAt, now)}`;
  return `${momentInWords(saved.savedAt, now)}, ${work}${end}`;
}

function diff({ files: changed, patch, isCut, withheld = [] }: Extract<LookNotice, { kind: 'diff' }>): Told {
  const {
    summary: title,
    files,
    more,
  } = changesOf({ files: changed, isComplete: changed.length > 0 || !isCut });
  const blocks: Block[] = files.length === 0 ? [] : [{ kind: 'files', files, more }];
  if (files.length > 0 || !isCut)
    blocks.push(words('Compared with the repository as it was fetched, committed or not, at the last save.'));
  if (patch !== null && isCut) {
    blocks.push(words(patchCutWords(PATCH_NAME)));
  } else if (patch !== null) {
    blocks.push(words(`${PATCH_WORDS} ${PATCH_NAME}`));
  } else if (withheld.length > 0) {
    const stands = withheld.length === 1 ? 'a secret stands' : 'secrets stand';
    blocks.push(words(`The patch is not attached, as ${stands} in it: ${visibleLine(withheld.join(', '))}.`));
  } else if (isCut) {
    const isUnknown = files.length === 0;
    blocks.push(words(isUnknown ? TOO_MUCH : patchCutWords(null)));
  }
  if (patch === null) return { title, blocks };
  return {
    title,
    blocks,
    attachments: [{ fileName: PATCH_NAME, contentType: 'text/x-patch', content: patch }],
  };
}

function log({ commands, now }: Extract<LookNotice, { kind: 'log' }>): Told {
  if (commands.length === 0) {
    return { title: 'No command has run in this thread yet', blocks: [words('Reply with your first one.')] };
  }
  const shown = commands.slice(0, MOST_LOGGED);
  return {
    title: commands.length === 1 ? 'The only command so far' : `The last ${shown.length} commands`,
    blocks: [
      {
        kind: 'entries',
        items: shown.map((command) => ({
          main: `#${command.number}  ${firstLine(command.command)}`,
          detail: detailOf(command, now),
          tone: toneOf(command),
        })),
        more: commands.length > shown.length ? `and ${commands.length - shown.length} more` : '',
      },
      words('Reply with your next command.'),
    ],
  };
}

function detailOf({ state, exitCode, startedAt, durationMs }: LoggedCommand, now: Date): string {
  return [
    outcomeInWords(state, exitCode),
    ...(startedAt === null ? [] : [momentInWords(startedAt, now)]),
    ...(durationMs === null ? [] : [durationInWords(durationMs)]),
  ].join(' · ');
}

function toneOf({ state, exitCode }: LoggedCommand): 'good' | 'bad' | 'dim' {
  if (state === 'queued' || state === 'running') return 'dim';
  if (state === 'finished' && exitCode === null) return 'dim';
  return state === 'finished' && exitCode === 0 ? 'good' : 'bad';
}

function outcomeInWords(state: string, exitCode: number | null): string {
  const words: Readonly<Record<string, string>> = {
    queued: 'waiting',
    running: 'running',
    // Words to Threadbox have none; what came of one stands in its answer.
    finished: exitCode === null ? 'answered' : `exit code ${exitCode}`,
    timed_out: 'stopped at the time limit',
    interrupted: 'interrupted',
    failed: 'could not be run',
    cancelled: 'cancelled',
  };
  return words[state] ?? visibleLine(state.replaceAll('_', ' '), 40);
}
