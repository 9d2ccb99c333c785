import type { ThreadQueues } from '../commands/queues.ts';
import type { ContainerParts } from '../commands/open-container.ts';
import type { Config } from '../config.ts';
import type { PartState } from '../part-state.ts';

/** What this room works with. */
export type LifecycleParts = ContainerParts & {
  queues: ThreadQueues;
  config: Pick<
    Config,
    | 'botAddress'
    | 'replyToken'
    | 'adminAddresses'
    | 'containerImage'
    | 'containerIdleTimeoutMs'
    | 'containerCheckIntervalMs'
    | 'containerGracePeriodMs'
    | 'containerMaxPerUser'
    | 'containerExtendMaxMs'
    | 'hostMaxContainers'
    | 'saveIgnoredMaxBytes'
    | 'savedStateDays'
    | 'workspaceMinFreeBytes'
  >;
  states: { docker: PartState; database: PartState };
  /** A mail was stored: send it now. */
  wakeOutbox: () => void;
};

const DAY_MS = 86_400_000;

export const keptMs = (parts: Pick<LifecycleParts, 'config'>): number => parts.config.savedStateDays * DAY_MS;
