import { composeUserMail } from '../../src/mail/user-mail.ts';
import { inContainer } from '../support/engine.ts';
import { BOT, type ProcessStage } from '../support/process-stage.ts';
import { until } from '../support/until.ts';

/** What came of all mails, counted where it happened: in the workspaces, at the SMTP server and in the mailbox. */
type Tally = {
  mailsIn: number;
  commandsStarted: number;
  answersOut: number;
  /** Mails whose command never ran, or that got no answer. */
  lost: number;
  runTwice: number;
  outOfOrder: number;
  /** Answers that say that they do not know what came of the command. */
  interrupted: number;
  /** The same mail once more, under the same Message-ID. */
  sentTwice: number;
  /** Another answer to the same mail. */
  answeredTwice: number;
  /** Mails that do not lie in `Processed`, each once. */
  misfiled: number;
};

export type Flow = {
  /** Sends the next mail, as a mail server does: until it is taken. */
  send: () => Promise<void>;
  /** Resolves when every mail is answered, and nothing is to be sent any more. */
  answered: (timeoutMs: number) => Promise<void>;
  /** Resolves when all mail is filed. */
  filed: (timeoutMs: number) => Promise<void>;
  tally: () => Promise<Tally>;
};

const SENDERS = 5;
const addressOf = (number: number): string => `user${number % SENDERS}@example.com`;

/** Mails of a few senders, each with a command that leaves its number in its workspace. */
export function startFlow(stage: ProcessStage, random: () => number): Flow {
  const sent: string[] = [];
  const users = Array.from({ length: SENDERS }, (_, number) => addressOf(number));
  /** Of each mail that was sent, all that was answered. */
  async function answers(): Promise<string[][]> {
    const received = await stage.received(users);
    const all = received.filter((source) => /^X-Threadbox: answer\r?$/m.test(source));
    return sent.map((id) => all.filter((source) => source.includes(`In-Reply-To: ${id}`)));
  }
  const messageId = (source: string): string => /^Message-ID: (.*?)\r?$/im.exec(source)?.[1] ?? '';

  async function ranIn(address: string): Promise<number[]> {
    const session = await stage
      .db('container_sessions')
      .where({ thread_id: `${address}-sample`, is_active: true })
      .first();
    if (!session) return [];
    const lines = await inContainer(session.container_id as string, 'cat /workspace/ran');
    return lines.trim().split('\n').map(Number);
  }

  return {
    async send() {
      const number = sent.length;
      const { raw, messageId: id } = await composeUserMail({
        from: addressOf(number),
        to: BOT,
        subject: `[sample] Number ${number}`,
        body: `echo ${number} >> /workspace/ran; sleep ${random().toFixed(2)}; echo done ${number}`,
      });
      sent.push(id);
      await until(async () => {
        try {
          await stage.deliver(raw);
          return true;
        } catch {
          return false;
        }
      });
    },
    async answered(timeoutMs) {
      await until(async () => (await answers()).every((copies) => copies.length > 0), timeoutMs);
      await until(async () => !(await stage.db('outbox').where({ state: 'waiting' }).first()), timeoutMs);
    },
    filed: async (timeoutMs) =>
      void (await until(
        async () => !(await stage.db('messages').where({ direction: 'in', filed_at: null }).first()),
        timeoutMs,
      )),
    async tally() {
      const ran = await Promise.all(users.map(ranIn));
      const all = ran.flat();
      const got = await answers();
      const ids = got.map((copies) => new Set(copies.map(messageId)));
      const { Processed = [] } = await stage.dovecot.listed(BOT);
      const subjects = Processed.map(({ subject }) => subject);
      const filed = sent.filter(
        (_, number) => subjects.filter((one) => one === `[sample] Number ${number}`).length === 1,
      );
      return {
        mailsIn: sent.length,
        commandsStarted: new Set(all).size,
        answersOut: ids.reduce((sum, { size }) => sum + size, 0),
        lost: sent.filter((_, number) => !all.includes(number) || got[number]?.length === 0).length,
        runTwice: all.length - new Set(all).size,
        outOfOrder: ran.filter((numbers) =>
          numbers.some((number, index) => number < (numbers[index - 1] ?? 0)),
        ).length,
        interrupted: got.flat().filter((source) => /^Interrupted /m.test(source)).length,
        sentTwice: got.reduce((sum, copies, index) => sum + copies.length - (ids[index]?.size ?? 0), 0),
        answeredTwice: ids.reduce((sum, { size }) => sum + Math.max(0, size - 1), 0),
        misfiled: sent.length - filed.length,
      };
    },
  };
}

/** What must hold of every run; a copy sent twice under one Message-ID is allowed. */
export const FAULTLESS = {
  lost: 0,
  runTwice: 0,
  outOfOrder: 0,
  interrupted: 0,
  answeredTwice: 0,
  misfiled: 0,
};

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `npm run test:faults` sets it. */
export const isLong = process.env['FAULTS'] === 'long';
export const seed = Number(process.env['FAULT_SEED'] ?? Math.floor(Math.random() * 1e9));
/** One incident alone, by its name. */
export const only = process.env['FAULT_ONLY'];
