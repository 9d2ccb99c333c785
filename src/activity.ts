/** Something that happened, as those who watch are told. Its id says where to go on after. */
export type Happening = { id: string; event: string; data: Readonly<Record<string, unknown>> };

/** So many are kept for those who come back. */
const MOST_KEPT = 1_000;

/** What happens in this process, for whoever watches it live. Nothing of it is stored: the database has the facts. */
export class Activity {
  readonly #epoch: string;
  #count = 0;
  #kept: Happening[] = [];
  readonly #listeners = new Set<(happening: Happening) => void>();

  /** @param epoch another one for each start: ids of an earlier process mean nothing here */
  constructor(epoch: string) {
    this.#epoch = epoch;
  }

  tell(event: string, data: Happening['data']): void {
    this.#count += 1;
    const happening = { id: `${this.#epoch}-${this.#count}`, event, data };
    this.#kept.push(happening);
    if (this.#kept.length > 2 * MOST_KEPT) this.#kept = this.#kept.slice(-MOST_KEPT);
    for (const listener of this.#listeners) listener(happening);
  }

  /** Of the last one; what comes next comes after it. */
  get lastId(): string {
    return `${this.#epoch}-${this.#count}`;
  }

  /** @returns null when it is not known what came after that: what there is has to be looked at anew */
  since(id: string): Happening[] | null {
    const [, epoch, digits = ''] = /^(.*)-(\d{1,15})$/.exec(id) ?? [];
    const count = Number(digits);
    if (epoch !== this.#epoch || count > this.#count) return null;
    const missed = this.#count - count;
    return missed > this.#kept.length ? null : this.#kept.slice(this.#kept.length - missed);
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  /** @returns what ends it */
  listen(listener: (happening: Happening) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
