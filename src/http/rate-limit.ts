/** What is left of an address's allowance. */
type Allowance = { left: number; atMs: number };

export type Rate = {
  /** So many at once. */
  burst: number;
  perSecond: number;
};

/** An allowance grows back with time. @returns what is left after one more, and in how many seconds there is one again */
export function take(
  before: Allowance | undefined,
  { burst, perSecond }: Rate,
  nowMs: number,
): { after: Allowance; waitSeconds: number } {
  const grown =
    before === undefined
      ? burst
      : Math.min(burst, before.left + (Math.max(0, nowMs - before.atMs) / 1000) * perSecond);
  if (grown < 1)
    return { after: { left: grown, atMs: nowMs }, waitSeconds: Math.ceil((1 - grown) / perSecond) };
  return { after: { left: grown - 1, atMs: nowMs }, waitSeconds: 0 };
}

const MOST_KNOWN = 10_000;

/** Allowances of addresses; the one seen longest ago is forgotten first, so that they take no memory without end. */
export class RateLimit {
  readonly #rate: Rate;
  readonly #known = new Map<string, Allowance>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** @returns 0, or in how many seconds it may be tried again */
  take(address: string, nowMs: number): number {
    const { after, waitSeconds } = take(this.#known.get(address), this.#rate, nowMs);
    this.#known.delete(address);
    this.#known.set(address, after);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    return waitSeconds;
  }
}
