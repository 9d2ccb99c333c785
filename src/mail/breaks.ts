/** RFC 5321, 4.5.4.1, speaks of four to five days; who waits for an answer has given up long before. */
export const TWO_DAYS_MS = 172_800_000;
/** So often it is no chance: with the pauses between the tries, these take a quarter of an hour at least. */
const MOST_BREAKS = 20;
/** Mails that have gone another way are never heard of again. The one that has not been tried for longest is forgotten. */
const MOST_COUNTED = 10_000;

/**
 * Counts of each mail how often the server broke off at it, with no word, though it has had one on others between: as a
 * filter on the way does that does not like what is in it. Nothing else would ever end the tries of such a mail.
 */
export function countBreaks() {
  const broken = new Map<number, { breaks: number; answers: number }>();
  let answers = 0;
  return {
    /** The server had a word on that mail, whatever it was. */
    answered(id: number): void {
      answers += 1;
      broken.delete(id);
    },
    /** It had none: it was away, or fell silent, or ended the connection. */
    brokeOff(id: number): void {
      const before = broken.get(id);
      const isAlone = before !== undefined && before.answers < answers;
      // At the end of them, as the last one.
      broken.delete(id);
      broken.set(id, { breaks: (before?.breaks ?? 0) + (isAlone ? 1 : 0), answers });
      const [oldest] = broken.keys();
      if (broken.size > MOST_COUNTED && oldest !== undefined) broken.delete(oldest);
    },
    /** It is given up then. @param ageMs since it was stored */
    isItselfToBlame: (id: number, ageMs: number): boolean =>
      ageMs >= TWO_DAYS_MS && (broken.get(id)?.breaks ?? 0) >= MOST_BREAKS,
  };
}
