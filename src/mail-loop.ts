import type { Activity } from './activity.ts';
import type { Reader } from './admin/run-query.ts';
import type { Closers } from './closers.ts';
import { IntakeLoop } from './commands/intake-loop.ts';
import { startQueryDesk } from './commands/query-desk.ts';
import { runCommand, type CommandParts } from './commands/run-command.ts';
import { giveUpMessage, takeMessage } from './commands/take-message.ts';
import { takeRun } from './commands/take-run.ts';
import { tellOwedNotices } from './commands/tell-owed.ts';
import { DiskRoom, hasNoDiskRoom, untilDiskRoom } from './commands/until-disk-room.ts';
import { untilResumed } from './commands/until-resumed.ts';
import { tellOfNoPlace } from './commands/wait-for-place.ts';
import type { Config } from './config.ts';
import type { Lifecycle } from './lifecycle/lifecycle.ts';
import type { LifecycleParts } from './lifecycle/parts.ts';
import type { Account } from './mail-accounts.ts';
import { mailboxClaim, type MailboxClaim } from './mail/inbox/mailbox-claim.ts';
import { DEADLINES } from './mail/inbox/connect.ts';
import { startFiler, type Filer } from './mail/inbox/filer.ts';
import { listenToMailbox } from './mail/inbox/listen.ts';
import type { Resolve } from './mail/sender-auth/dns.ts';
import { readHeader, readMessage } from './mail/parse.ts';
import { openSenderCheck } from './mail/sender-auth/sender-check.ts';
import type { Outgoing } from './outgoing.ts';
import { listOpenCommands, type Command, type CommandState } from './store/commands.ts';
import { mailsToFile, markFiled } from './store/filing.ts';
import { HourlyCaps } from './store/hourly.ts';
import type { MailboxLock } from './store/mailbox-lock.ts';
import { readCursor, recordIncoming } from './store/messages.ts';
import { shareQueries } from './store/shared-queries.ts';

/** A larger mail is answered with a word on why it was not read. */
const MAX_MESSAGE_BYTES = 20 << 20;

/** A look at whether Threadbox is paused is good for so long: a command that need not wait is looked up once. */
const JUST_NOW_MS = 100;

/** What the tests do otherwise. */
export type MailLoopOverrides = {
  maxMessageBytes?: number;
  /** Instead of the DNS, for senders' keys. */
  resolve?: Resolve;
};

export type MailLoopParts = LifecycleParts &
  Omit<CommandParts, 'runControl' | 'tellControlFailure' | 'mayStart' | 'delay'> & {
    config: Config;
    lock: MailboxLock;
    noteBounce: Outgoing['noteBounce'];
    /** Runs the queries of admins. */
    reader: Reader;
    activity: Activity;
    /** The mailbox was looked at, or (with why) could not be. */
    onMailbox: (error: Error | null) => void;
  };

type Around = {
  account: Account;
  lifecycle: Lifecycle;
  closers: Closers;
  overrides: MailLoopOverrides;
  /** The operator says that the installation that has claimed the mailbox is gone for good. */
  takesMailbox: boolean;
};

/**
 * From the mailbox to the queues, and from there to the folder of what is done.
 *
 * @returns what is to be called when the lock changes hands, and what resolves once the mailbox is listened to
 */
export function startMailLoop(
  parts: MailLoopParts,
  { account, lifecycle, closers, overrides, takesMailbox }: Around,
): { wake: () => void; listening: Promise<void> } {
  const { db, config, log, signal } = parts;
  const maxMessageBytes = overrides.maxMessageBytes ?? MAX_MESSAGE_BYTES;
  const { user, host } = account.server;
  const mailbox = `${user}@${host}/${config.mailbox}`;
  const filer = startFiling(parts, { account, mailbox, closers });

  // Filing has time: it does not compete with a backlog, and one move does for many mails.
  const intake = startIntake(parts, { lifecycle, closers, overrides }, () => filer?.wake());

  const { promise: listening, resolve: isListening } = Promise.withResolvers<void>();
  const listener = listenToMailbox({
    ...account,
    mailbox: config.mailbox,
    claim: claimOf(parts, takesMailbox),
    maxMessageBytes,
    getCursor: () => readCursor(db, mailbox),
    longestLookBackMs: config.maxMailAgeMs,
    record: async (batch, cursor) => {
      // Whoever has lost the lock would record it for the other bot, which hears of nothing then.
      await parts.lock.held();
      await recordIncoming(db, mailbox, batch, cursor);
      intake.wake();
    },
    onState: (state, error) => {
      parts.onMailbox(state === 'listening' ? null : (error ?? new Error(state)));
      if (state === 'listening') isListening();
    },
    log,
    signal,
  });
  closers.add('the mailbox', () => listener.close());
  return {
    listening,
    wake() {
      intake.wake();
      intake.wakeDesk();
      filer?.wake();
      parts.wakeOutbox();
    },
  };
}

/** From what is recorded to the queues. @returns what begins anew to look for messages */
function startIntake(
  parts: MailLoopParts,
  { lifecycle, closers, overrides }: Pick<Around, 'lifecycle' | 'closers' | 'overrides'>,
  onCaughtUp: () => void,
): { wake: () => void; wakeDesk: () => void } {
  const queueCommand = queueInto(parts, lifecycle);
  const { db, config, lock, log, now } = parts;
  const maxMessageBytes = overrides.maxMessageBytes ?? MAX_MESSAGE_BYTES;
  const { answerControl } = lifecycle;
  const checkSender = openSenderCheck(config, { resolve: overrides.resolve, now, log });
  const hourlyCaps = new HourlyCaps(db, config.caps);
  const queries = shareQueries(db);
  const { noteBounce, secretsOf } = parts;
  const taking = {
    db,
    queries,
    config,
    maxMessageBytes,
    now,
    log,
    answerControl,
    checkSender,
    hourlyCaps,
    noteBounce,
    secretsOf,
  };
  const isOurs = (): boolean => lock.isHeld();
  const desk = startQueryDesk({ ...taking, reader: parts.reader, isOurs, onAnswered: parts.wakeOutbox });
  closers.add('the queries of admins', () => desk.close());
  const intake = new IntakeLoop({
    db,
    parse: (raw, part) => (part === 'header' ? readHeader(raw) : readMessage(raw)),
    take: (mail) => takeMessage(taking, mail),
    takeRun: (mails) => takeRun(taking, mails),
    mayShare: (mails, inHand) => hourlyCaps.hasRoomFor(mails, inHand),
    giveUp: (mail, fault) => giveUpMessage(taking, mail, fault),
    database: parts.states.database,
    resume: async () => {
      hourlyCaps.forget();
      await resumeCommands(parts, queueCommand);
    },
    onTaken: (taken) => {
      if (taken.kind === 'command') queueCommand(taken.threadId, taken.commandId);
      if (taken.kind === 'queries') desk.wake();
      else if (taken.kind === 'answered' || taken.isTold) parts.wakeOutbox();
      parts.activity.tell('message:taken', { ...taken });
    },
    onCaughtUp: async () => {
      onCaughtUp();
      await tellOwedNotices({ ...taking, wakeOutbox: parts.wakeOutbox });
    },
    isOurs,
    log,
  });
  closers.add('the intake', () => intake.close());
  return { wake: () => intake.wake(), wakeDesk: () => desk.wake() };
}

/** @returns null where nobody else can read the mailbox: the embedded one; and where the operator wants none */
function claimOf({ config, installation }: MailLoopParts, takesOver: boolean): MailboxClaim | null {
  const { claimMailbox: folder, mailbox, botAddress, imap } = config;
  if (folder === null || imap === null) return null;
  return mailboxClaim({ installation, mailbox, folder, takesOver, botAddress, deadlines: DEADLINES });
}

/** @returns null where mail stays where it is */
function startFiling(
  { db, config, lock, log }: MailLoopParts,
  { account, mailbox, closers }: Pick<Around, 'account' | 'closers'> & { mailbox: string },
): Filer | null {
  const { folders, mailbox: name } = config;
  if (!folders) return null;
  const filer = startFiler({
    ...account,
    mailbox: name,
    folders,
    due: async (afterId, limit) => (lock.isHeld() ? mailsToFile(db, mailbox, afterId, limit) : []),
    done: (ids) => markFiled(db, ids),
    log,
  });
  closers.add('the filing', () => filer.close());
  return filer;
}

/** Puts a command into its thread's queue, if it is not there. */
type QueueCommand = (threadId: string, commandId: number) => void;

async function resumeCommands(
  { db, cancellations }: MailLoopParts,
  queueCommand: QueueCommand,
): Promise<void> {
  for (const { threadId, id, cancelRequestedAt } of await listOpenCommands(db)) {
    queueCommand(threadId, id);
    if (cancelRequestedAt) cancellations.request(id);
  }
}

function queueInto(parts: MailLoopParts, lifecycle: Lifecycle): QueueCommand {
  const { queues, lock, signal, log, activity } = parts;
  const known = new Set<number>();
  const room = new DiskRoom();
  const { runControl, tellControlFailure } = lifecycle;
  const onAttempt = ({ id, threadId }: Pick<Command, 'id' | 'threadId'>): void =>
    activity.tell('command:started', { commandId: id, threadId });
  const running = { ...parts, runControl, tellControlFailure, onAttempt };
  return (threadId, commandId) => {
    if (known.has(commandId)) return;
    known.add(commandId);
    const of = { commandId, threadId };
    const delay = { isTold: false };
    let lookedAtMs = Number.NEGATIVE_INFINITY;
    const mayStart = async (holds: readonly CommandState[]): Promise<void> => {
      await lock.held();
      if (performance.now() - lookedAtMs < JUST_NOW_MS) return;
      const asked = { room, commandId, delay };
      let isResumed = await untilResumed(parts, commandId, holds);
      // A pause may have begun while it waited for room.
      while (await untilDiskRoom(parts, asked, holds))
        isResumed = await untilResumed(parts, commandId, holds);
      if (isResumed) lookedAtMs = performance.now();
      // It may have waited for long.
      await lock.held();
    };
    // What has begun goes on to be looked after; once it is known that it never began, it may not begin now either.
    const mayBegin = () => mayStart(['queued', 'running']);
    const run = async () => {
      try {
        await mayStart(['queued']);
        return await runCommand({ ...running, mayStart: mayBegin, delay }, commandId);
      } finally {
        known.delete(commandId);
        activity.tell('command:ended', of);
      }
    };
    const job = lifecycle.around(threadId, commandId, delay, run);
    const prepare = async (): Promise<void> => {
      // Before it makes room for its container, and again when it has its place: it may have waited long.
      await mayStart(['queued']);
      await job.prepare?.();
    };
    // The places of what waits for room would be missing for what can make some.
    const mayRun = async () => !(await hasNoDiskRoom(parts, { room, commandId }, ['queued']));
    const whileWaiting = () => tellOfNoPlace(parts, commandId, delay);
    queues.add(threadId, { ...job, prepare, whileWaiting, mayRun }, (error) => {
      // The next look of the intake finds it.
      known.delete(commandId);
      if (!signal.aborted) log.error({ err: error, command: commandId }, 'a command was left unfinished');
    });
    activity.tell('command:queued', of);
  };
}
