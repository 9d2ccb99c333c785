import { get } from './api.js';
import { bars, lines } from './charts.js';
import { duration, el, moment } from './dom.js';
import { fill } from './threads.js';

/** What is kept of containers that went, and of those that are there. */
export async function showSaves(place, { search, memory, refresh }) {
  await fill(place, {
    path: '/saves',
    filter: { q: search },
    heading: ['Thread', 'Saved', 'Files changed', 'Branch', 'Kept until'],
    empty: 'Nothing is saved yet.',
    row: (save) => [
      el(
        'span',
        {},
        el('a', { href: `#/threads/${encodeURIComponent(save.threadId)}` }, save.threadId),
        ' ',
        save.state === 'aside' && el('span', { class: 'chip calm' }, 'put aside'),
        save.leftOut.length > 0 && el('span', { class: 'chip unsure' }, `${save.leftOut.length} left out`),
      ),
      moment(save.savedAt),
      save.filesModified,
      save.branch ?? '–',
      save.expiresAt === null ? 'as long as its container' : moment(save.expiresAt),
    ],
    memory,
    refresh,
  });
}

/** Mail of which nothing was run or answered, and why. */
export async function showRefused(place, { search, memory, refresh }) {
  await fill(place, {
    path: '/messages',
    filter: { refused: 'true', q: search },
    heading: ['When', 'From', 'Subject', 'Why'],
    empty: 'No mail was refused.',
    row: (message) => [
      moment(message.at),
      message.address ?? 'not known',
      el('bdi', {}, message.subject ?? '–'),
      el(
        'span',
        {},
        el('span', { class: `chip ${message.outcome === 'failed' ? 'bad' : 'calm'}` }, message.outcome),
        ` ${message.reason ?? ''}`,
      ),
    ],
    memory,
    refresh,
  });
}

/** How much there is, and the last day in small pictures. */
export async function showFigures(place) {
  const stats = await get('/containers/stats');
  const { containers, commands, saves, outbox, hours } = stats;
  const tile = (name, value, more = '') =>
    el(
      'div',
      { class: 'tile' },
      el('dt', {}, name),
      el('dd', {}, value),
      more === '' ? '' : el('p', { class: 'dim' }, more),
    );
  const label = ({ hour }) => new Date(hour).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const sum = (of) => hours.reduce((total, hour) => total + of(hour), 0);
  const seconds = (ms) => (ms === null ? null : ms / 1000);
  place.replaceChildren(
    el(
      'dl',
      { class: 'tiles' },
      tile('Containers', containers.active, `${containers.busy} at work, ${containers.warned} warned`),
      tile('Commands', commands.running, `${commands.queued} waiting`),
      tile('Threads', stats.threads, `${containers.users} ${containers.users === 1 ? 'user' : 'users'} now`),
      tile('Saved states', saves.kept, `kept for ${saves.keptDays} days`),
      tile(
        'Mail to send',
        outbox.waiting,
        outbox.failed === 0 ? 'nothing given up' : `${outbox.failed} not delivered`,
      ),
      tile(
        'Idle time',
        duration(stats.idleTimeoutSeconds),
        `warned ${duration(stats.gracePeriodSeconds)} before`,
      ),
    ),
    el(
      'div',
      { class: 'charts' },
      bars({
        title: 'Commands in each hour',
        summary: `${sum((hour) => hour.commands)} in 24 hours, ${sum((hour) => hour.failed)} of them failed`,
        points: hours.map((hour) => ({ label: label(hour), value: hour.commands, part: hour.failed })),
      }),
      lines({
        title: 'How long commands take',
        summary: 'In each hour: ',
        names: ['half within', '95 of 100 within'],
        points: hours.map((hour) => ({
          label: label(hour),
          values: [seconds(hour.medianMs), seconds(hour.p95Ms)],
        })),
      }),
      bars({
        title: 'Containers in each hour',
        summary: `${Math.max(...hours.map((hour) => hour.containers))} at most in one hour`,
        points: hours.map((hour) => ({ label: label(hour), value: hour.containers, part: 0 })),
      }),
    ),
  );
}
