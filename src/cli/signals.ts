export type Stop = {
  signal: AbortSignal;
  /** Resolves at the first signal. */
  signalled: Promise<void>;
};

/** npm and the wrapper of an older Node pass on a Ctrl-C that the terminal has sent us already. */
const ECHO_MS = 500;

/** Ctrl-C or a polite kill: the first asks for a clean stop, another Ctrl-C after that ends the process at once. */
export function untilSignal(onFirst: (name: NodeJS.Signals) => void = () => {}): Stop {
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<void>();
  let firstAt = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      if (name === 'SIGINT' && performance.now() - firstAt > ECHO_MS) process.exit(130);
      return;
    }
    firstAt = performance.now();
    controller.abort(new Error(`stopped by ${name}`));
    onFirst(name);
    resolve();
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal);
  return { signal: controller.signal, signalled: promise };
}

/** The result of `work`, or the signal's reason as soon as that comes. */
export async function unlessStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
