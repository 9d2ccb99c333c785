import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { ProcessStage } from '../support/process-stage.ts';
import { FAULTLESS, isLong, startFlow } from './flow.ts';

export type Incident = {
  what: string;
  begin: (stage: ProcessStage) => unknown;
  end: (stage: ProcessStage) => unknown;
  /** After its end. */
  answeredWithinMs?: number;
};

/** The longest of our time limits, and the pauses between the tries. */
const ANSWERED_WITHIN_MS = 700_000;

/** A frozen server is to be frozen for longer than we wait for its answer. */
export const longestMs = isLong ? 25_000 : 1_500;

/**
 * Sends mails amid incidents, one before and one in the middle of each, and counts what came of them.
 *
 * @param stage with a bot that is ready
 * @param longestMs of an incident
 */
export async function passThrough(
  t: TestContext,
  stage: ProcessStage,
  random: () => number,
  { incidents, rounds, longestMs }: { incidents: readonly Incident[]; rounds: number; longestMs: number },
): Promise<void> {
  const flow = startFlow(stage, random);
  let mails = 0;
  const send = async (): Promise<void> => {
    mails += 1;
    await flow.send();
  };
  for (let round = 0; round < rounds; round += 1) {
    for (const { what, begin, end, answeredWithinMs = ANSWERED_WITHIN_MS } of incidents) {
      await send();
      await pause(random() * 700);
      await begin(stage);
      // What arrives in the middle of it waits at the mail server in front.
      const arriving = send();
      await pause((what.endsWith('cut') ? 0.1 : 0.5 + random() / 2) * longestMs);
      await end(stage);
      await arriving;
      const startedAt = performance.now();
      await flow.answered(answeredWithinMs);
      t.diagnostic(
        `${what}: all answered ${Math.round((performance.now() - startedAt) / 100) / 10} s after its end`,
      );
    }
  }
  await flow.filed(120_000);
  const tally = await flow.tally();
  t.diagnostic(JSON.stringify({ incidents: rounds * incidents.length, ...tally }));
  const { sentTwice, ...rest } = tally;
  assert.deepEqual(rest, { mailsIn: mails, commandsStarted: mails, answersOut: mails, ...FAULTLESS });
  assert.ok(sentTwice <= rounds * incidents.length);
}
