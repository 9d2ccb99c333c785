import { z } from 'zod';
import { listMessages, listSaves } from '../store/message-lists.ts';
import { endPause, readPause, startPause } from '../store/pause.ts';
import { streamEvents } from './events.ts';
import { listRoute } from './list-route.ts';
import { route, type Route } from './route.ts';
import { count, flag, message, pauseState, savedState, text } from './schemas.ts';
import { shownMessage, shownPause, shownSave } from './shown.ts';

export const otherRoutes: readonly Route[] = [
  listRoute({
    path: '/messages',
    name: 'listMessages',
    summary: 'Mail in and out and what became of it, the newest first. Not what it says',
    filter: {
      direction: z.enum(['in', 'out']).optional(),
      outcome: z.enum(['command', 'answered', 'dropped', 'failed']).optional(),
      refused: flag.optional().describe('true: those alone of which nothing was run or answered'),
      thread: text(500).optional(),
      q: text(200).optional().describe('Somewhere in address, subject, reason or thread'),
    },
    item: message,
    rows: (db, { direction, outcome, refused: isRefused, thread: threadId, q }, page) =>
      listMessages(db, { direction, outcome, isRefused, threadId, text: q }, page),
    shown: shownMessage,
  }),
  listRoute({
    path: '/saves',
    name: 'listSaves',
    summary: 'Saved states that are kept, the newest first',
    filter: {
      thread: text(500).optional(),
      q: text(200).optional().describe('Somewhere in thread, user or repository'),
    },
    item: savedState,
    rows: (db, { thread: threadId, q }, page) => listSaves(db, { threadId, text: q }, page),
    shown: shownSave,
  }),
  route({
    method: 'get',
    path: '/events',
    name: 'streamEvents',
    summary: 'What happens, as it happens. Takes Last-Event-ID; without it a snapshot comes first',
    role: 'read',
    answers: {
      200: { mediaType: 'text/event-stream', description: 'Server-sent events: docs/api.md lists them' },
    },
    refusals: { 429: 'Too many watch already' },
    handle: (request) => Promise.resolve(streamEvents(request)),
  }),
  route({
    method: 'get',
    path: '/pause',
    name: 'getPause',
    summary: 'Whether commands are started',
    role: 'read',
    answers: { 200: pauseState },
    handle: async ({ parts: { db } }) => ({ body: shownPause(await readPause(db)) }),
  }),
  route({
    method: 'post',
    path: '/pause',
    name: 'pause',
    summary: 'Has nothing started any more: mail is still taken, what runs goes on',
    role: 'admin',
    again: 'it is the pause that there is, with a reason that is given now',
    body: z.strictObject({
      reason: text(500).optional().describe('Told to whoever sends a command meanwhile'),
    }),
    answers: { 200: pauseState },
    async handle({ parts: { db, activity }, body }) {
      const pause = shownPause(await startPause(db, body.reason ?? ''));
      activity.tell('pause', pause);
      return { body: pause };
    },
  }),
  route({
    method: 'post',
    path: '/resume',
    name: 'resume',
    summary: 'Ends a pause: all commands that wait are run, in their order',
    role: 'admin',
    again: 'wasPaused is false',
    answers: {
      200: z.strictObject({ wasPaused: z.boolean(), waitingCommands: count }),
    },
    async handle({ parts: { db, activity } }) {
      const { pause, waitingCommands } = await endPause(db);
      if (pause) activity.tell('pause', shownPause(null));
      return { body: { wasPaused: pause !== null, waitingCommands } };
    },
  }),
];
