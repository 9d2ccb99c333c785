import type { Cancellations } from '../commands/cancellations.ts';
import type { ThreadQueues } from '../commands/queues.ts';
import type { ContainerParts } from '../commands/open-container.ts';
import type { Config } from '../config.ts';
import type { PartState } from '../part-state.ts';

/** What this room works with. */
export type LifecycleParts = ContainerParts & {
  queues: ThreadQueues;
  cancellations: Cancellations;
  config: Pick<
    Config,
    | 'auditKeptDays'
    | 'botAddress'
    | 'replyToken'
    | 'adminAddresses'
    | 'containerImage'
    | 'containerDns'
    | 'containerIdleTimeoutMs'
    | 'containerCheckIntervalMs'
    | 'containerGracePeriodMs'
    | 'containerMaxPerUser'
    | 'containerExtendMaxMs'
    | 'hostMaxContainers'
    | 'outputKeptDays'
    | 'saveIgnoredMaxBytes'
    | 'savedStateDays'
    | 'workspaceMinFreeBytes'
  >;
  states: { docker: PartState; database: PartState };
  /** Not held: another bot works on the database. */
  lock: { isHeld: () => boolean };
  /** A mail was stored: send it now. */
  wakeOutbox: () => void;
  /** Tests alone set this. */
  delayToldAfterMs?: number | undefined;
};

const DAY_MS = 86_400_000;

export const keptMs = (parts: Pick<LifecycleParts, 'config'>): number => parts.config.savedStateDays * DAY_MS;
