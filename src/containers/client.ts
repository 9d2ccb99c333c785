import Docker from 'dockerode';

export type { Docker };

/** An engine that says nothing for so long is taken for one that is away. */
const ANSWER_MS = 30_000;

/**
 * A client of the engine at an address as Docker's own tools take it. Nothing is connected yet.
 *
 * @param dockerHost `unix:///path` or `tcp://host:port` (`http://` means the same)
 * @param answerMs how long a request may go unanswered before it fails, as if the connection had broken. A stream has
 *   to begin within that time, and may then take as long as it likes
 */
export function connectDocker(dockerHost: string, { answerMs = ANSWER_MS } = {}): Docker {
  return withDeadline(newDocker(dockerHost), answerMs);
}

function newDocker(dockerHost: string): Docker {
  if (dockerHost.startsWith('unix://')) return new Docker({ socketPath: dockerHost.slice('unix://'.length) });
  const url = URL.canParse(dockerHost) ? new URL(dockerHost) : null;
  if (!url || !['tcp:', 'http:'].includes(url.protocol)) {
    throw new Error(
      `Expected the address of a Docker Engine as unix:///path or tcp://host:port, got ${dockerHost}`,
    );
  }
  return new Docker({ host: url.hostname, port: Number(url.port || 2375), protocol: 'http' });
}

/** What every request of dockerode goes through. */
type Dial = (options: DialOptions, callback: DialCallback) => void;
type DialOptions = { path: string; file?: unknown; abortSignal?: AbortSignal | undefined };
type DialCallback = (error: unknown, answer?: unknown) => void;

function withDeadline(docker: Docker, answerMs: number): Docker {
  const modem = docker.modem as { dial: Dial };
  const dial = modem.dial.bind(modem);
  modem.dial = (options, callback) => {
    // Pulling and importing an image: the engine works before it answers.
    if (options.file !== undefined || options.path.startsWith('/images/create')) {
      dial(options, callback);
      return;
    }
    const deadline = new AbortController();
    let isAnswered = false;
    const answer: DialCallback = (error, value) => {
      if (isAnswered) return;
      isAnswered = true;
      clearTimeout(timer);
      callback(error, value);
    };
    const timer = setTimeout(() => {
      answer(new Error(`no answer within ${answerMs / 1000} s`));
      deadline.abort();
    }, answerMs);
    const signals = options.abortSignal ? [options.abortSignal, deadline.signal] : [deadline.signal];
    dial({ ...options, abortSignal: AbortSignal.any(signals) }, answer);
  };
  return docker;
}
