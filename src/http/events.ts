import type { Happening } from '../activity.ts';
import { listSessions } from '../store/session-lists.ts';
import { readPause } from '../store/pause.ts';
import { tooMany } from './problem.ts';
import type { ApiRequest, Reply } from './route.ts';
import { listBody } from './schemas.ts';
import { withoutSecrets } from './said.ts';
import { shownPause, shownSession } from './shown.ts';

/** Proxies close what is silent for longer; and so often it is asked whether the watcher would still be let in. */
const BEAT_MS = 15_000;
const MOST_WATCHERS = 50;
const SNAPSHOT_SESSIONS = 200;
/** Of one who reads slower than things happen, so many are held back; then the connection ends, and begins anew. */
const MOST_UNREAD = 1_000;

type Watching = Pick<ApiRequest<unknown, unknown>, 'parts' | 'headers' | 'signal' | 'isStillLetIn'>;

/** One event as it goes over the wire (WHATWG HTML, 9.2.6). JSON has no line breaks, so no line can be forged. */
export const eventText = ({ id, event, data }: Happening): string =>
  `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

/** Tells what happens until the client goes. Whoever comes back with the id of what they saw last misses nothing. */
export function streamEvents({ parts, headers, signal, isStillLetIn }: Watching): Reply {
  if (parts.activity.listenerCount >= MOST_WATCHERS) return { problem: tooMany(30) };
  const { activity } = parts;
  const lastSeen = headers.get('last-event-id');
  const missed = lastSeen === null ? null : activity.since(lastSeen);
  const encoder = new TextEncoder();
  let end = (): void => undefined;
  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        let isEnded = false;
        // Some have asked for something before, and come back when the client has gone.
        const write = (text: string): void => {
          if (isEnded) return;
          const { desiredSize } = controller;
          if (desiredSize === null || desiredSize < -MOST_UNREAD) end();
          else controller.enqueue(encoder.encode(text));
        };
        /** What happens while the snapshot is looked up comes after it. */
        let held: Happening[] | null = [];
        const stopListening = activity.listen((happening) => {
          if (held) held.push(happening);
          else write(eventText(happening));
        });
        const beat = setInterval(() => {
          isStillLetIn().then(
            (isLetIn) => (isLetIn ? write(': beat\n\n') : end()),
            // The database is away: whoever was let in stays.
            () => write(': beat\n\n'),
          );
        }, BEAT_MS);
        end = () => {
          if (isEnded) return;
          isEnded = true;
          clearInterval(beat);
          stopListening();
          signal.removeEventListener('abort', end);
          try {
            controller.close();
          } catch {
            // The client has gone: it is closed already.
          }
        };
        signal.addEventListener('abort', end, { once: true });
        if (signal.aborted) return end();
        // Two seconds, unless the client knows better.
        write('retry: 2000\n\n');
        const beginning = missed ? Promise.resolve(missed) : snapshot(parts).then((one) => [one]);
        beginning.then(
          (first) => {
            if (isEnded) return;
            for (const happening of [...first, ...(held ?? [])]) write(eventText(happening));
            held = null;
          },
          (error: unknown) => {
            parts.log.debug({ err: error }, 'a watcher could not be told what there is');
            end();
          },
        );
      },
      cancel: () => end(),
    },
    { highWaterMark: 16 },
  );
  return new Response(stream, {
    headers: { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' },
  });
}

/** What there is now. Its id is of the moment before it was looked up: nothing is missed, and some may come twice. */
async function snapshot(parts: Watching['parts']): Promise<Happening> {
  const { db, config, activity, now } = parts;
  const id = activity.lastId;
  const page = { limit: SNAPSHOT_SESSIONS, before: null };
  const [sessions, pause] = await Promise.all([listSessions(db, { isActive: true }, page), readPause(db)]);
  const at = now();
  const items = await withoutSecrets(parts, sessions.items.map((one) => shownSession(one, config, at))); // prettier-ignore
  const listed = listBody({ ...sessions, items }, (one) => one);
  return { id, event: 'snapshot', data: { at, sessions: listed, pause: shownPause(pause) } };
}
