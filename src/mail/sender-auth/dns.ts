import { Resolver } from 'node:dns/promises';

/**
 * Asks for records of a name, as `resolve` of node:dns does.
 *
 * @throws with `code: 'ENOTFOUND'` or `'ENODATA'` where there is none; any other code is trouble that may pass
 */
export type Resolve = (name: string, type: string) => Promise<string[][]>;

/** All in all some five seconds, twice for a name with a second server. */
const LIMITS = { timeout: 2_000, tries: 2 };

/** The machine's own resolvers, with a deadline for each question. */
export function systemResolve(): Resolve {
  const resolver = new Resolver(LIMITS);
  return (name, type) => resolver.resolve(name, type) as Promise<string[][]>;
}

/**
 * Only these names are looked up, and only so many: which ones a mail asks for is its sender's choice, and a name server
 * of theirs could take its time with each.
 */
export function guarded(resolve: Resolve, isWanted: (name: string) => boolean, most: number): Resolve {
  let asked = 0;
  return (name, type) => {
    asked += 1;
    if (isWanted(name.toLowerCase()) && asked <= most) return resolve(name, type);
    return Promise.reject(Object.assign(new Error(`${name} is not looked up`), { code: 'ENOTFOUND' }));
  };
}
