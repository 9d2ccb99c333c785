import type { Masks } from './masks.ts';

/** Of all repositories whose secrets this process has opened: only one that it knows can get into its log. */
const known = new Map<number, Masks>();

/** From now on these are masked in the log. */
export function noteForLog(repositoryId: number, masks: Masks): void {
  known.set(repositoryId, masks);
}

/** A line of the log, as it may be written. */
export function maskedLine(line: string): string {
  return [...known.values()].reduce((masked, masks) => masks.text(masked), line);
}
