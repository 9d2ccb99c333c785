import { setImmediate as nextTurn } from 'node:timers/promises';
import { isDatabaseAway } from './database.ts';

type Waiting<Key, Value> = { key: Key; resolve: (value: Value) => void; reject: (error: unknown) => void };

/**
 * Makes one query of many that are asked side by side: what is asked while another is on its way goes with the next. One
 * that is asked alone goes at once.
 *
 * Where a query of several fails for a reason of its own, each is asked alone, so that one cannot spoil the others. So
 * `ask` has to be one statement or one transaction: all of it or nothing.
 *
 * @param ask answers in the order of the keys
 */
export function coalesce<Key, Value>(
  ask: (keys: readonly Key[]) => Promise<readonly Value[]>,
): (key: Key) => Promise<Value> {
  let waiting: Waiting<Key, Value>[] = [];
  let isAsking = false;

  async function answer(some: readonly Waiting<Key, Value>[]): Promise<void> {
    try {
      const values = await ask(some.map(({ key }) => key));
      for (const [place, { resolve }] of some.entries()) resolve(values[place] as Value);
    } catch (error) {
      if (some.length === 1 || isDatabaseAway(error)) {
        for (const { reject } of some) reject(error);
        return;
      }
      for (const one of some) await answer([one]);
    }
  }

  async function askAll(): Promise<void> {
    isAsking = true;
    // Those who come to it in the same turn go together.
    for (await nextTurn(); waiting.length > 0;) {
      const some = waiting;
      waiting = [];
      await answer(some);
    }
    isAsking = false;
  }

  return (key) => {
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    waiting.push({ key, resolve, reject });
    if (!isAsking) void askAll();
    return promise;
  };
}
