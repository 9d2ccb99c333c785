import { createBell } from '../bell.ts';
import { csvOf } from '../admin/csv.ts';
import { SQL_LIMITS, type Reader } from '../admin/run-query.ts';
import { renderSqlNotice } from '../mail/sql-notices.ts';
import type { SqlResult } from '../mail/sql-results.ts';
import { watchPart, type PartState } from '../part-state.ts';
import { PATIENT, pauseMs, type Pauses } from '../retry.ts';
import { isDatabaseAway } from '../store/database.ts';
import { messageToAnswer } from '../store/messages.ts';
import { isReaderAway } from '../store/read-query.ts';
import {
  countAttempt,
  endQuery,
  nextQueuedMail,
  sqlConversationById,
  type QueryEnd,
  type QueuedMail,
} from '../store/sql-queries.ts';
import { answerMessage, type AnswerContent } from './answer-message.ts';
import type { SettleParts } from './settle.ts';
import { sqlTokenOf } from './take-sql.ts';

export type QueryDeskParts = SettleParts & {
  reader: Reader;
  /** False while another bot works on the database. */
  isOurs: () => boolean;
  /** An answer is stored. */
  onAnswered: () => void;
};

export type QueryDesk = { wake: () => void; close: () => Promise<void> };

/** With nothing to do it looks again after so long: what another bot has left may have become ours. */
const LOOK_EVERY_MS = 60_000;

/** A mail whose queries were cut off so often is answered with that: one of them may be what cuts them off. */
const MOST_ATTEMPTS = 3;
const BETWEEN_ATTEMPTS: Pauses = { firstMs: 1_000, longestMs: 30_000 };

/**
 * Runs the queries that admins have mailed, one mail after another, beside everything else. They only read, so those that
 * a crash has cut off are simply run again, a few times; their end is stored with the answer.
 */
export function startQueryDesk(parts: QueryDeskParts): QueryDesk {
  const bell = createBell();
  const closing = new AbortController();
  const { signal } = closing;
  const database = watchPart('PostgreSQL (queries of admins)', parts.log);
  const reader = watchPart('the connection for queries of admins', parts.log, {
    up: 'works',
    down: 'does not work; see SQL_DATABASE_URL, if it is set',
  });

  async function run(): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      let pauses = PATIENT;
      try {
        while (!signal.aborted && parts.isOurs() && (await answerNext(parts, reader))) failures = 0;
        // Also where nothing is left to be run: what had failed works again.
        failures = 0;
        database.isUp();
      } catch (error) {
        failures += 1;
        if (isReaderAway(error)) {
          pauses = BETWEEN_ATTEMPTS;
          reader.isDown(error as Error);
        } else if (isDatabaseAway(error)) database.isDown(error as Error);
        else parts.log.error({ err: error }, 'queries of an admin could not be answered; trying again');
      }
      if (!signal.aborted) await bell.wait(failures > 0 ? pauseMs(failures, pauses) : LOOK_EVERY_MS);
    }
  }

  const ended = run();
  return {
    wake: () => bell.ring(),
    async close() {
      closing.abort();
      bell.ring();
      await ended;
    },
  };
}

/** @returns false when there is nothing to be run */
async function answerNext(parts: QueryDeskParts, reader: PartState): Promise<boolean> {
  const { db } = parts;
  const next = await nextQueuedMail(db);
  if (!next) return false;
  if (next.attempts >= MOST_ATTEMPTS) {
    await giveUp(
      parts,
      next,
      new Error('cut off at each attempt'),
      cutOffWords('Threadbox or its database ended'),
    );
    return true;
  }
  // Before anything is run: what takes the bot down with it is counted as well.
  await countAttempt(db, next.messageId);
  try {
    await answerMail(parts, next);
    reader.isUp();
  } catch (error) {
    const isAway = isReaderAway(error);
    if (isAway && next.attempts + 1 < MOST_ATTEMPTS) throw error;
    if (!isAway && isDatabaseAway(error)) throw error;
    if (isAway) reader.isDown(error as Error);
    const { message } = error as Error;
    const fault = isAway
      ? cutOffWords(message.slice(0, 160))
      : `A fault of Threadbox kept this from being answered. Its log has more, under message ${next.messageId}.`;
    // It must not hold up those that come after it.
    await giveUp(parts, next, error as Error, fault);
  }
  return true;
}

const cutOffWords = (why: string): string =>
  `These queries were begun ${MOST_ATTEMPTS} times, and each time ${why}. They are not tried again: if one of them asks for very much, ask for less; else look at the database, and at SQL_DATABASE_URL if that is set, and mail them once more.`;

async function giveUp(parts: QueryDeskParts, mail: QueuedMail, error: Error, fault: string): Promise<void> {
  parts.log.error({ err: error, message: mail.messageId }, 'the queries of an admin cannot be answered');
  const end = { outcome: 'error', error: error.message, rowCount: null, durationMs: null } as const;
  const content = renderSqlNotice({ kind: 'sql-fault', fault });
  await store(parts, mail, { ends: mail.queries.map(({ id }) => ({ id, end })), content });
}

async function answerMail(parts: QueryDeskParts, mail: QueuedMail): Promise<void> {
  const { db, now, log } = parts;
  const { address } = await messageToAnswer(db, mail.messageId);
  const done: { id: number; result: SqlResult; end: QueryEnd }[] = [];
  for (const { id, ...asked } of mail.queries) done.push({ id, ...(await runOne(parts, asked, address)) });
  const named = withCsv(done.map(({ result }) => result));
  const { trustedUntil } = await sqlConversationById(db, mail.conversationId);
  const rendered = renderSqlNotice({
    kind: 'sql-answer',
    results: named.map(({ result, csv }) => ({ ...result, csv })),
    trustedUntil: trustedUntil ?? now(),
    limits: SQL_LIMITS,
    now: now(),
  });
  const attachments = named.flatMap(({ csv }) =>
    csv?.isAttached
      ? [{ fileName: csv.name, contentType: 'text/csv; charset=utf-8', content: csv.content }]
      : [],
  );
  await store(parts, mail, { ends: done, content: { ...rendered, attachments } });
  const outcomes = done.map(({ end }) => end.outcome);
  log.info(
    { message: mail.messageId, outcomes, rows: done.map(({ end }) => end.rowCount) },
    'queries of an admin answered',
  );
}

/** The end of the queries and their answer, together; nothing where somebody else has answered meanwhile. */
async function store(
  { db, config, now, onAnswered }: QueryDeskParts,
  { messageId, conversationId }: QueuedMail,
  { ends, content }: { ends: readonly { id: number; end: QueryEnd }[]; content: AnswerContent },
): Promise<void> {
  await db.transaction(async (transaction) => {
    const ended = [];
    for (const { id, end } of ends) ended.push(await endQuery(transaction, id, end, now()));
    if (!ended.includes(true)) return;
    const told = { ...content, tokenOf: sqlTokenOf(conversationId) };
    await answerMessage(
      transaction,
      config,
      await messageToAnswer(transaction, messageId),
      told,
      null,
      now(),
    );
  });
  onAnswered();
}

/** A fault of one query is told in its place; a database that is away is waited for. */
async function runOne({ reader, log }: QueryDeskParts, asked: Parameters<Reader['run']>[0], askedBy: string) {
  try {
    return await reader.run(asked, askedBy);
  } catch (error) {
    if (isReaderAway(error) || isDatabaseAway(error)) throw error;
    log.error({ err: error }, 'a query of an admin failed');
    const message = `a fault of Threadbox kept it from being run: ${(error as Error).message}`;
    const fault = {
      kind: 'fault',
      text: '',
      message,
      at: null,
      hint: null,
      isTimeout: false,
      isRefused: true,
    } as const;
    const end: QueryEnd = { outcome: 'error', error: message, rowCount: null, durationMs: null };
    return { result: { ...fault, name: asked.name, query: asked.query, durationMs: 0 }, end };
  }
}

/** Many servers take 10 MB, and a file grows by a third on its way. */
const MOST_CSV_BYTES = 5 << 20;

/** Each result with rows as a file: attached as long as they are together as large as a mail should be. */
function withCsv(results: readonly SqlResult[]) {
  let leftBytes = MOST_CSV_BYTES;
  return results.map((result, index) => {
    if (result.kind !== 'rows' || result.rows.length === 0) return { result, csv: null };
    const content = Buffer.from(csvOf(result, { isForPeople: true }));
    const isAttached = content.length <= leftBytes;
    if (isAttached) leftBytes -= content.length;
    const name = `${result.name ?? 'result'}${results.length > 1 ? `-${index + 1}` : ''}.csv`;
    return { result, csv: { name, sizeBytes: content.length, isAttached, content } };
  });
}
