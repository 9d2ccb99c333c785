import { askedQueries, savedBy } from '../admin/asked-queries.ts';
import { SHIPPED_QUERIES } from '../admin/shipped-queries.ts';
import type { Config } from '../config.ts';
import type { ParsedMessage } from '../mail/parse.ts';
import { stripReplyPrefixes } from '../mail/reply-prefixes.ts';
import { readTyped, type Typed } from '../mail/reply-text.ts';
import { renderSqlNotice, type SqlNotice } from '../mail/sql-notices.ts';
import type { Db } from '../store/database.ts';
import type { HourlyCaps } from '../store/hourly.ts';
import { settleMessage, type MessageFacts, type ReceivedMessage } from '../store/messages.ts';
import { listRepositoriesFor } from '../store/repositories.ts';
import {
  confirmSqlConversation,
  declineSqlConversation,
  listSavedQueries,
  openSqlConversation,
  queuedQueries,
  recordQueries,
  recordRefusedQuery,
  refuseWaiting,
  sqlConversationsOf,
  waitingQueries,
  type AskedQuery,
  type SqlConversation,
} from '../store/sql-queries.ts';
import { tokenKey } from '../store/threads.ts';
import { isAdmin } from '../store/users.ts';
import { nameGiven, replyToken, repositoryTag, SQL_NAME } from '../threads/identity.ts';
import { matchToken } from '../threads/reply-token.ts';
import { answerMessage } from './answer-message.ts';
import { dropOverCap } from './hold-caps.ts';
import { kindOf, nextStep, type ConversationState } from './sql-conversation.ts';
import { answerOnly, messageOf, type SettleParts, type Taken } from './settle.ts';

export type SqlParts = SettleParts & {
  config: Pick<Config, 'botAddress' | 'replyToken' | 'adminAddresses' | 'sqlByMail' | 'imap' | 'senderAuth'>;
  hourlyCaps: HourlyCaps;
};

const HOUR_MS = 3_600_000;
/** How long a question to confirm is good for, and how long a conversation is trusted from then on. */
const CONFIRM_WITHIN_MS = HOUR_MS;
const TRUSTED_MS = 12 * HOUR_MS;

/** What a token is made for: no thread's id is like it, as all of those have an @. */
export const sqlTokenOf = (conversationId: number): string => `sql:${conversationId}`;

/**
 * The way of a message with queries of an admin, whose sender is verified. The first one of a conversation is answered
 * with a question that only the reader of the sender's mailbox can answer, as only there is the token.
 *
 * @returns null where it is none, also for who is no admin: to them there is no such thing
 */
export async function takeSql(
  parts: SqlParts,
  received: ReceivedMessage,
  facts: MessageFacts,
  message: ParsedMessage,
): Promise<Taken | null> {
  const { db, config, now } = parts;
  const sender = facts.address as string;
  const isAddressed = await addressed(parts, sender, message);
  if (!isAddressed) return null;
  const { conversation } = isAddressed;
  if (!(await isAdmin(db, config, sender))) {
    // One that was registered before the name was taken is a repository to them.
    if (!(await listRepositoriesFor(db, sender)).some(({ name }) => name.toLowerCase() === SQL_NAME)) {
      const refused = { query: message.text.slice(0, 2_000), reason: 'not an admin', messageId: received.id };
      await recordRefusedQuery(db, { via: 'mail', askedBy: sender }, { ...refused, now: now() });
    }
    return null;
  }
  const overCap = await dropOverCap(parts, received, facts, { threadId: null, isControl: false });
  if (overCap) return overCap;
  const say = (notice: SqlNotice, alsoRecord?: (transaction: Db) => Promise<unknown>): Promise<Taken> => {
    const refused = { query: message.text.slice(0, 2_000), reason: notice.kind, messageId: received.id };
    return answerOnly(parts, received, facts, {
      reason: notice.kind,
      content: renderSqlNotice(notice),
      record: async (transaction) => {
        await recordRefusedQuery(transaction, { via: 'mail', askedBy: sender }, { ...refused, now: now() });
        await alsoRecord?.(transaction);
      },
    });
  };
  if (config.imap !== null && config.senderAuth === 'none') return say({ kind: 'sql-no-sender-check' });
  if (!config.replyToken) return say({ kind: 'sql-no-token' });

  const saved = savedBy(await queuedQueries(db), await listSavedQueries(db));
  const known = [...SHIPPED_QUERIES, ...saved];
  const state = stateOf(conversation, now());
  const typed = typedIn(message);
  const step = nextStep(state, kindOf(typed, known));
  const nothingWaits: SqlNotice = { kind: 'sql-nothing-waits', isTrusted: state === 'trusted' };
  if (step === 'decline') {
    return say({ kind: 'sql-declined' }, async (transaction) => {
      if (conversation) await declineSqlConversation(transaction, conversation.id, now());
    });
  }
  if (step === 'nothing-waits') return say(nothingWaits);
  if (step === 'empty') return say({ kind: 'sql-empty' });
  if (typed.doubt !== null && step === 'unsure') {
    return say({ kind: 'sql-unsure', understood: typed.text, doubt: typed.doubt });
  }
  if (step === 'ask-again' && conversation) {
    const queries = await waitingQueries(db, conversation.id);
    if (queries.length === 0) return say(nothingWaits);
    const why = state === 'late' ? 'late' : 'unclear';
    return ask(parts, received, facts, { conversation, queries, why });
  }
  const asked =
    step === 'confirm' && kindOf(typed, known) === 'yes' ? { queries: [] } : askedQueries(typed.text, known);
  if ('fault' in asked) return say({ kind: 'sql-fault', fault: asked.fault });
  const { queries } = asked;
  if (conversation && (step === 'run' || step === 'confirm')) {
    return queue(parts, received, facts, { conversation, queries, isConfirming: step === 'confirm' });
  }
  if (queries.length === 0) return say({ kind: 'sql-empty' });
  const why = state === 'late' || state === 'over' ? state : 'first';
  return ask(parts, received, facts, { conversation, queries, why });
}

/** Whether {@link takeSql} has to be asked: it is for the database by its words, whoever has sent it. */
export async function isForSql(parts: SqlParts, sender: string, message: ParsedMessage): Promise<boolean> {
  return (await addressed(parts, sender, message)) !== null;
}

/** @returns null where it is for nobody's database */
async function addressed(
  parts: SqlParts,
  sender: string,
  message: ParsedMessage,
): Promise<{ conversation: SqlConversation | null } | null> {
  const { config } = parts;
  if (!config.sqlByMail) return null;
  const named = nameGiven(message, config.botAddress)?.toLowerCase() === SQL_NAME;
  // As with threads: another name in the subject goes before what is answered.
  if (repositoryTag(message.subject) !== null && !named) return null;
  const conversation = await conversationOf(parts, sender, message);
  return conversation || named ? { conversation } : null;
}

function stateOf(conversation: SqlConversation | null, now: Date): ConversationState {
  if (!conversation) return 'first';
  const { trustedUntil, createdAt } = conversation;
  if (trustedUntil !== null) return now < trustedUntil ? 'trusted' : 'over';
  return now.getTime() - createdAt.getTime() <= CONFIRM_WITHIN_MS ? 'waits' : 'late';
}

/** The conversation that the token of a mail is of. Nobody else's token is anything. */
async function conversationOf(
  { db, config, now }: SqlParts,
  sender: string,
  { recipients }: ParsedMessage,
): Promise<SqlConversation | null> {
  const token = config.replyToken ? replyToken(recipients, config.botAddress) : null;
  if (token === null) return null;
  const all = await sqlConversationsOf(db, sender);
  if (all.length === 0) return null;
  const threadIds = all.map(({ id }) => sqlTokenOf(id));
  const match = matchToken(await tokenKey(db), token, { sender, threadIds }, now());
  if (match.kind !== 'good') return null;
  return all.find(({ id }) => sqlTokenOf(id) === match.threadId) ?? null;
}

/** The subject of a fresh mail, where nothing stands in it. */
function typedIn(message: ParsedMessage): Typed {
  const typed = readTyped(message.text);
  const withoutPrefixes = stripReplyPrefixes(message.subject);
  const isReply = message.inReplyTo !== null || withoutPrefixes !== message.subject.trim();
  if (isReply || typed.doubt !== null || typed.text.trim() !== '') return typed;
  return { text: repositoryTag(message.subject)?.rest ?? withoutPrefixes, doubt: null };
}

/** Stored with the mail's outcome, so that they are run once more after a crash, and never forgotten. */
async function queue(
  { db, now, log }: SqlParts,
  received: ReceivedMessage,
  facts: MessageFacts,
  {
    conversation,
    queries,
    isConfirming,
  }: {
    conversation: SqlConversation;
    queries: readonly AskedQuery[];
    isConfirming: boolean;
  },
): Promise<Taken> {
  await db.transaction(async (transaction) => {
    const settled = { outcome: 'answered', reason: 'sql', threadId: null } as const;
    await settleMessage(transaction, received.id, settled, facts);
    if (isConfirming) {
      const until = new Date(now().getTime() + TRUSTED_MS);
      await confirmSqlConversation(transaction, conversation.id, {
        messageId: received.id,
        until,
        now: now(),
      });
    }
    await record(transaction, queries, {
      facts,
      received,
      conversationId: conversation.id,
      state: 'queued',
      now: now(),
    });
  });
  log.info({ message: received.id, queries: queries.length, isConfirming }, 'queries of an admin queued');
  return { kind: 'queries' };
}

async function ask(
  { db, config, now, log }: SqlParts,
  received: ReceivedMessage,
  facts: MessageFacts,
  {
    conversation,
    queries,
    why,
  }: {
    conversation: SqlConversation | null;
    queries: readonly AskedQuery[];
    why: Extract<SqlNotice, { kind: 'sql-confirm' }>['why'];
  },
): Promise<Taken> {
  await db.transaction(async (transaction) => {
    const settled = { outcome: 'answered', reason: 'sql-confirm', threadId: null } as const;
    await settleMessage(transaction, received.id, settled, facts);
    let conversationId = conversation?.id ?? 0;
    // What waits and was not understood waits on, in the same conversation: either question can be answered then.
    if (why !== 'unclear') {
      if (conversation) await refuseWaiting(transaction, conversation.id, 'not confirmed in time', now());
      conversationId = await openSqlConversation(transaction, facts.address as string, now());
      await record(transaction, queries, { facts, received, conversationId, state: 'waiting', now: now() });
    }
    const content = renderSqlNotice({
      kind: 'sql-confirm',
      queries: queries.map(({ query }) => query),
      why,
    });
    const told = { ...content, tokenOf: sqlTokenOf(conversationId) };
    await answerMessage(transaction, config, messageOf(received, facts), told, null, now());
  });
  log.info({ message: received.id, queries: queries.length }, 'queries of an admin wait to be confirmed');
  return { kind: 'answered', reason: 'sql-confirm' };
}

async function record(
  db: Db,
  queries: readonly AskedQuery[],
  {
    facts,
    received,
    conversationId,
    state,
    now,
  }: {
    facts: MessageFacts;
    received: ReceivedMessage;
    conversationId: number;
    state: 'waiting' | 'queued';
    now: Date;
  },
): Promise<void> {
  const asker = { via: 'mail', askedBy: facts.address as string } as const;
  await recordQueries(db, asker, queries, { state, messageId: received.id, conversationId, now });
}
