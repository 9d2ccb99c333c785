import { get, listPath } from './api.js';
import { cancelQuestion } from './containers.js';
import { confirmThen } from './dialog.js';
import { ago, bytes, duration, el, moment, plain } from './dom.js';

/** Shown at first of a list; the rest comes when it is asked for. */
const PORTION = 50;
const GROWS_EVERY_MS = 3_000;

/** Threads that ever had a command, the last used first. */
export async function showThreads(place, { search }) {
  const rows = el('tbody', {});
  await fill(place, rows, {
    path: '/threads',
    wanted: { q: search },
    heading: ['Thread', 'User', 'Repository', 'Commands', 'Last used'],
    empty: 'There is no thread yet.',
    row: (thread) => [
      el('a', { href: `#/threads/${encodeURIComponent(thread.id)}` }, thread.id),
      thread.user.address,
      thread.repository,
      el(
        'span',
        {},
        thread.commandCount,
        thread.hasContainer && el('span', { class: 'chip calm' }, 'container'),
      ),
      moment(thread.lastCommandAt, ago(thread.lastCommandAt, Date.now())),
    ],
  });
}

/** One thread: its commands, each with its output when it is opened. */
export async function showThread(place, { threadId, isAdmin, refresh, opened }) {
  const path = `/threads/${encodeURIComponent(threadId)}/commands`;
  const list = el('ol', { class: 'commands' });
  /** What still runs and is open: its output grows. */
  const growing = new Map();
  const more = el('button', { type: 'button', onclick: () => void load(next) }, 'Show older');
  let next = null;
  const load = async (cursor) => {
    const { items, nextCursor } = await get(listPath(path, { limit: PORTION, cursor }));
    list.append(...items.map((one) => commandItem(one, { isAdmin, refresh, opened, growing })));
    more.hidden = nextCursor === null;
    next = nextCursor;
  };
  await load(null);
  place.replaceChildren(
    el('p', {}, el('a', { href: '#/threads' }, '← All threads')),
    el('h2', { class: 'thread-title' }, threadId),
    list,
    more,
  );
  return { every: { ms: GROWS_EVERY_MS, act: () => growing.forEach((load) => void load()) } };
}

const TONES = { finished: 'good', running: 'busy', queued: 'calm', cancelled: 'calm' };

function commandItem(command, { isAdmin, refresh, opened, growing }) {
  const { id, state, exitCode, script, durationMs, controlWord } = command;
  const body = el('div', { class: 'command-body' });
  const isGood = state === 'finished' && (exitCode === 0 || controlWord !== null);
  const tone = state === 'finished' && !isGood ? 'bad' : (TONES[state] ?? 'bad');
  const words =
    state === 'finished' && controlWord === null ? `exit ${exitCode ?? '?'}` : state.replace('_', ' ');
  const isOpen = state === 'running' || state === 'queued';
  const details = el(
    'details',
    { open: opened.has(id) },
    el(
      'summary',
      {},
      el('span', { class: `chip ${tone}` }, words),
      el('code', { class: 'first-line' }, firstLine(script)),
      el(
        'span',
        { class: 'dim when' },
        durationMs === null ? '' : `${duration(durationMs / 1000)} · `,
        moment(command.createdAt),
      ),
    ),
    body,
  );
  const load = () =>
    showCommand(body, id).catch((error) =>
      body.replaceChildren(el('p', { class: 'problem' }, error.message)),
    );
  details.addEventListener('toggle', () => {
    if (!details.open) {
      opened.delete(id);
      growing.delete(id);
      return;
    }
    opened.add(id);
    if (state === 'running') growing.set(id, load);
    void load();
  });
  const cancel = () =>
    confirmThen({
      ...cancelQuestion(id, command.threadId),
      act: async () => {
        const outcome = await cancelQuestion(id, command.threadId).act();
        refresh();
        return outcome;
      },
    });
  return el(
    'li',
    {},
    details,
    isAdmin &&
      isOpen &&
      controlWord === null &&
      el(
        'button',
        { type: 'button', class: 'grave', onclick: cancel, 'aria-label': `Cancel command ${id}` },
        'Cancel',
      ),
  );
}

async function showCommand(body, id) {
  const command = await get(`/commands/${id}`);
  const { script, output, error, branch, outputBytes, cancelledBy } = command;
  const facts = [
    `Command ${id}`,
    branch && `on ${branch}`,
    outputBytes === null ? null : `${bytes(outputBytes)} of output`,
    cancelledBy && `cancelled by ${cancelledBy}`,
  ].filter(Boolean);
  body.replaceChildren(
    el('p', { class: 'dim' }, facts.join(' · ')),
    el('pre', { class: 'script', tabindex: 0, 'aria-label': 'Command' }, plain(script).trim()),
    error === null ? '' : el('p', { class: 'problem' }, error),
    ...outputParts(id, output),
  );
}

function outputParts(id, output) {
  if (output === null) return [el('p', { class: 'dim' }, 'Nothing is kept of its output.')];
  const { head, tail, omittedBytes, hasLog, isLive } = output;
  const text = omittedBytes > 0 ? `${head}\n… ${bytes(omittedBytes)} left out …\n${tail}` : head + tail;
  const shown = plain(text);
  return [
    isLive ? el('p', { class: 'dim' }, 'So far, the last of it:') : '',
    shown.trim() === ''
      ? el('p', { class: 'dim' }, 'It wrote nothing.')
      : el('pre', { class: 'output', tabindex: 0, 'aria-label': 'Output' }, shown),
    el(
      'p',
      {},
      el('a', { href: `/api/v1/commands/${id}/output`, target: '_blank', rel: 'noopener' }, 'As plain text'),
      hasLog ? ' · ' : '',
      hasLog ? el('a', { href: `/api/v1/commands/${id}/log` }, 'All of it (gzip)') : '',
    ),
  ];
}

function firstLine(script) {
  const [line = '', ...rest] = plain(script).trim().split('\n');
  return rest.length > 0 ? `${line} …` : line;
}

/** A table that grows by portions. */
export async function fill(place, rows, { path, wanted, heading, empty, row }) {
  const more = el('button', { type: 'button', class: 'more', onclick: () => void load(next) }, 'Show more');
  let next = null;
  const load = async (cursor) => {
    const { items, nextCursor } = await get(listPath(path, { ...wanted, limit: PORTION, cursor }));
    for (const item of items) {
      const cells = row(item).map((cell, index) => el('td', { 'data-name': heading[index] }, cell));
      rows.append(el('tr', {}, ...cells));
    }
    more.hidden = nextCursor === null;
    next = nextCursor;
    return items.length;
  };
  const found = await load(null);
  const isSearch = wanted.q !== '';
  place.replaceChildren(
    ...(found === 0
      ? [el('p', { class: 'empty' }, isSearch ? 'Nothing is found.' : empty)]
      : [
          el(
            'table',
            {},
            el('thead', {}, el('tr', {}, ...heading.map((name) => el('th', { scope: 'col' }, name)))),
            rows,
          ),
          more,
        ]),
  );
}
