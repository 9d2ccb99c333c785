import { get, getPart, post } from './api.js';
import { confirmThen } from './dialog.js';
import { bytes, countdown, duration, el, moment, person, plain } from './dom.js';

const USAGE_EVERY_MS = 10_000;
/** Those in sight: each costs the engine a look. */
const MOST_MEASURED = 24;
const PORTION = 100;

/** What was last heard of the use of memory and CPU, by container. */
const usages = new Map();

/** The containers that are there: what runs in each, and how long it stays. */
export async function showContainers(place, { search, isAdmin, refresh, memory }) {
  const path = '/containers/sessions';
  const { items, nextCursor } = await getPart(path, { q: search }, memory, PORTION);
  const readAtMs = performance.now();
  if (items.length === 0) {
    const words =
      search === '' ? 'No container is there now. The next command makes one.' : 'Nothing is found.';
    place.replaceChildren(el('p', { class: 'empty' }, words));
    return { tick: () => {}, every: null };
  }
  const cards = items.map((session) => card(session, { isAdmin, refresh }));
  const showMore = () => {
    memory.wanted = items.length + PORTION;
    refresh();
  };
  place.replaceChildren(
    el('p', { class: 'dim count' }, countWords(items, nextCursor)),
    el('div', { class: 'cards' }, ...cards.map(({ element }) => element)),
    nextCursor === null
      ? ''
      : el('button', { type: 'button', class: 'more', onclick: showMore }, 'Show more'),
  );
  const measure = async () => {
    const measured = cards.filter(isInSight).slice(0, MOST_MEASURED);
    await Promise.all(measured.map((one) => measureOne(one)));
  };
  return {
    tick: () => cards.forEach((one) => one.tick((performance.now() - readAtMs) / 1000)),
    // At once, when the page has it; and each time somebody has moved it.
    every: { ms: USAGE_EVERY_MS, act: measure, isForSight: true },
  };
}

function isInSight({ session, element }) {
  const { top, bottom } = element.getBoundingClientRect();
  return session.containerId !== null && bottom > 0 && top < innerHeight;
}

function countWords(items, nextCursor) {
  const busy = items.filter(({ isBusy }) => isBusy).length;
  const all = `${items.length}${nextCursor === null ? '' : ' and more'}`;
  return `${all} ${items.length === 1 ? 'container' : 'containers'}, ${busy} at work`;
}

async function measureOne({ session, showUsage }) {
  try {
    usages.set(session.containerId, await get(`/containers/${session.containerId}/usage`));
  } catch {
    usages.delete(session.containerId);
  }
  showUsage();
}

function card(session, { isAdmin, refresh }) {
  const clock = el('span', { class: 'clock' });
  const fill = el('span', { class: 'fill' });
  const bar = el('div', { class: 'meter', 'aria-hidden': 'true' }, fill);
  const idle = el('dd', {});
  const usage = el('div', { class: 'usage' });
  const threadLink = `#/threads/${encodeURIComponent(session.threadId)}`;
  const element = el(
    'article',
    { class: 'card', 'aria-label': session.threadId },
    el(
      'header',
      { class: 'card-head' },
      el('h2', { title: session.threadId }, el('a', { href: threadLink }, el('bdi', {}, session.threadId))),
      el('span', { class: `chip ${toneOf(session)}` }, stateWords(session)),
    ),
    running(session),
    session.saveError !== null &&
      el('p', { class: 'problem' }, `Its work could not be saved: ${session.saveError}`),
    el('div', { class: 'countdown' }, clock, bar),
    el(
      'dl',
      { class: 'facts' },
      fact('User', person(session.user)),
      fact('Repository', session.repository),
      el('div', {}, el('dt', {}, 'Idle'), idle),
      el('div', {}, el('dt', {}, 'Since'), el('dd', {}, moment(session.createdAt))),
    ),
    usage,
    isAdmin && actions(session, refresh),
  );
  const tick = (goneSeconds) => showTime(session, goneSeconds, { clock, fill, bar, idle });
  const showUsage = () =>
    usage.replaceChildren(...usageRows(usages.get(session.containerId) ?? null, session));
  tick(0);
  showUsage();
  return { session, element, tick, showUsage };
}

const fact = (name, value) => el('div', {}, el('dt', {}, name), el('dd', {}, value));

function toneOf({ state, isBusy, warnedAt }) {
  if (state === 'save_failed') return 'bad';
  if (isBusy) return 'busy';
  return warnedAt === null ? 'calm' : 'unsure';
}

function stateWords({ state, isBusy, warnedAt, cleanupRequestedAt, waitingCommands, running: runs }) {
  if (state === 'save_failed') return 'not saved: stopped, kept';
  if (state === 'removing') return 'going';
  if (runs) return waitingCommands > 0 ? `runs, ${waitingCommands} waiting` : 'runs';
  if (isBusy) return `${waitingCommands} waiting`;
  if (cleanupRequestedAt !== null) return 'to be cleaned up';
  return warnedAt === null ? 'idle' : 'warned';
}

function running({ running: runs }) {
  if (!runs) return null;
  const since = runs.startedAt === null ? '' : ` since ${new Date(runs.startedAt).toLocaleTimeString()}`;
  return el(
    'div',
    { class: 'running' },
    el('span', { class: 'dim' }, `Command ${runs.commandId}${since}`),
    el('pre', { class: 'script' }, plain(runs.script).trim()),
  );
}

/** By the bot's clock: how long ago it was asked is all that is counted here. */
function showTime(session, goneSeconds, { clock, fill, bar, idle }) {
  idle.textContent = session.isBusy ? 'at work' : duration(session.idleSeconds + goneSeconds);
  const wasLeft = session.secondsUntilCleanup;
  bar.hidden = wasLeft === null;
  if (wasLeft === null) {
    clock.textContent = session.isBusy ? 'No clean-up while it works' : '';
    return;
  }
  const leftSeconds = wasLeft - goneSeconds;
  clock.textContent = leftSeconds > 0 ? `Clean-up in ${countdown(leftSeconds)}` : 'Clean-up is due';
  const share = Math.max(0, Math.min(1, leftSeconds / session.idleTimeoutSeconds));
  fill.style.width = `${(share * 100).toFixed(1)}%`;
  fill.className = `fill ${share < 0.12 ? 'low' : ''}`;
}

/** Before it is known there is the same room for it, so that nothing on the page moves. */
function usageRows(usage, { workspaceUsedBytes: used, workspaceLimitBytes: limit }) {
  const disk =
    used === null
      ? gauge('Disk', null, 'not measured yet')
      : gauge(
          'Disk',
          limit && used / limit,
          limit === null ? bytes(used) : `${bytes(used)} of ${bytes(limit)}`,
        );
  if (!usage)
    return [...['Memory', 'CPU'].map((name) => gauge(name, 0, '…')), disk, gauge('Processes', 0, '…')];
  const { memoryBytes, memoryLimitBytes, cpus, cpuLimit, processes, processLimit } = usage;
  return [
    gauge('Memory', memoryBytes / memoryLimitBytes, `${bytes(memoryBytes)} of ${bytes(memoryLimitBytes)}`),
    gauge(
      'CPU',
      (cpus ?? 0) / cpuLimit,
      cpus === null ? '…' : `${Math.round((cpus / cpuLimit) * 100)} % of ${cpuLimit}`,
    ),
    disk,
    gauge('Processes', processes / processLimit, `${processes} of ${processLimit}`),
  ];
}

/** @param share of the limit; null where there is none */
function gauge(name, share, words) {
  const fill = el('span', { class: `fill ${share > 0.9 ? 'low' : ''}` });
  fill.style.width = `${Math.min(100, Math.round(share * 100))}%`;
  return el(
    'div',
    { class: 'gauge' },
    el('span', { class: 'gauge-name' }, name),
    share === null ? el('span', {}) : el('span', { class: 'meter', 'aria-hidden': 'true' }, fill),
    el('span', { class: 'gauge-words' }, words),
  );
}

function actions(session, refresh) {
  const path = `/containers/${session.containerId}`;
  const of = session.threadId;
  const button = (words, onclick, more = {}) => el('button', { type: 'button', onclick, ...more }, words);
  const acting = (question) => () =>
    confirmThen({
      ...question,
      act: async () => {
        const outcome = await question.act();
        refresh();
        return outcome;
      },
    });
  const isOver = session.containerId === null || session.state === 'removing';
  return el(
    'div',
    { class: 'actions' },
    session.running &&
      button('Cancel', acting(cancelQuestion(session.running.commandId, of)), { class: 'grave' }),
    button('Extend', acting(extendQuestion(path, session)), { disabled: isOver }),
    button(
      'Save',
      acting({
        title: 'Save now?',
        words: `The work of ${of} is saved, and its container stays.`,
        yes: 'Save',
        act: async () => outcomeOf(await post(`${path}/save`)),
      }),
      { disabled: isOver },
    ),
    button(
      'Clean up',
      acting({
        title: 'Save and remove?',
        words: `The work of ${of} is saved, then its container is removed. The next command brings all of it back.`,
        yes: 'Clean up',
        isGrave: true,
        act: async () => outcomeOf(await post(`${path}/cleanup`)),
      }),
      { disabled: isOver },
    ),
  );
}

export const cancelQuestion = (commandId, of) => ({
  title: `Cancel command ${commandId}?`,
  words: `It ends, with everything it has started in ${of}. Its sender is told by mail that an operator did it.`,
  yes: 'Cancel the command',
  isGrave: true,
  act: async () => {
    const { outcome } = await post(`/commands/${commandId}/cancel`);
    return outcome === 'cancelling' ? 'It is being ended.' : 'Cancelled. Nothing of it was run any more.';
  },
});

function extendQuestion(path, session) {
  const choices = [
    ['', `${duration(session.idleTimeoutSeconds)} from now`],
    ['60', '1 hour'],
    ['120', '2 hours'],
    ['240', '4 hours'],
    ['480', '8 hours'],
  ].map(([value, words]) => el('option', { value }, words));
  const select = el('select', { id: 'extend-by' }, ...choices);
  return {
    title: 'Keep this container?',
    words: `The container of ${session.threadId} stays for longer.`,
    yes: 'Extend',
    more: el('p', {}, el('label', { for: 'extend-by' }, 'For '), select),
    act: async () => {
      const body = select.value === '' ? {} : { minutes: Number(select.value) };
      const { cleanupAt, isCapped } = await post(`${path}/extend`, body);
      const until = new Date(cleanupAt).toLocaleTimeString();
      return `Kept until ${until}${isCapped ? ', which is as far as it goes' : ''}.`;
    },
  };
}

function outcomeOf({ outcome, aheadCommands, filesModified }) {
  if (outcome === 'removed') return 'Saved, and removed.';
  if (outcome === 'saved')
    return `Saved: ${filesModified} ${filesModified === 1 ? 'file' : 'files'} changed.`;
  return aheadCommands > 0
    ? `It is done after ${aheadCommands === 1 ? 'the command' : `the ${aheadCommands} commands`} before it.`
    : 'It takes a while, and goes on by itself.';
}
