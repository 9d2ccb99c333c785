/** A thread that has a container now. */
export type ActiveSession = { threadId: string; userId: number; lastActivityAt: Date; isBusy: boolean };

/** Whose containers must go for one more, or whose limit it must wait for. */
export type Room = { evict: string[] } | { wait: 'user' | 'host' };

/**
 * Room for the container of one thread: the user's own longest idle ones go first, then the longest idle of all. One at
 * work never goes. Nothing goes where that would not be enough.
 */
export function chooseVictims({
  sessions,
  userId,
  threadId,
  maxPerUser,
  maxOnHost,
}: {
  sessions: readonly ActiveSession[];
  userId: number;
  /** Its own container, if it has one, takes no other's place. */
  threadId: string;
  maxPerUser: number;
  maxOnHost: number;
}): Room {
  const others = sessions.filter((session) => session.threadId !== threadId);
  const own = others.filter((session) => session.userId === userId);
  const ofUser = longestIdle(own, own.length + 1 - maxPerUser);
  if (ofUser === null) return { wait: 'user' };
  const left = others.filter((session) => !ofUser.includes(session));
  const ofHost = longestIdle(left, left.length + 1 - maxOnHost);
  if (ofHost === null) return { wait: 'host' };
  return { evict: [...ofUser, ...ofHost].map((session) => session.threadId) };
}

const BYTES_PER_CONTAINER = 1024 ** 3;
const FEWEST_ON_HOST = 4;

/**
 * How many containers one host has at the same time.
 *
 * @param host `setTo`: by HOST_MAX_CONTAINERS; null: one for each GiB of its memory
 */
export function hostLimit({ setTo, memoryBytes }: { setTo: number | null; memoryBytes: number }): number {
  return setTo ?? Math.max(FEWEST_ON_HOST, Math.floor(memoryBytes / BYTES_PER_CONTAINER));
}

/** So many of them, or null when too few are idle. Of those idle equally long, the order of their names decides. */
function longestIdle(sessions: readonly ActiveSession[], count: number): ActiveSession[] | null {
  if (count <= 0) return [];
  const idle = sessions.filter((session) => !session.isBusy);
  if (idle.length < count) return null;
  const order = idle.toSorted(
    (one, other) =>
      one.lastActivityAt.getTime() - other.lastActivityAt.getTime() ||
      (one.threadId < other.threadId ? -1 : 1),
  );
  return order.slice(0, count);
}
