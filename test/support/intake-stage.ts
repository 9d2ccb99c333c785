import { Cancellations } from '../../src/commands/cancellations.ts';
import { IntakeLoop, type IntakeParts } from '../../src/commands/intake-loop.ts';
import { NO_SECRETS } from '../../src/commands/repository-secrets.ts';
import type { Intake } from '../../src/commands/judge.ts';
import { giveUpMessage, takeMessage } from '../../src/commands/take-message.ts';
import { takeRun } from '../../src/commands/take-run.ts';
import { loadConfig } from '../../src/config.ts';
import { cancel } from '../../src/lifecycle/cancel.ts';
import type { LifecycleParts } from '../../src/lifecycle/parts.ts';
import { readMessage } from '../../src/mail/parse.ts';
import type { Db } from '../../src/store/database.ts';
import { HourlyCaps, type Caps } from '../../src/store/hourly.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { shareQueries } from '../../src/store/shared-queries.ts';
import { collectedLog } from './collected-log.ts';

/** As after the making of an installation with three repositories. */
export async function emptyTables(db: Db): Promise<void> {
  await db.raw(
    'truncate messages, mailboxes, commands, outbox, told_notices, threads, repositories, users restart identity cascade',
  );
  for (const name of ['web', 'api', 'other']) {
    await addRepository(db, { name, url: 'https://git.example.com/x.git', branch: null, threadBy: null });
  }
}

export function intakeOf(db: Db, caps: Caps, log = collectedLog().log): Intake {
  const { config } = loadConfig({ ALLOWED_SENDERS: '*@example.com', BOT_ADDRESS: 'bot@example.com' });
  return {
    db,
    queries: shareQueries(db),
    config,
    hourlyCaps: new HourlyCaps(db, caps),
    maxMessageBytes: 1_000,
    now: () => new Date(),
    log,
    checkSender: () =>
      Promise.resolve({ kind: 'verified', how: 'not at all', signatureIds: [], hasLooseCc: false }),
    noteBounce: () => Promise.reject(new Error('no bounce is meant here')),
    secretsOf: () => Promise.resolve(NO_SECRETS),
    answerControl: ({ threadId }) =>
      cancel({ db, cancellations: new Cancellations() } as LifecycleParts, threadId, false),
  };
}

export function loopOf(intake: Intake, more: Partial<IntakeParts>): IntakeLoop {
  return new IntakeLoop({
    db: intake.db,
    parse: readMessage,
    take: (mail) => takeMessage(intake, mail),
    takeRun: (mails) => takeRun(intake, mails),
    giveUp: (mail, fault) => giveUpMessage(intake, mail, fault),
    mayShare: (mails, inHand) => intake.hourlyCaps.hasRoomFor(mails, inHand),
    onTaken: () => undefined,
    onCaughtUp: async () => undefined,
    isOurs: () => true,
    resume: async () => undefined,
    database: { isUp: () => undefined, isDown: () => undefined },
    log: intake.log,
    ...more,
  });
}
