import type Docker from 'dockerode';
import { statusOf } from './errors.ts';

/**
 * Waits until a container has gone, however long that takes: the engine says nothing before, as a helper may have much to do.
 * Where it has said nothing for as long as a request may go unanswered, it is asked whether the container still runs.
 *
 * @throws what the engine says, also of being away
 */
export async function untilRemoved(container: Pick<Docker.Container, 'wait' | 'inspect'>): Promise<void> {
  for (let hasEnded = false; ;) {
    let silence: unknown;
    try {
      await container.wait({ condition: 'removed' });
      return;
    } catch (error) {
      if (statusOf(error) === 404) return;
      if (statusOf(error) !== null) throw error;
      silence = error;
    }
    try {
      const { State } = await container.inspect();
      // Its removal takes as long as nothing does, and may have failed.
      if (hasEnded) throw silence;
      hasEnded = !State.Running;
    } catch (error) {
      if (statusOf(error) === 404) return;
      throw error;
    }
  }
}
