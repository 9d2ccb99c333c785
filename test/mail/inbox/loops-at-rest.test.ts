import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { pino } from 'pino';
import { startFiler } from '../../../src/mail/inbox/filer.ts';
import { startSentCopies } from '../../../src/mail/inbox/sent-copies.ts';
import { until } from '../../support/until.ts';

const log = pino({ level: 'silent' });
const server = { host: '127.0.0.1', port: 1, user: 'bot', tls: 'offered', verifyCertificate: false } as const;
const account = { server, password: 'secret', mailbox: 'INBOX', log };
const PASSES = 20;

describe('a loop that rests between its passes holds nothing of those before', () => {
  it('the filing', async (t) => {
    const signals = signalsHeard(t);
    const passes = counter();
    const filer = startFiler({
      ...account,
      folders: { processed: 'Processed', refused: 'Refused' },
      due: () => passes.none(),
      done: () => Promise.resolve(),
      timings: { settleMs: 1 },
    });
    t.after(() => filer.close());
    await passes.reach(PASSES, () => filer.wake());
    assert.ok(mostListeners(signals) <= 2);
  });

  it('the copies of sent mail', async (t) => {
    const signals = signalsHeard(t);
    const passes = counter();
    const none = () => Promise.resolve();
    const does = { begun: none, filed: none, left: none, restMs: 1 };
    const copies = startSentCopies({ ...account, ...does, due: () => passes.none() });
    t.after(() => copies.close());
    await passes.reach(PASSES, () => copies.wake());
    assert.ok(mostListeners(signals) <= 2);
  });
});

/** All that somebody listens to from now on. */
function signalsHeard(t: TestContext): Set<AbortSignal> {
  const signals = new Set<AbortSignal>();
  const { value } = Object.getOwnPropertyDescriptor(EventTarget.prototype, 'addEventListener') ?? {};
  const listen = value as (this: EventTarget, ...heard: unknown[]) => void;
  t.mock.method(EventTarget.prototype, 'addEventListener', function (this: EventTarget, ...heard: unknown[]) {
    if (this instanceof AbortSignal) signals.add(this);
    listen.apply(this, heard);
  });
  return signals;
}

const mostListeners = (signals: ReadonlySet<AbortSignal>): number =>
  Math.max(0, ...[...signals].map((signal) => getEventListeners(signal, 'abort').length));

function counter() {
  let count = 0;
  return {
    none: (): Promise<never[]> => {
      count += 1;
      return Promise.resolve([]);
    },
    async reach(most: number, wake: () => void): Promise<void> {
      await until(() => {
        wake();
        return count >= most;
      });
    },
  };
}
