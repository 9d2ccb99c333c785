import { effectiveTimeoutMs, endsAt } from '../lifecycle/idle-policy.ts';
import { withoutTokens } from '../secrets/well-known.ts';
import type { ListedCommand, ListedThread } from '../store/command-lists.ts';
import type { ListedMessage } from '../store/message-lists.ts';
import type { Pause } from '../store/pause.ts';
import type { ListedSave } from '../store/saved-states.ts';
import type { ListedSession } from '../store/session-lists.ts';
import type { ApiParts } from './route.ts';

// What is stored, as the API tells it. The names here are a promise: docs/api.md.

type Limits = Pick<
  ApiParts['config'],
  'containerIdleTimeoutMs' | 'containerGracePeriodMs' | 'workspaceLimit' | 'workspaceSizeBytes'
>;

export function shownSession(listed: ListedSession, config: Limits, now: Date) {
  const { repositoryTimeoutMs, userTimeoutMs, lastActivityAt, lastCommandAt, keepUntil, warnedAt } = listed;
  const idleTimeoutMs = effectiveTimeoutMs(repositoryTimeoutMs, userTimeoutMs, config.containerIdleTimeoutMs);
  const { containerGracePeriodMs: gracePeriodMs } = config;
  const facts = { lastActivityAt, lastCommandAt, keepUntil, warnedAt, idleTimeoutMs, gracePeriodMs };
  const cleanupAt = listed.state === 'active' && !listed.isBusy ? endsAt(facts) : null;
  const { isActive, isBusy, endedAt } = listed;
  const restsSince = isActive ? now : (endedAt ?? now);
  return {
    id: listed.id,
    containerId: listed.containerId,
    containerName: listed.containerName,
    threadId: listed.threadId,
    user: { address: listed.userAddress, name: listed.userName },
    repository: listed.repositoryName,
    state: listed.state,
    isActive,
    isBusy,
    image: listed.image,
    createdAt: listed.createdAt,
    lastActivityAt,
    lastCommandAt,
    idleSeconds: isBusy ? 0 : seconds(restsSince.getTime() - lastActivityAt.getTime()),
    idleTimeoutSeconds: seconds(idleTimeoutMs),
    warnedAt,
    keepUntil,
    cleanupAt,
    secondsUntilCleanup: cleanupAt && seconds(cleanupAt.getTime() - now.getTime()),
    cleanupRequestedAt: isActive ? listed.removalAskedAt : null,
    running:
      listed.runningId === null
        ? null
        : {
            commandId: listed.runningId,
            script: withoutTokens(listed.runningScript ?? ''),
            startedAt: listed.runningSince,
          },
    workspaceUsedBytes: listed.workspaceUsedBytes,
    workspaceLimitBytes:
      config.workspaceLimit === 'off' ? null : (listed.repositoryWorkspaceBytes ?? config.workspaceSizeBytes),
    waitingCommands: listed.waitingCount,
    isSaved: listed.isSaved,
    saveError: listed.saveError,
    endedAt,
    endReason: listed.endReason,
  };
}

export function shownCommand(listed: ListedCommand) {
  const { userAddress, repositoryName, script, outputBytes, durationMs, ...same } = listed;
  return {
    ...same,
    script: withoutTokens(script),
    outputBytes,
    durationMs: durationMs === null ? null : Math.round(durationMs),
    user: { address: userAddress },
    repository: repositoryName,
  };
}

export function shownThread(listed: ListedThread) {
  const { userAddress, userName, repositoryName, lastCommandId: _, ...same } = listed;
  return { ...same, user: { address: userAddress, name: userName }, repository: repositoryName };
}

export const shownMessage = (listed: ListedMessage) => listed;

export function shownSave(listed: ListedSave) {
  return {
    id: listed.id,
    threadId: listed.threadId,
    user: { address: listed.userAddress },
    repository: listed.repositoryName,
    state: listed.state,
    commit: listed.commitHash,
    branch: listed.branch,
    filesModified: listed.filesModified,
    unpushedCommits: listed.unpushedCommits,
    leftOut: listed.leftOut,
    hasVolume: listed.volumeName !== null,
    savedAt: listed.savedAt,
    expiresAt: listed.expiresAt,
    endReason: listed.endReason,
  };
}

export const shownPause = (pause: Pause | null) => ({
  isPaused: pause !== null,
  since: pause?.since ?? null,
  reason: pause?.reason ?? null,
});

const seconds = (ms: number): number => Math.max(0, Math.round(ms / 1000));
