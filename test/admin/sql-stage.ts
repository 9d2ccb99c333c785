import assert from 'node:assert/strict';
import { after, before, beforeEach } from 'node:test';
import { openReader, SQL_LIMITS } from '../../src/admin/run-query.ts';
import { startQueryDesk, type QueryDesk } from '../../src/commands/query-desk.ts';
import type { Taken } from '../../src/commands/settle.ts';
import { NO_SECRETS } from '../../src/commands/repository-secrets.ts';
import type { Intake } from '../../src/commands/judge.ts';
import { takeMessage } from '../../src/commands/take-message.ts';
import { loadConfig } from '../../src/config.ts';
import { limitMemory } from '../../src/embedded/limit-memory.ts';
import { parseMessage, type ParsedMessage } from '../../src/mail/parse.ts';
import { composeUserMail } from '../../src/mail/user-mail.ts';
import { HourlyCaps } from '../../src/store/hourly.ts';
import { nextReceived, recordIncoming } from '../../src/store/messages.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { shareQueries } from '../../src/store/shared-queries.ts';
import { collectedLog } from '../support/collected-log.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';
import { until } from '../support/until.ts';

// The way of an admin's query from the mail to the answer, as far as the database decides it.

export const ADMIN = 'admin@example.com';
export const OTHER = 'other@example.com';
export const GUEST = 'guest@example.com';
export const HOUR_MS = 3_600_000;

type Stage = {
  database: PrivateDatabase;
  intake: Intake;
  startDesk: (change?: { readerUrl?: string; log?: Intake['log'] }) => QueryDesk;
  desks: QueryDesk[];
  aheadMs: number;
};

/** There once a test runs. */
export const stage = { aheadMs: 0, desks: [] as QueryDesk[] } as Stage;
let lastUid = 0;
const now = (): Date => new Date(Date.now() + stage.aheadMs);
before(async () => {
  stage.database = await startPrivateDatabase();
  const { db, url: databaseUrl } = stage.database;
  const { config } = loadConfig({ ALLOWED_SENDERS: '*@example.com', ADMIN_ADDRESSES: ADMIN });
  stage.intake = {
    db,
    config,
    queries: shareQueries(db),
    hourlyCaps: new HourlyCaps(db, { perSender: 1e4, perThread: 1e4, overall: 1e4, writtenPerAddress: 1e4 }),
    maxMessageBytes: 1_000_000,
    now,
    log: collectedLog().log,
    checkSender: () =>
      Promise.resolve({ kind: 'verified', how: 'not at all', signatureIds: [], hasLooseCc: false }),
    noteBounce: () => Promise.reject(new Error('no bounce is meant here')),
    secretsOf: () => Promise.resolve(NO_SECRETS),
    answerControl: () => Promise.reject(new Error('no control word is meant here')),
  };
  const url = 'https://git.example.com/x.git';
  await addRepository(db, { name: 'web', url, branch: null, threadBy: null });
  stage.startDesk = ({
    readerUrl = null,
    ...change
  }: { readerUrl?: string | null; log?: Intake['log'] } = {}) => {
    const settings = { databaseUrl, readerUrl, showsBodies: false };
    const reader = openReader({ db, settings, limits: SQL_LIMITS, limitMemory, now });
    const around = { ...stage.intake, ...change, isOurs: () => true, onAnswered: () => undefined };
    return startQueryDesk({ ...around, reader });
  };
  stage.desks = [stage.startDesk()];
});
after(async () => {
  await Promise.all(stage.desks.map((desk) => desk.close()));
  await stage.database.close();
});
beforeEach(() => {
  stage.aheadMs = 0;
});

type Sent = { taken: Taken; answer: () => Promise<ParsedMessage & { raw: Buffer }> };

export async function send(
  subject: string,
  body: string,
  { from = ADMIN, to = 'bot@threadbox.test' }: { from?: string; to?: string } = {},
): Promise<Sent> {
  const { db } = stage.database;
  const { raw } = await composeUserMail({ from, to, subject, body });
  lastUid += 1;
  const mail = { uid: lastUid, raw, sizeBytes: raw.length, isTruncated: false, receivedAt: now() };
  await recordIncoming(db, 'box', [mail], { uidValidity: 1, lastUid });
  const [received] = await nextReceived(db, 0, { count: 1, bytes: 0 });
  assert.ok(received);
  const taken = await takeMessage(stage.intake, { received, message: await parseMessage(received.raw) });
  if (taken.kind === 'queries') for (const desk of stage.desks) desk.wake();
  return {
    taken,
    answer: () =>
      until(async () => {
        const row = await db('messages').first('raw').where({ in_reply_to_message: received.id });
        return row && { ...(await parseMessage(row.raw)), raw: row.raw as Buffer };
      }),
  };
}

export const replyTo = ({ headers }: ParsedMessage): string =>
  /<(.*)>/.exec(headers.get('reply-to')?.[0] ?? '')?.[1] ?? '';
export const audit = (query: string) =>
  stage.database
    .db('sql_queries')
    .select('asked_by', 'state', 'outcome', 'error', 'row_count')
    .where({ query })
    .orderBy('id');

/** A conversation that was confirmed. @returns where to write to, and the answer to its first query */
export async function confirmed(query: string, from = ADMIN) {
  const question = await (await send('[sql] Look', query, { from })).answer();
  const answer = await (
    await send(`Re: ${question.subject}`, 'yes', { from, to: replyTo(question) })
  ).answer();
  return { to: replyTo(answer), answer };
}
