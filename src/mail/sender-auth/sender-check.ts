import type { Log } from '../../log.ts';
import { watchPart } from '../../part-state.ts';
import { pauseMs } from '../../retry.ts';
import { systemResolve, type Resolve } from './dns.ts';
import { verifySender, type MailToVerify, type SenderRules, type SenderVerdict } from './verify-sender.ts';

/** Says who sent a mail, as long as the bot runs. */
export type SenderCheck = (mail: MailToVerify & { receivedAt: Date }) => Promise<SenderVerdict>;

/** How long a domain is left in peace after its DNS has failed so often in a row. */
const PAUSES = { firstMs: 1_000, longestMs: 600_000 };
/** Mail servers, too, try for about that long. */
const GIVEN_UP_AFTER_MS = 2 * 86_400_000;

type Trouble = { failures: number; firstAtMs: number; againAtMs: number; reason: string };

/**
 * As `verifySender`, with patience: while the DNS of a domain does not answer, the mails that need it wait, and it is
 * asked again after pauses that grow, however many there are. After two days they are refused.
 */
export function openSenderCheck(
  rules: SenderRules,
  { resolve = systemResolve(), now, log }: { resolve?: Resolve | undefined; now: () => Date; log: Log },
): SenderCheck {
  const troubles = new Map<string, Trouble>();
  const dns = watchPart('the DNS', log, {
    up: 'answers',
    down: 'does not answer; mails whose sender cannot be verified wait',
  });

  function forget(domain: string): void {
    troubles.delete(domain);
    if (troubles.size === 0) dns.isUp();
  }

  return async function check(mail) {
    const domain = mail.sender.slice(mail.sender.lastIndexOf('@') + 1);
    const atMs = now().getTime();
    const before = troubles.get(domain);
    const isPausing = before !== undefined && atMs < before.againAtMs;
    let hasAsked = false;
    const ask: Resolve = (name, type) => {
      hasAsked = true;
      return isPausing ? Promise.reject(new Error(before.reason)) : resolve(name, type);
    };
    const verdict = await verifySender(mail, rules, { resolve: ask, now: new Date(atMs) });
    if (verdict.kind !== 'later') {
      if (hasAsked && !isPausing) forget(domain);
      return verdict;
    }
    if (isPausing) return { kind: 'later', reason: before.reason };
    const { reason } = verdict;
    dns.isDown(new Error(reason));
    const failures = (before?.failures ?? 0) + 1;
    const firstAtMs = before?.firstAtMs ?? atMs;
    troubles.set(domain, { failures, firstAtMs, againAtMs: atMs + pauseMs(failures, PAUSES), reason });
    const triedSinceMs = Math.max(firstAtMs, mail.receivedAt.getTime());
    if (atMs - triedSinceMs < GIVEN_UP_AFTER_MS) return verdict;
    return { kind: 'refused', reason: `${reason}, for two days` };
  };
}
