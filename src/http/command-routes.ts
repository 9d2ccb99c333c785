import { z } from 'zod';
import { listCommands, listedCommand, listThreads, type ListedCommand } from '../store/command-lists.ts';
import { logOfCommand, outputOfCommand, type StoredOutput } from '../store/command-outputs.ts';
import { threadById } from '../store/threads.ts';
import { rangedResponse } from './byte-range.ts';
import { listRoute } from './list-route.ts';
import { conflict, notFound, tooMany } from './problem.ts';
import { route, type ApiParts, type Route } from './route.ts';
import { command, commandStates, commandWithOutput, text, thread } from './schemas.ts';
import { withoutSecrets } from './said.ts';
import { shownCommand, shownThread } from './shown.ts';

const NO_COMMAND = notFound('No command has that id.');
const NO_THREAD = notFound('No thread has that id. GET /api/v1/threads lists those there are.');
const NO_OUTPUT = notFound(
  'Nothing is kept of its output: it has not begun, or ended before outputs were kept.',
);

const commandId = (params: Readonly<Record<string, string>>): number | null =>
  /^\d{1,15}$/.test(params['commandId'] ?? '') ? Number(params['commandId']) : null;

/** A log may have 5 MB, which are held until they are taken: of a hundred at once the bot would take a gigabyte. */
const MOST_LOGS_OUT = 4;
let logsOut = 0;

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) work();
    isDone = true;
  };
}

const logResponse = (
  commandId: number,
  log: Buffer,
  { range, isDone }: { range: string | null; isDone: () => void },
): Response =>
  rangedResponse(
    log,
    range ?? undefined,
    {
      'Content-Type': 'application/gzip',
      'Content-Disposition': `attachment; filename="command-${commandId}.log.gz"`,
    },
    isDone,
  );

/** Whatever a command wrote: never anything that a browser would run. */
const AS_TEXT = { 'Content-Type': 'text/plain; charset=utf-8' };

export const commandRoutes: readonly Route[] = [
  listRoute({
    path: '/threads',
    name: 'listThreads',
    summary: 'Threads that ever had a command, the last used first',
    filter: {
      user: text(320).optional(),
      repository: text(200).optional(),
      q: text(200).optional().describe('Somewhere in thread, user or repository'),
    },
    item: thread,
    rows: (db, { user, repository, q }, page) => listThreads(db, { user, repository, text: q }, page),
    shown: shownThread,
  }),
  listRoute({
    path: '/threads/{threadId}/commands',
    name: 'listCommandsOfThread',
    summary: 'The commands of a thread, the newest first',
    filter: {
      state: z.enum(commandStates).optional(),
      q: text(200).optional().describe('Somewhere in the script'),
    },
    item: command,
    refusals: { 404: 'No thread has that id' },
    async rows(db, { state, q }, page, { threadId = '' }) {
      if (!(await threadById(db, threadId))) return { problem: NO_THREAD };
      return listCommands(db, { threadId, state, text: q }, page);
    },
    shown: (one) => shownCommand(one),
  }),
  listRoute({
    path: '/commands',
    name: 'listCommands',
    summary: 'Commands of all threads, the newest first',
    filter: {
      state: z.enum(commandStates).optional(),
      q: text(200).optional().describe('Somewhere in script or thread'),
    },
    item: command,
    rows: (db, { state, q }, page) => listCommands(db, { state, text: q }, page),
    shown: (one) => shownCommand(one),
  }),
  route({
    method: 'get',
    path: '/commands/{commandId}',
    name: 'getCommand',
    summary: 'One command, with the two ends of its output',
    role: 'read',
    answers: { 200: commandWithOutput },
    refusals: { 404: 'No command has that id' },
    async handle({ parts, params }) {
      const found = await commandOf(parts, params);
      if (!found) return { problem: NO_COMMAND };
      const output = await endsOf(parts, found);
      const [shown] = await withoutSecrets(parts, [shownCommand(found)], { isWhole: true });
      return { body: { ...shown, output } };
    },
  }),
  route({
    method: 'get',
    path: '/commands/{commandId}/output',
    name: 'getOutput',
    summary:
      'What a command wrote: its two ends, with a line between them that says what is left out. Takes Range',
    role: 'read',
    answers: {
      200: { mediaType: 'text/plain', description: 'The bytes as they were written' },
      206: { mediaType: 'text/plain', description: 'The range that was asked for' },
    },
    refusals: { 404: 'No command has that id, or nothing is kept of its output', 416: 'Behind the end' },
    async handle({ parts, params, headers }) {
      const found = await commandOf(parts, params);
      if (!found) return { problem: NO_COMMAND };
      const stored = await outputOfCommand(parts.db, found.id);
      if (stored) return rangedResponse(shownOutput(stored), headers.get('range') ?? undefined, AS_TEXT);
      const live = await parts.operator.lastOutput(found.id);
      return live === null ? { problem: NO_OUTPUT } : new Response(live, { headers: AS_TEXT });
    },
  }),
  route({
    method: 'get',
    path: '/commands/{commandId}/log',
    name: 'getLog',
    summary: 'All that a command wrote, where its two ends do not have it: as gzip. Takes Range',
    role: 'read',
    answers: {
      200: { mediaType: 'application/gzip', description: 'The whole log, up to 5 MB compressed' },
      206: { mediaType: 'application/gzip', description: 'The range that was asked for' },
    },
    refusals: {
      404: 'No command has that id, or /output has all of it',
      416: 'Behind the end',
      429: 'Four are being given out already',
    },
    async handle({ parts, params, headers }) {
      const found = await commandOf(parts, params);
      if (!found) return { problem: NO_COMMAND };
      if (logsOut >= MOST_LOGS_OUT) return { problem: tooMany(2) };
      logsOut += 1;
      const isDone = once(() => (logsOut -= 1));
      try {
        const log = await logOfCommand(parts.db, found.id);
        if (log) return logResponse(found.id, log, { range: headers.get('range'), isDone });
      } catch (error) {
        isDone();
        throw error;
      }
      isDone();
      return { problem: notFound(`There is no more than /api/v1/commands/${found.id}/output has.`) };
    },
  }),
  route({
    method: 'post',
    path: '/commands/{commandId}/cancel',
    name: 'cancelCommand',
    summary: 'Ends a command that runs, or takes out one that waits; its sender is told by mail',
    role: 'admin',
    again: 'it is cancelled, or cancelling as long as it ends; its sender is told once',
    answers: {
      200: z.strictObject({ outcome: z.literal('cancelled') }),
      202: z.strictObject({
        outcome: z.literal('cancelling').describe('It gets TERM, and KILL after five seconds'),
      }),
    },
    refusals: { 404: 'No command has that id', 409: 'It has ended, or is a control word' },
    async handle({ parts: { operator, activity }, params, caller: { by } }) {
      const id = commandId(params);
      const done = id === null ? null : await operator.cancel(id, by);
      if (done === null || done.kind === 'not-there') return { problem: NO_COMMAND };
      if (done.kind === 'control') {
        return {
          problem: conflict(
            'control-word',
            'A word to Threadbox is done to its end: it cannot be cancelled.',
          ),
        };
      }
      if (done.kind !== 'ended') activity.tell('command:cancelled', { commandId: id });
      if (done.kind === 'cancelling') return { status: 202, body: { outcome: 'cancelling' } };
      // Asked once more, it is as it was asked for.
      if (done.kind === 'cancelled' || done.state === 'cancelled') return { body: { outcome: 'cancelled' } };
      return { problem: conflict('ended', `It has ended already: ${done.state.replace('_', ' ')}.`) };
    },
  }),
];

async function commandOf(
  { db }: ApiParts,
  params: Readonly<Record<string, string>>,
): Promise<ListedCommand | null> {
  const id = commandId(params);
  return id === null ? null : listedCommand(db, id);
}

async function endsOf(parts: ApiParts, { id, state }: ListedCommand) {
  const stored = await outputOfCommand(parts.db, id);
  if (stored) {
    const { head, tail, omittedBytes, hasLog } = stored;
    return { head: head.toString(), tail: tail.toString(), omittedBytes, hasLog, isLive: false };
  }
  const live = state === 'running' ? await parts.operator.lastOutput(id) : null;
  return live === null ? null : { head: '', tail: live, omittedBytes: 0, hasLog: false, isLive: true };
}

function shownOutput({ head, tail, omittedBytes }: StoredOutput): Buffer {
  if (omittedBytes === 0) return Buffer.concat([head, tail]);
  return Buffer.concat([head, Buffer.from(`\n[threadbox: ${omittedBytes} bytes are left out here]\n`), tail]);
}
