import { readFileSync } from 'node:fs';
import type { Builtin } from '../store/commands.ts';

/** The scripts behind words of ours that run in the container like any command. */
export const BUILTINS: Readonly<Record<Builtin, string>> = {
  apply: readFileSync(new URL('apply.sh', import.meta.url), 'utf8'),
};

/** A file that `apply` takes: see apply.sh. */
export function isPatch({ fileName, contentType }: { fileName: string; contentType: string }): boolean {
  return /\.(?:patch|diff|mbox)$/i.test(fileName) || /^text\/x-(?:patch|diff)$/i.test(contentType);
}
