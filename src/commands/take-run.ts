import { isDatabaseAway } from '../store/database.ts';
import type { TakenMessage } from '../store/taken.ts';
import { judge, type Intake, type Judged, type ReadMail } from './judge.ts';
import type { Taken } from './settle.ts';
import { takenAs } from './take-message.ts';

type Plain = Judged & { kind: 'plain' };

/**
 * The beginning of a run of mails of one sender, taken at once: as far as each comes to nothing but rows, and what it comes
 * to cannot depend on those of the run before it. All of it is stored in one transaction, in the order of the run. What is
 * left is to be taken one after the other, as if none of it had been looked at.
 *
 * @param run two or more; those of the sender before them are settled
 * @returns what became of as many of the first as were taken; null of what another process has handled
 * @throws when the database is away, or what the run has to itself cannot be asked; nothing is taken then
 */
export async function takeRun(intake: Intake, run: readonly ReadMail[]): Promise<(Taken | null)[]> {
  const judged = await Promise.all(run.map((mail) => judgeAhead(intake, mail)));
  const rooms = await roomsFor(intake, run, judged);
  const taken = untilDependent(run, judged, rooms);
  if (taken.length === 0) return [];
  try {
    const stored = await intake.queries.storeRun(taken);
    return taken.map((message, place) => {
      const one = stored[place];
      if (one) return takenAs(intake, message, one);
      intake.log.warn({ message: message.id }, 'another process has handled a message');
      return null;
    });
  } catch (error) {
    // One of them is to blame, and will be found when they are taken one by one.
    if (isDatabaseAway(error)) throw error;
    return [];
  }
}

/** @returns null for what has to be looked at in its turn */
async function judgeAhead(intake: Intake, mail: ReadMail): Promise<Plain | null> {
  try {
    const judged = await judge(intake, mail);
    return judged.kind === 'plain' ? judged : null;
  } catch (error) {
    // It is met again in its turn, and told of there.
    if (isDatabaseAway(error)) throw error;
    return null;
  }
}

/** How many mails more the caps have room for, from the beginning of the run, for each thread of its commands. */
async function roomsFor(
  { hourlyCaps }: Intake,
  run: readonly ReadMail[],
  judged: readonly (Plain | null)[],
): Promise<Map<string | null, number>> {
  const messageId = run[0]?.received.id ?? 0;
  const commands = judged.filter((one) => one !== null).filter(({ command }) => command !== null);
  const [address] = commands.map(({ toStore }) => toStore.facts?.address ?? '');
  if (address === undefined) return new Map();
  const threadIds = [...new Set(commands.map(({ command }) => command?.thread?.id ?? null))];
  return new Map(
    await Promise.all(
      threadIds.map(async (threadId) => {
        const room = await hourlyCaps.roomFrom({ address, threadId, messageId }, run.length);
        return [threadId, room] as const;
      }),
    ),
  );
}

/**
 * Those before the first that has to wait for them. A command's thread need not be there: whoever comes first makes it. And
 * none is an echo of one before it in the run, to which there is no answer yet.
 */
export function untilDependent(
  run: readonly { received: { raw: Buffer } }[],
  judged: readonly (Plain | null)[],
  rooms: ReadonlyMap<string | null, number>,
): TakenMessage[] {
  const taken: TakenMessage[] = [];
  const seen = { ids: new Set<string>(), subjects: new Set<string>(), bodies: new Map<string, Buffer[]>() };
  for (const [place, one] of judged.entries()) {
    if (one === null) break;
    const { toStore, command } = one;
    const { facts } = toStore;
    if (command && (rooms.get(command.thread?.id ?? null) ?? 0) <= place) break;
    const raw = run[place]?.received.raw ?? Buffer.alloc(0);
    if (facts) {
      const { messageId, subjectKey, bodyHash, signatureIds = [] } = facts;
      const ids = [...(messageId === null ? [] : [messageId]), ...signatureIds];
      const copies = seen.bodies.get(bodyHash) ?? [];
      const isDependent =
        [...ids, ...(command?.answers ?? [])].some((id) => seen.ids.has(id)) ||
        (command?.isBySubject && seen.subjects.has(subjectKey)) ||
        copies.some((copy) => copy.equals(raw));
      if (isDependent) break;
      for (const id of ids) seen.ids.add(id);
      seen.subjects.add(subjectKey);
      seen.bodies.set(bodyHash, [...copies, raw]);
    }
    taken.push(toStore);
  }
  return taken;
}
