import type { StreamedAnswer } from './answer-stream.ts';
import type { Changes, Shortages } from './facts.ts';
import type { CapturedOutput } from './output.ts';
import type { StopReason } from './time-limit.ts';

export type ExecutionResult = {
  /** `interrupted`: killed from outside, or its container was. */
  ending: 'exited' | 'timed_out' | 'cancelled' | 'interrupted';
  exitCode: number | null;
  durationMs: number;
  branch: string | null;
  changes: Changes;
  output: CapturedOutput;
  /** Processes that go on in the container. */
  backgroundProcesses: number;
  /** The first of them, as in `sleep 100 (pid 42)`. */
  backgroundNames: string[];
  /** Those that were ended with it, as `leftProcesses` wanted it. */
  droppedProcesses: number;
  droppedNames: string[];
  /** What ran short while it ran; `null` where that cannot be known. */
  shortages: Shortages | null;
  /** False when all that a save carries is as the last save left it. */
  isUnsaved: boolean;
  /** Something is in its outbox: see `collectOutbox`. */
  hasOutbox: boolean;
  note?: string;
};

/** What was done to end it beside asking it. */
export type Killed = { killedFor: StopReason | null; hasKilledAll: boolean };

/** @param atContainersEnd what its container ended for, where it did: counts only where nothing was measured in it */
export function toResult(
  { facts, output }: StreamedAnswer,
  { killedFor, hasKilledAll }: Killed,
  waitedMs: number,
  atContainersEnd: Shortages | null = null,
): ExecutionResult {
  const stoppedFor = facts?.wasStopped ? (facts.wasCancelled ? 'cancelled' : 'timed_out') : killedFor;
  const exitCode = facts?.exitCode ?? null;
  const notes = [
    ...(facts?.isOutputLost ? ['A part of the output is lost: the disk of the workspace was full.'] : []),
    ...(facts?.isUnended
      ? [
          'It kept beginning new processes while it was ended, so all processes in its container were ended, those of earlier commands too.',
        ]
      : hasKilledAll
        ? [
            'It did not end when it was asked to, so all processes in its container were ended, those of earlier commands too.',
          ]
        : []),
  ];
  return {
    ending: stoppedFor ?? (exitCode === null ? 'interrupted' : 'exited'),
    exitCode,
    durationMs: Math.round(killedFor && waitedMs > 0 ? waitedMs : (facts?.durationMs ?? waitedMs)),
    branch: facts?.branch ?? null,
    changes: facts?.changes ?? { files: [], isComplete: false, reason: 'nothing was said about it' },
    output,
    backgroundProcesses: facts?.isUnended ? 0 : (facts?.backgroundProcesses ?? 0),
    backgroundNames: facts?.isUnended ? [] : (facts?.backgroundNames ?? []),
    droppedProcesses: facts?.droppedProcesses ?? 0,
    droppedNames: facts?.droppedNames ?? [],
    shortages: facts?.shortages ?? (exitCode === null && stoppedFor === null ? atContainersEnd : null),
    isUnsaved: facts?.isUnsaved ?? true,
    hasOutbox: facts?.hasOutbox ?? false,
    ...(notes.length === 0 ? {} : { note: notes.join(' ') }),
  };
}
