import { EventEmitter } from 'node:events';
import type { SharedState } from '../store/shared-state.ts';

type Of = { containerId: string; threadId: string };

/** What happens to containers, with what is told of it. Times in ISO 8601. */
type Payloads = {
  'container:created': Of;
  /** `from`: the kept volume, or the saved state alone. */
  'container:restored': Of & { from: 'volume' | 'save'; savedAt: string };
  'container:idle-warning': Of & { minutesRemaining: number };
  'container:extended': Of & { until: string };
  'container:saved': Of & { commit: string | null; filesModified: number };
  'container:cleaned': Of & { idleMinutes: number };
  'container:evicted': Of & { idleMinutes: number };
  'container:save-failed': Of & { reason: string };
};

type Signatures = { [Name in keyof Payloads]: [data: Payloads[Name]] };

/** Tells this process, and through Redis every other one. */
export class LifecycleEvents extends EventEmitter<Signatures> {
  readonly #sharedState: SharedState;
  readonly #onEvery: (name: string, data: Of) => void;

  /** @param onEvery hears of each, whatever its name */
  constructor(sharedState: SharedState, onEvery: (name: string, data: Of) => void = () => {}) {
    super();
    this.#sharedState = sharedState;
    this.#onEvery = onEvery;
  }

  tell<Name extends keyof Payloads>(name: Name, data: Payloads[Name]): void {
    this.#sharedState.publish(name, data);
    // The signatures of a mapped type are beyond what the emitter's own can be matched with.
    (this as EventEmitter).emit(name, data);
    this.#onEvery(name, data);
  }
}
