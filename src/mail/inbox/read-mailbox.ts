import type { ImapFlow } from 'imapflow';
import type { MailServer } from '../../config.ts';
import type { Log } from '../../log.ts';
import type { Credential } from '../oauth.ts';
import { retryForEver, type Pauses } from '../../retry.ts';
import type { MailboxClaim } from './mailbox-claim.ts';
import { openMailbox, type Deadlines } from './connect.ts';
import { fetchListed, fetchNext, fetchRemains, type FetchedMessage } from './fetch-messages.ts';
import { hearNews } from './news.ts';
import { afterFailure, nextPortion, type Obstacle, type Portion } from './obstacle.ts';
import { startingPlace, type Cursor, type StoredCursor } from './starting-place.ts';
import { searchUids } from './uids.ts';

export type Timings = Deadlines & {
  /** So often the mailbox is searched whether or not the server has announced anything. */
  lookEveryMs: number;
  /** So old a connection is replaced by a new one, whatever state it seems to be in. */
  renewAfterMs: number;
  /** Between two connections, after a failure. */
  pauses: Pauses;
};

export type Reader = {
  server: MailServer;
  password: Credential;
  mailbox: string;
  maxMessageBytes: number;
  /** Where it may be another's: nothing is read before it is known to be ours. */
  claim?: MailboxClaim | null;
  /** How far back the first look at a mailbox goes that took the place of another. */
  longestLookBackMs: number;
  getCursor: () => Promise<StoredCursor | null>;
  record: (batch: FetchedMessage[], cursor: Cursor) => Promise<void>;
  log: Log;
  timings: Timings;
  signal: AbortSignal;
  /** What the connections before this one stumbled over. */
  obstacle: Obstacle | null;
};

/** One connection, how far it has read, and which mails it has asked for and not got yet. */
type Session = {
  client: ImapFlow;
  reader: Reader;
  cursor: Cursor;
  asked: readonly number[];
  /** When the mailbox was last known to be ours, by the clock that only goes on. */
  ownedAtMs: number;
};

/**
 * Reads a mailbox over one connection: takes what is there, then waits for more, until the connection is old.
 *
 * @param onListening all that had arrived is recorded, and the server's word is awaited
 * @throws when the connection fails, or at the end of the signal; the stored cursor tells where to go on
 */
export async function readMailbox(reader: Reader, onListening: () => void): Promise<void> {
  const { server, password, mailbox, timings, signal } = reader;
  const client = await openMailbox(server, password, mailbox, { deadlines: timings, signal });
  const cursor: Cursor = { uidValidity: 0, lastUid: 0 };
  const session: Session = { client, reader, cursor, asked: [], ownedAtMs: performance.now() };
  const stop = (): void => client.close();
  signal.addEventListener('abort', stop);
  try {
    signal.throwIfAborted();
    const news = hearNews(client);
    const renewAt = performance.now() + timings.renewAfterMs;
    await start(session);
    let isAnnounced = false;
    // What was announced last, the next connection finds.
    while (performance.now() < renewAt) {
      if (isAnnounced) await takeNext(session);
      await takeListed(session);
      onListening();
      isAnnounced = await news.wait(timings.lookEveryMs);
      // When nothing came, nobody waits; where mail never ends, it must not be put off for ever.
      if (isAnnounced) await staysOurs(session);
      else await lookWhoseItIs(session);
    }
  } catch (error) {
    reader.obstacle = afterFailure(reader.obstacle, session.cursor.uidValidity, session.asked);
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    client.close();
  }
}

/** Finds the place to go on at; where there is none yet, takes what arrived lately and remembers the place. */
async function start(session: Session): Promise<void> {
  const { client, reader, cursor } = session;
  const takenOverAt = (await reader.claim?.check(client)) ?? null;
  session.ownedAtMs = performance.now();
  const stored = await untilDone(reader, () => reader.getCursor());
  const { firstLook, recentUids, ...place } = await startingPlace(client, stored, new Date(), {
    ...reader.timings,
    longestLookBackMs: reader.longestLookBackMs,
    takenOverAt,
  });
  Object.assign(cursor, place);
  // UIDs name other mails now.
  if (reader.obstacle?.uidValidity !== place.uidValidity) reader.obstacle = null;
  if (!firstLook) return;
  reader.log[firstLook.reason === 'new' || firstLook.reason === 'moved' ? 'info' : 'warn'](
    { mailbox: reader.mailbox, ...firstLook, recentMails: recentUids.length },
    `${FIRST_LOOK[firstLook.reason]}; mail that arrived before ${firstLook.since.toISOString()} is left alone`,
  );
  await takeAll(session, recentUids);
  await keep(session, [], place.lastUid);
}

/** @throws when the mailbox is another's now */
async function lookWhoseItIs(session: Session): Promise<void> {
  await session.reader.claim?.checkChanged(session.client);
  session.ownedAtMs = performance.now();
}

/** The same, where the last look is too long ago. */
async function staysOurs(session: Session): Promise<void> {
  if (performance.now() - session.ownedAtMs >= session.reader.timings.lookEveryMs)
    await lookWhoseItIs(session);
}

const FIRST_LOOK = {
  new: 'first look at the mailbox',
  moved: 'first look at this mailbox, which has taken the place of another',
  rebuilt: 'the server has rebuilt the mailbox (another UIDVALIDITY)',
  'taken-over': 'this mailbox was taken over from another Threadbox',
  renumbered: 'the server has gone back in numbering the mails',
};

/** What was just announced, by as few round trips as possible. */
async function takeNext(session: Session): Promise<void> {
  const { client, reader, cursor } = session;
  session.asked = [cursor.lastUid + 1];
  const { maxMessageBytes, timings: deadlines } = reader;
  for await (const batch of fetchNext(client, cursor.lastUid, { maxMessageBytes, deadlines })) {
    await keep(session, batch, batch.at(-1)?.uid);
    session.asked = [cursor.lastUid + 1];
  }
  session.asked = [];
}

/** Everything after the cursor. */
async function takeListed(session: Session): Promise<void> {
  const { client, reader, cursor } = session;
  const { answerMs } = reader.timings;
  const uids = await searchUids(client, { uid: `${cursor.lastUid + 1}:*` }, answerMs);
  // `*` is the newest mail, also when its UID is lower (RFC 3501, 6.4.8).
  await takeAll(
    session,
    uids.filter((uid) => uid > cursor.lastUid),
  );
}

async function takeAll(session: Session, uids: readonly number[]): Promise<void> {
  let left = uids;
  while (left.length > 0) {
    await staysOurs(session);
    const portion = nextPortion(left, session.reader.obstacle);
    session.asked = portion.uids;
    for await (const batch of fetchPortion(session, portion)) {
      await keep(session, batch, batch.at(-1)?.uid);
      session.asked = portion.uids.filter((uid) => uid > session.cursor.lastUid);
    }
    session.asked = [];
    left = left.slice(portion.uids.length);
  }
}

async function* fetchPortion(session: Session, { uids, what }: Portion): AsyncGenerator<FetchedMessage[]> {
  const { client, reader } = session;
  const { maxMessageBytes, timings: deadlines } = reader;
  if (what === 'whole') {
    yield* fetchListed(client, uids, { maxMessageBytes, deadlines });
    return;
  }
  for (const uid of uids) {
    const remains = await fetchRemains(client, uid, { hasHeaders: what === 'headers', deadlines });
    reader.log.error(
      { mailbox: reader.mailbox, uid },
      `the IMAP server does not send a mail that it lists; ${GIVEN_UP[what]}`,
    );
    yield [remains];
  }
}

const GIVEN_UP = { headers: 'only its headers are taken', nothing: 'it is given up' };

/** Records mails and how far the mailbox is read. Only then does the cursor move. */
async function keep(
  { reader, cursor }: Session,
  batch: FetchedMessage[],
  lastUid = cursor.lastUid,
): Promise<void> {
  await untilDone(reader, () => reader.record(batch, { uidValidity: cursor.uidValidity, lastUid }));
  cursor.lastUid = lastUid;
}

/** What is stored elsewhere is worth waiting for: the mailbox keeps the mail meanwhile. */
async function untilDone<T>({ log, mailbox, signal }: Reader, attempt: () => Promise<T>): Promise<T> {
  let isHeldUp = false;
  const done = await retryForEver(attempt, {
    signal,
    onFailure(error) {
      if (!isHeldUp)
        log.warn({ mailbox, reason: error.message }, 'mail cannot be recorded; trying again until it can');
      isHeldUp = true;
    },
  });
  if (isHeldUp) log.info({ mailbox }, 'mail can be recorded again');
  return done;
}
