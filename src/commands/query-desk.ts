import { createBell } from '../bell.ts';
import { csvOf } from '../admin/csv.ts';
import { SQL_LIMITS, type Reader } from '../admin/run-query.ts';
import { renderSqlNotice } from '../mail/sql-notices.ts';
import type { SqlResult } from '../mail/sql-results.ts';
import { PATIENT, pauseMs } from '../retry.ts';
import { isDatabaseAway } from '../store/database.ts';
import { messageToAnswer } from '../store/messages.ts';
import { endQuery, nextQueuedMail, sqlConversationById, type QueryEnd } from '../store/sql-queries.ts';
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

/**
 * Runs the queries that admins have mailed, one mail after another, beside everything else. They only read, so those that
 * a crash has cut off are simply run again; their end is stored with the answer.
 */
export function startQueryDesk(parts: QueryDeskParts): QueryDesk {
  const bell = createBell();
  const closing = new AbortController();
  const { signal } = closing;

  async function run(): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      try {
        while (!signal.aborted && parts.isOurs() && (await answerNext(parts))) failures = 0;
      } catch (error) {
        failures += 1;
        if (!isDatabaseAway(error))
          parts.log.error({ err: error }, 'queries of an admin could not be answered; trying again');
      }
      if (!signal.aborted) await bell.wait(failures > 0 ? pauseMs(failures, PATIENT) : LOOK_EVERY_MS);
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
async function answerNext(parts: QueryDeskParts): Promise<boolean> {
  const next = await nextQueuedMail(parts.db);
  if (!next) return false;
  try {
    await answerMail(parts, next);
  } catch (error) {
    if (isDatabaseAway(error)) throw error;
    // It must not hold up those that come after it.
    parts.log.error({ err: error, message: next.messageId }, 'the queries of an admin cannot be answered');
    const end = {
      outcome: 'error',
      error: (error as Error).message,
      rowCount: null,
      durationMs: null,
    } as const;
    const fault = `A fault of Threadbox kept this from being answered. Its log has more, under message ${next.messageId}.`;
    const content = renderSqlNotice({ kind: 'sql-fault', fault });
    await store(parts, next, { ends: next.queries.map(({ id }) => ({ id, end })), content });
  }
  parts.onAnswered();
  return true;
}

type QueuedMail = NonNullable<Awaited<ReturnType<typeof nextQueuedMail>>>;

async function answerMail(parts: QueryDeskParts, mail: QueuedMail): Promise<void> {
  const { db, now, log } = parts;
  const { address } = await messageToAnswer(db, mail.messageId);
  const done: { id: number; result: SqlResult; end: QueryEnd }[] = [];
  for (const { id, ...asked } of mail.queries) done.push({ id, ...(await runOne(parts, asked, address)) });
  const named = withCsv(done.map(({ result }) => result));
  const { trustedUntil } = await sqlConversationById(db, mail.conversationId);
  const rendered = renderSqlNotice({
    kind: 'sql-answer',
    results: named.map(({ result, csvName }) => ({ ...result, csvName })),
    trustedUntil: trustedUntil ?? now(),
    limits: SQL_LIMITS,
    now: now(),
  });
  const attachments = named.flatMap(({ csvName, csv }) =>
    csvName === null ? [] : [{ fileName: csvName, contentType: 'text/csv; charset=utf-8', content: csv }],
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
  { db, config, now }: QueryDeskParts,
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
}

/** A fault of one query is told in its place; a database that is away is waited for. */
async function runOne({ reader, log }: QueryDeskParts, asked: Parameters<Reader['run']>[0], askedBy: string) {
  try {
    return await reader.run(asked, askedBy);
  } catch (error) {
    if (isDatabaseAway(error)) throw error;
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

/** Each result with rows as a file, until together they are as large as a mail should be. */
function withCsv(results: readonly SqlResult[]) {
  let leftBytes = SQL_LIMITS.bytes;
  return results.map((result, index) => {
    const none = { result, csvName: null, csv: Buffer.alloc(0) };
    if (result.kind !== 'rows' || result.rows.length === 0) return none;
    const csv = Buffer.from(csvOf(result, { isForPeople: true }));
    if (csv.length > leftBytes && index > 0) return none;
    leftBytes -= csv.length;
    const csvName = `${result.name ?? 'result'}${results.length > 1 ? `-${index + 1}` : ''}.csv`;
    return { result, csvName, csv };
  });
}
