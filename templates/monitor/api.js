// How the page speaks with the bot.

const MOST_TRIES = 4;
const BETWEEN_TRIES_MS = 300;

let csrfToken = null;
let onLoggedOut = () => {};

/** What the bot said against it, in words to be shown. */
export class Refused extends Error {
  /** Of the answer; not there where there was none. */
  status;
}

export function whenLoggedOut(listener) {
  onLoggedOut = listener;
}

/**
 * Browsers break off what is under way when a network of their machine changes, as it does on the bot's own with each
 * container. Everything may be asked twice, but to be let in by a link.
 */
async function fetched(path, init) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await fetch(`/api/v1${path}`, init);
    } catch (error) {
      if (tries === MOST_TRIES || path === '/login/link') {
        throw new Refused('The bot does not answer.', { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_TRIES_MS));
    }
  }
}

async function ask(method, path, body) {
  const response = await fetched(path, {
    method,
    headers: {
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...(csrfToken !== null && { 'X-CSRF-Token': csrfToken }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  const answer = isJson ? await response.json() : await response.text();
  if (response.ok) return answer;
  if (response.status === 401 && !path.startsWith('/login')) onLoggedOut();
  const refused = new Refused(isJson ? answer.detail : `The bot answers ${response.status}.`);
  throw Object.assign(refused, { status: response.status });
}

export const get = (path) => ask('GET', path);
export const post = (path, body = {}) => ask('POST', path, body);

/** Of a list, with what it is asked for. */
function listPath(path, wanted) {
  const given = Object.entries(wanted).filter(
    ([, value]) => value !== '' && value !== null && value !== undefined,
  );
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

/** The API gives no more of a list at once. */
const MOST_AT_ONCE = 200;

/**
 * The beginning of a list, as far as it was shown before: what was asked for stays when it is drawn anew.
 *
 * @param {{ wanted?: number }} memory of the view
 */
export async function getPart(path, filter, memory, portion) {
  const wanted = memory.wanted ?? portion;
  const items = [];
  let cursor = null;
  do {
    const limit = Math.min(MOST_AT_ONCE, wanted - items.length);
    const part = await get(listPath(path, { ...filter, limit, cursor }));
    items.push(...part.items);
    cursor = part.nextCursor;
  } while (cursor !== null && items.length < wanted);
  return { items, nextCursor: cursor };
}

/** @returns who is logged in, or null */
export async function whoAmI() {
  const response = await fetched('/session');
  if (!response.ok) return null;
  return remember(await response.json());
}

export async function logIn(token) {
  return remember(await post('/login', { token }));
}

export async function logInByLink(secret) {
  return remember(await post('/login/link', { secret }));
}

export async function logOut() {
  await post('/logout');
  csrfToken = null;
}

function remember(who) {
  ({ csrfToken } = who);
  return who;
}

const EVENTS = [
  'snapshot',
  'pause',
  'message:taken',
  'command:queued',
  'command:started',
  'command:ended',
  'command:cancelled',
  'container:created',
  'container:restored',
  'container:idle-warning',
  'container:extended',
  'container:saved',
  'container:cleaned',
  'container:evicted',
  'container:save-failed',
];

/**
 * Hears what happens. The browser comes back by itself, and says what it saw last.
 *
 * @returns what ends it
 */
export function watch({ onEvent, onState }) {
  const source = new EventSource('/api/v1/events');
  source.addEventListener('open', () => onState('live'));
  source.addEventListener('error', () => {
    onState('away');
    // Refused for good, as when the session is over: whoAmI tells.
    if (source.readyState === EventSource.CLOSED) {
      whoAmI().then(
        (who) => (who ? setTimeout(() => onState('closed'), 3000) : onLoggedOut()),
        () => setTimeout(() => onState('closed'), 3000),
      );
    }
  });
  for (const name of EVENTS) {
    source.addEventListener(name, ({ data }) => onEvent(name, JSON.parse(data)));
  }
  return () => source.close();
}
