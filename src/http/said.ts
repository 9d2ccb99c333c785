import type { ApiParts } from './route.ts';

/** What people and commands have written, wherever in what is shown: there may be a secret of their repository in it. */
const SAID = new Set(['script', 'error', 'branch', 'leftOut', 'saveError']);

/** A script of any length is in its command's own answer; a list has the beginning. */
const SHOWN_SCRIPT = 2_000;

/**
 * The same things with the secrets of their repositories masked. Scripts are cut after that: nobody would know the half
 * of a secret.
 */
export async function withoutSecrets<Shown>(
  { masksOf }: Pick<ApiParts, 'masksOf'>,
  things: readonly Shown[],
  { isWhole = false } = {},
): Promise<Shown[]> {
  const names = new Set(things.map(repositoryOf).filter((name) => name !== null));
  const masks = new Map(
    await Promise.all([...names].map(async (name) => [name, await masksOf(name)] as const)),
  );
  return things.map((thing) => {
    const own = masks.get(repositoryOf(thing) ?? '') ?? null;
    const masked = (key: string, item: unknown): unknown => {
      const text = own && !own.isEmpty ? own.all(item) : item;
      return key === 'script' && typeof text === 'string' && !isWhole ? shortened(text) : text;
    };
    return changedIn(thing, masked) as Shown;
  });
}

const shortened = (script: string): string =>
  script.length > SHOWN_SCRIPT ? `${script.slice(0, SHOWN_SCRIPT).toWellFormed()}…` : script;

function repositoryOf(thing: unknown): string | null {
  const { repository } = thing as { repository?: unknown };
  return typeof repository === 'string' ? repository : null;
}

function changedIn(thing: unknown, change: (key: string, item: unknown) => unknown): unknown {
  if (typeof thing !== 'object' || thing === null || Object.getPrototypeOf(thing) !== Object.prototype) {
    return thing;
  }
  const pairs = Object.entries(thing).map(([key, item]): [string, unknown] => [
    key,
    SAID.has(key) ? change(key, item) : changedIn(item, change),
  ]);
  return Object.fromEntries(pairs);
}
