import type { Refused } from '../containers/allow-lists.ts';

/** So many are told apart of one client; a program that tries names out fills no memory. */
const MOST_KINDS = 50;
const MOST_CLIENTS = 1_000;
/** Of each it is known when: so many times. */
const MOST_TIMES = 1_000;

/** What the proxy has refused, by client: in memory, as an answer tells it soon after. */
export class Refusals {
  readonly #clients = new Map<string, Map<string, number[]>>();

  note(client: string, what: string, atMs: number): void {
    let kinds = this.#clients.get(client);
    if (!kinds) {
      const [oldest] = this.#clients.keys();
      if (oldest !== undefined && this.#clients.size >= MOST_CLIENTS) this.#clients.delete(oldest);
      kinds = new Map();
      this.#clients.set(client, kinds);
    }
    let times = kinds.get(what);
    if (!times) {
      const [oldest] = kinds.keys();
      if (oldest !== undefined && kinds.size >= MOST_KINDS) kinds.delete(oldest);
      times = [];
      kinds.set(what, times);
    }
    times.push(atMs);
    if (times.length > MOST_TIMES) times.shift();
  }

  /** Since a moment, what came first at the beginning. */
  since(client: string, sinceMs: number): Refused[] {
    const kinds = [...(this.#clients.get(client) ?? [])];
    return kinds
      .map(([what, at]) => ({ what, times: at.filter((one) => one >= sinceMs).length }))
      .filter(({ times }) => times > 0);
  }
}
