/**
 * Which commands of this process are to be ended. That they are is in the database; here whoever waits for a command's
 * end hears of it.
 */
export class Cancellations {
  readonly #wanted = new Map<number, AbortController>();

  /** Aborted as soon as the command is to be ended. */
  signalOf(commandId: number): AbortSignal {
    return this.#of(commandId).signal;
  }

  request(commandId: number): void {
    this.#of(commandId).abort(new Error('the sender has cancelled it'));
  }

  /** The command has ended, or is left to another process. */
  forget(commandId: number): void {
    this.#wanted.delete(commandId);
  }

  #of(commandId: number): AbortController {
    let controller = this.#wanted.get(commandId);
    if (!controller) {
      controller = new AbortController();
      this.#wanted.set(commandId, controller);
    }
    return controller;
  }
}
