import { get, getPart } from './api.js';
import { cancelQuestion } from './containers.js';
import { confirmThen } from './dialog.js';
import { ago, bytes, duration, el, moment, plain } from './dom.js';

/** Shown at first of a list; the rest comes when it is asked for. */
const PORTION = 50;
const GROWS_EVERY_MS = 3_000;

/** Threads that ever had a command, the last used first. */
export async function showThreads(place, { search, memory, refresh }) {
  await fill(place, {
    path: '/threads',
    filter: { q: search },
    heading: ['Thread', 'User', 'Repository', 'Commands', 'Last used'],
    empty: 'There is no thread yet.',
    row: (thread) => [
      el('a', { href: threadLink(thread.id) }, el('bdi', {}, thread.id)),
      thread.user.address,
      thread.repository,
      el(
        'span',
        {},
        `${thread.commandCount} `,
        thread.hasContainer && el('span', { class: 'chip calm' }, 'container'),
      ),
      moment(thread.lastCommandAt, ago(thread.lastCommandAt, Date.now())),
    ],
    memory,
    refresh,
  });
}

/** One thread: its commands, each with its output when it is opened; or its mails. */
export async function showThread(place, context) {
  const { threadId, part } = context;
  const inside = el('div', {});
  const link = (words, to) => {
    const isCurrent = (part === 'mails') === (to === 'mails');
    return el('a', { href: threadLink(threadId, to), 'aria-current': isCurrent && 'page' }, words);
  };
  place.replaceChildren(
    el('p', {}, el('a', { href: '#/threads' }, '← All threads')),
    el('h2', { class: 'thread-title' }, el('bdi', {}, threadId)),
    el('nav', { class: 'parts', 'aria-label': 'Of this thread' }, link('Commands'), link('Mails', 'mails')),
    inside,
  );
  return part === 'mails' ? showMails(inside, context) : showCommands(inside, context);
}

async function showCommands(place, { threadId, isAdmin, refresh, opened, memory, search }) {
  const path = `/threads/${encodeURIComponent(threadId)}/commands`;
  /** What still runs and is open: its output grows. */
  const growing = new Map();
  const { items, nextCursor } = await getPart(path, { q: search }, memory, PORTION);
  const context = { isAdmin, refresh, opened, growing };
  place.replaceChildren(
    items.length === 0 ? el('p', { class: 'empty' }, 'Nothing is found.') : '',
    el('ol', { class: 'commands' }, ...items.map((one) => commandItem(one, context))),
    moreButton({ items, nextCursor }, { memory, refresh }),
  );
  return { every: { ms: GROWS_EVERY_MS, act: () => growing.forEach((load) => void load()) } };
}

/** What went in and out, and what became of it. What a mail says is for who it is for. */
async function showMails(place, { threadId, memory, refresh, search }) {
  const { items } = await fill(place, {
    path: '/messages',
    filter: { thread: threadId, q: search },
    heading: ['When', 'Mail', 'Subject', 'Outcome'],
    empty: 'There is no mail of this thread.',
    row: (mail) => [
      moment(mail.at),
      mail.direction === 'in' ? `from ${mail.address}` : `to ${mail.address}`,
      el('bdi', {}, mail.subject ?? '–'),
      fateOf(mail),
    ],
    memory,
    refresh,
  });
  const isWaiting = items.some(({ delivery }) => delivery === 'waiting');
  return { every: { ms: GROWS_EVERY_MS, act: () => isWaiting && refresh() } };
}

const DELIVERY = {
  waiting: ['waits to be sent', 'busy'],
  sent: ['sent', 'good'],
  failed: ['not delivered', 'bad'],
  bounced: ['came back', 'bad'],
};

function fateOf({ direction, outcome, reason, commandId, commandState, delivery, deliveryError }) {
  const about = commandId === null ? '' : `command ${commandId}`;
  if (direction === 'in') {
    const tone = outcome === 'failed' ? 'bad' : 'calm';
    const words = { command: about, answered: 'answered', dropped: 'dropped', failed: 'failed' }[outcome];
    const why = outcome === 'command' ? (commandState ?? '').replace('_', ' ') : (reason ?? '');
    return el('span', {}, el('span', { class: `chip ${tone}` }, words ?? 'not taken yet'), ` ${why}`);
  }
  const [words, tone] = DELIVERY[delivery] ?? ['not sent', 'calm'];
  const more = [about, deliveryError].filter(Boolean).join(': ');
  return el('span', {}, el('span', { class: `chip ${tone}` }, words), ` ${more}`);
}

const threadLink = (id, part) => `#/threads/${encodeURIComponent(id)}${part ? `/${part}` : ''}`;

const TONES = { finished: 'good', running: 'busy', queued: 'calm', cancelled: 'calm' };

function commandItem(command, { isAdmin, refresh, opened, growing }) {
  const { id, state, exitCode, script, durationMs, controlWord } = command;
  // Drawn anew, it keeps what is read in it, and its place.
  const body = opened.get(id) ?? el('div', { class: 'command-body' });
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
    opened.set(id, body);
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

/** @param shown what is shown of a list now */
function moreButton({ items, nextCursor }, { memory, refresh }) {
  const showMore = () => {
    memory.wanted = items.length + PORTION;
    refresh();
  };
  if (nextCursor === null) return '';
  return el('button', { type: 'button', class: 'more', onclick: showMore }, 'Show more');
}

/** A table that grows by portions. @returns what is shown */
export async function fill(place, { path, filter, heading, empty, row, memory, refresh }) {
  const shown = await getPart(path, filter, memory, PORTION);
  if (shown.items.length === 0) {
    const words = filter.q === '' ? empty : 'Nothing is found.';
    place.replaceChildren(el('p', { class: 'empty' }, words));
    return shown;
  }
  const rows = shown.items.map((item) => {
    const cells = row(item).map((cell, index) =>
      el('td', { role: 'cell', 'data-name': heading[index] }, cell),
    );
    return el('tr', { role: 'row' }, ...cells);
  });
  const names = heading.map((name) => el('th', { role: 'columnheader', scope: 'col' }, name));
  place.replaceChildren(
    // The roles are said, as the table of a phone is none by its looks.
    el(
      'table',
      { role: 'table' },
      el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...names)),
      el('tbody', { role: 'rowgroup' }, ...rows),
    ),
    moreButton(shown, { memory, refresh }),
  );
  return shown;
}
