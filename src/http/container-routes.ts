import { z } from 'zod';
import { listSessions } from '../store/session-lists.ts';
import { figuresByHour, figuresNow } from '../store/figures.ts';
import { readPause } from '../store/pause.ts';
import { listRoute } from './list-route.ts';
import { conflict, notFound, unavailable, type Problem } from './problem.ts';
import { route, type Route } from './route.ts';
import { count, flag, orNull, pauseState, session, text, time } from './schemas.ts';
import { shownPause, shownSession } from './shown.ts';

const NO_CONTAINER: Problem = notFound(
  'No container has that id. GET /api/v1/containers/sessions lists those there are.',
);
const GONE: Problem = conflict(
  'container-gone',
  'The container has gone, or is about to go. The next command of its thread makes a new one, with all its work.',
);

const isAway = { 404: 'No container has that id' };
const MINUTE_MS = 60_000;
/** As far as the chart reaches. */
const HOURS = 24;

const waiting = z.strictObject({
  outcome: z.literal('waiting'),
  aheadCommands: count.describe('They end first; it is done after them, also after a restart'),
});

export const containerRoutes: readonly Route[] = [
  listRoute({
    path: '/containers/sessions',
    name: 'listSessions',
    summary: 'Container sessions, the newest first',
    filter: {
      active: flag.optional().describe('true when not given: those that are not over'),
      user: text(320).optional(),
      repository: text(200).optional(),
      q: text(200).optional().describe('Somewhere in thread, user, repository, container or running command'),
    },
    item: session,
    rows: (db, { active: isActive = true, user, repository, q }, page) =>
      listSessions(db, { isActive, user, repository, text: q }, page),
    shown: (one, { config }, at) => shownSession(one, config, at),
  }),
  route({
    method: 'get',
    path: '/containers/stats',
    name: 'getStats',
    summary: 'How much there is, how much may be, and the last 24 hours',
    role: 'read',
    answers: {
      200: z.strictObject({
        at: time,
        containers: z.strictObject({
          active: count,
          busy: count,
          warned: count,
          saveFailed: count,
          users: count,
          maxPerUser: count,
          maxOnHost: orNull(count).describe("null: as many as the memory of the engine's host allows"),
        }),
        commands: z.strictObject({ queued: count, running: count }),
        threads: count,
        workspaces: z.strictObject({
          limit: z
            .enum(['quota', 'image', 'measured', 'off'])
            .describe('How they are kept to their size: see docs/security.md'),
          sizeBytes: count.describe('A repository may have its own'),
        }),
        saves: z.strictObject({ kept: count, soonestExpiry: orNull(time), keptDays: count }),
        outbox: z.strictObject({ waiting: count, failed: count }),
        idleTimeoutSeconds: count,
        gracePeriodSeconds: count,
        pause: pauseState,
        hours: z.array(
          z.strictObject({
            hour: time,
            commands: count,
            failed: count,
            medianMs: orNull(count),
            p95Ms: orNull(count),
            containers: count,
          }),
        ),
      }),
    },
    async handle({ parts: { db, config, workspaceLimit, now } }) {
      const at = now();
      const [figures, hours, pause] = await Promise.all([
        figuresNow(db),
        figuresByHour(db, at, HOURS),
        readPause(db),
      ]);
      const body = {
        at,
        ...figures,
        containers: {
          ...figures.containers,
          maxPerUser: config.containerMaxPerUser,
          maxOnHost: config.hostMaxContainers,
        },
        workspaces: { limit: workspaceLimit.way, sizeBytes: config.workspaceSizeBytes },
        saves: { ...figures.saves, keptDays: config.savedStateDays },
        idleTimeoutSeconds: Math.round(config.containerIdleTimeoutMs / 1000),
        gracePeriodSeconds: Math.round(config.containerGracePeriodMs / 1000),
        pause: shownPause(pause),
        hours,
      };
      return { body };
    },
  }),
  route({
    method: 'get',
    path: '/containers/{containerId}/usage',
    name: 'getUsage',
    summary: 'What a container takes now, beside its limits',
    role: 'read',
    answers: {
      200: z.strictObject({
        memoryBytes: count,
        memoryLimitBytes: count,
        cpus: orNull(z.number().min(0)).describe('Since it was asked last; null at the first time'),
        cpuLimit: z.number(),
        processes: count,
        processLimit: count,
      }),
    },
    refusals: { ...isAway, 503: 'Docker does not answer, or the container does not run' },
    async handle({ parts: { operator, log }, params }) {
      const asked = operator.usage(params['containerId'] ?? '').catch((error: unknown) => {
        log.debug({ err: error }, 'what a container takes could not be asked');
        return null;
      });
      const usage = await asked;
      if (usage === null) {
        return { problem: unavailable('no-usage', 'The container does not run, or Docker does not answer.') };
      }
      return 'kind' in usage ? { problem: NO_CONTAINER } : { body: usage };
    },
  }),
  route({
    method: 'post',
    path: '/containers/{containerId}/extend',
    name: 'extendContainer',
    summary: 'Sets the idle time back, or keeps the container for so many minutes; as the word extend does',
    role: 'admin',
    again: 'it counts from the later of the two, as it sets an end and adds nothing to one',
    body: z.strictObject({
      minutes: z.int().min(1).max(527_040).optional().describe('One more idle time when not given'),
    }),
    answers: {
      200: z.strictObject({
        outcome: z.enum(['extended', 'at-limit']),
        cleanupAt: time,
        isCapped: z.boolean().describe('CONTAINER_EXTEND_MAX_MS allows no more'),
      }),
    },
    refusals: { ...isAway, 409: 'The container has gone, or is about to' },
    async handle({ parts: { operator }, params, body: { minutes } }) {
      const durationMs = minutes === undefined ? null : minutes * MINUTE_MS;
      const extended = await operator.extend(params['containerId'] ?? '', durationMs);
      if (extended.kind === 'not-there') return { problem: NO_CONTAINER };
      if (extended.kind === 'gone') return { problem: GONE };
      const { kind: outcome, until: cleanupAt, isCapped } = extended;
      return { body: { outcome, cleanupAt, isCapped } };
    },
  }),
  route({
    method: 'post',
    path: '/containers/{containerId}/cleanup',
    name: 'cleanUpContainer',
    summary: 'Saves the work and removes the container; as the word stop does',
    role: 'admin',
    again: 'it waits for the same removal, and of a container that has gone it is removed',
    answers: {
      200: z.strictObject({ outcome: z.literal('removed') }),
      202: waiting,
    },
    refusals: { ...isAway, 409: 'Its work could not be saved: the container is kept' },
    async handle({ parts: { operator }, params }) {
      const done = await operator.cleanUp(params['containerId'] ?? '');
      if (done.kind === 'not-there') return { problem: NO_CONTAINER };
      if (done.kind === 'kept') {
        const detail = `Its work could not be saved, so the container is stopped and kept: ${done.reason}. It is tried again by itself.`;
        return { problem: conflict('save-failed', detail) };
      }
      if (done.kind === 'removed') return { body: { outcome: 'removed' } };
      return { status: 202, body: { outcome: 'waiting', aheadCommands: done.ahead } };
    },
  }),
  route({
    method: 'post',
    path: '/containers/{containerId}/save',
    name: 'saveContainer',
    summary: 'Saves the work now; as the word save does',
    role: 'admin',
    again: 'it waits for the same save, or saves what has come since; the same work is the same commit',
    answers: {
      200: z.strictObject({
        outcome: z.literal('saved'),
        savedAt: time,
        filesModified: count,
        commit: orNull(z.string()),
        leftOut: z.array(z.string()),
      }),
      202: waiting,
    },
    refusals: { ...isAway, 409: 'The container has gone, or its work cannot be saved' },
    async handle({ parts: { operator }, params }) {
      const done = await operator.save(params['containerId'] ?? '');
      if (done.kind === 'not-there') return { problem: NO_CONTAINER };
      if (done.kind === 'gone') return { problem: GONE };
      if (done.kind === 'failed')
        return { problem: conflict('save-failed', `It could not be saved: ${done.reason}`) };
      if (done.kind === 'waiting') {
        return { status: 202, body: { outcome: 'waiting', aheadCommands: done.ahead } };
      }
      const { kind: outcome, ...saved } = done;
      return { body: { outcome, ...saved } };
    },
  }),
];
