import type { Masks } from '../secrets/masks.ts';
import type { ApiParts } from './route.ts';

/** What people and commands have written, wherever in what is shown: there may be a secret of their repository in it. */
const SAID = new Set(['script', 'error', 'branch', 'leftOut', 'saveError']);

/** The same things with the secrets of their repositories masked. */
export async function withoutSecrets<Shown>(
  { masksOf }: Pick<ApiParts, 'masksOf'>,
  things: readonly Shown[],
): Promise<Shown[]> {
  const names = new Set(things.map(repositoryOf).filter((name) => name !== null));
  const masks = new Map(
    await Promise.all([...names].map(async (name) => [name, await masksOf(name)] as const)),
  );
  return things.map((thing) => {
    const own = masks.get(repositoryOf(thing) ?? '');
    return own && !own.isEmpty ? (maskedIn(thing, own) as Shown) : thing;
  });
}

function repositoryOf(thing: unknown): string | null {
  const { repository } = thing as { repository?: unknown };
  return typeof repository === 'string' ? repository : null;
}

function maskedIn(thing: unknown, masks: Masks): unknown {
  if (typeof thing !== 'object' || thing === null || Object.getPrototypeOf(thing) !== Object.prototype) {
    return thing;
  }
  const pairs = Object.entries(thing).map(([key, item]): [string, unknown] => [
    key,
    SAID.has(key) ? masks.all(item as unknown) : maskedIn(item, masks),
  ]);
  return Object.fromEntries(pairs);
}
