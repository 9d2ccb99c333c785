/** How a part is doing, as far as it was heard of. */
export type PartNote = {
  state: 'unknown' | 'up' | 'down';
  /** When it was last heard. */
  heardAt: Date | null;
  /** Why it was lost. */
  reason: string | null;
  /** How often it was lost. */
  losses: number;
};

/** What was last heard of the parts that are never asked, only listened to. */
export class PartBook<Name extends string> {
  readonly #now: () => Date;
  readonly #notes = new Map<Name, PartNote>();

  constructor(now: () => Date) {
    this.#now = now;
  }

  heard(name: Name): void {
    this.#notes.set(name, { ...this.of(name), state: 'up', heardAt: this.#now(), reason: null });
  }

  lost(name: Name, error: Error): void {
    const before = this.of(name);
    const losses = before.state === 'down' ? before.losses : before.losses + 1;
    this.#notes.set(name, { ...before, state: 'down', reason: error.message, losses });
  }

  of(name: Name): PartNote {
    return this.#notes.get(name) ?? { state: 'unknown', heardAt: null, reason: null, losses: 0 };
  }
}
