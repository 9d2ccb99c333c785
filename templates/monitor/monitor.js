import { get, logOut, post, watch, whenLoggedOut, whoAmI } from './api.js';
import { showContainers } from './containers.js';
import { confirmThen } from './dialog.js';
import { byId, el } from './dom.js';
import { forgetLink, hideLogin, isLoginLink, showLogin, startLogin } from './login.js';
import { showFigures, showRefused, showSaves } from './lists.js';
import { showThread, showThreads } from './threads.js';

const VIEWS = {
  containers: showContainers,
  threads: showThreads,
  saves: showSaves,
  refused: showRefused,
  figures: showFigures,
};
/** What happens together is shown together. */
const SETTLE_MS = 250;

/** Who is logged in, and what is shown to them. */
const state = { who: null, view: null, endWatching: null, timer: null, every: null, isPaused: false };
/** The commands whose output is open, with what it shows, so that they stay so when the view is drawn anew. */
const opened = new Map();
/** How much of a list is shown, likewise. */
let memory = {};
let drawing = 0;

function currentView() {
  const [, name = 'containers', id = '', part = ''] =
    /^#\/(\w+)(?:\/([^/]*)(?:\/(\w+))?)?$/.exec(location.hash) ?? [];
  if (name === 'threads' && id !== '') return { name, threadId: decoded(id), part };
  return { name: Object.hasOwn(VIEWS, name) ? name : 'containers', threadId: null, part };
}

/** Whoever has typed half an escape is told that there is no such thread. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Draws the view that the address names; one that was begun later wins. */
async function draw({ hasMoved = false } = {}) {
  if (!state.who) return;
  const mine = (drawing += 1);
  const { name, threadId, part } = currentView();
  for (const link of document.querySelectorAll('.tabs a')) {
    const isCurrent = link.getAttribute('href') === `#/${name}`;
    if (isCurrent) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const context = {
    search: byId('search').value.trim(),
    isAdmin: state.who.role === 'admin',
    refresh: () => refresh(),
    threadId,
    part,
    opened,
    memory,
  };
  const fresh = el('div', {});
  try {
    const show = threadId === null ? VIEWS[name] : showThread;
    const live = await show(fresh, context);
    if (mine !== drawing) return;
    clearInterval(state.every);
    state.view = live ?? null;
    if (live?.every) state.every = setInterval(() => document.hidden || live.every.act(), live.every.ms);
  } catch (error) {
    if (mine !== drawing) return;
    fresh.replaceChildren(el('p', { class: 'problem', role: 'alert' }, error.message));
  }
  put(fresh, hasMoved);
  lookAround();
}

/** What is in sight now is looked at. */
function lookAround() {
  if (state.view?.every?.isForSight) void state.view.every.act();
}

/** Whoever is in the middle of something by keyboard stays there. */
function put(fresh, hasMoved) {
  const main = byId('main');
  const active = document.activeElement;
  const inMain = main.contains(active)
    ? [...main.querySelectorAll('a, button, summary, pre')].indexOf(active)
    : -1;
  main.replaceChildren(...fresh.childNodes);
  if (hasMoved) main.focus({ preventScroll: true });
  else if (inMain >= 0)
    main.querySelectorAll('a, button, summary, pre')[inMain]?.focus({ preventScroll: true });
}

function refresh() {
  clearTimeout(state.timer);
  state.timer = setTimeout(() => void draw(), SETTLE_MS);
}

function showPause({ isPaused, reason }) {
  state.isPaused = isPaused;
  byId('paused').hidden = !isPaused;
  byId('paused').textContent = `Paused: no command is started.${reason ? ` Reason: ${reason}` : ''}`;
  byId('pause').textContent = isPaused ? 'Resume' : 'Pause';
}

function showLive(words, className) {
  byId('live').className = `live ${className}`;
  byId('live').querySelector('.words').textContent = words;
}

function startWatching() {
  state.endWatching?.();
  state.endWatching = watch({
    onEvent: (name, data) => {
      if (name === 'snapshot') showPause(data.pause);
      if (name === 'pause') showPause(data);
      refresh();
    },
    onState: (now) => {
      if (now === 'live') showLive('live', 'on');
      else showLive('connecting …', 'off');
      if (now === 'closed' && state.who) startWatching();
    },
  });
}

async function enter(who) {
  state.who = who;
  hideLogin();
  byId('app').hidden = false;
  byId('who').textContent = `${who.name} (${who.role === 'admin' ? 'admin' : 'reads only'})`;
  byId('pause').hidden = who.role !== 'admin';
  showPause(await get('/pause'));
  startWatching();
  await draw();
}

function leave() {
  state.who = null;
  state.endWatching?.();
  state.endWatching = null;
  clearInterval(state.every);
  byId('dialog').close();
  byId('main').replaceChildren();
  showLogin();
}

/** Whoever follows a link and is in already as an admin needs none. */
async function enterOrAsk(who) {
  if (!who || (isLoginLink() && who.role !== 'admin')) {
    leave();
    return;
  }
  forgetLink();
  await enter(who);
}

startLogin(enter);
byId('logout').addEventListener('click', () => void logOut().then(leave, leave));
byId('pause').addEventListener('click', () => {
  if (state.isPaused) {
    confirmThen({
      title: 'Go on?',
      words: 'All commands that wait are run, in their order.',
      yes: 'Resume',
      act: async () => {
        const { waitingCommands } = await post('/resume');
        return `Threadbox goes on; ${waitingCommands} waited.`;
      },
    });
    return;
  }
  const reason = el('input', { id: 'reason', type: 'text', maxlength: 200 });
  confirmThen({
    title: 'Pause Threadbox?',
    words: 'Nothing is started any more. Mail is still taken, and what runs goes on.',
    yes: 'Pause',
    more: el('p', {}, el('label', { for: 'reason' }, 'Reason, told to senders '), reason),
    act: async () => {
      await post('/pause', { reason: reason.value });
      return 'Paused.';
    },
  });
});
let typing;
byId('search').addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    memory = {};
    void draw();
  }, 200);
});
addEventListener('hashchange', () => {
  if (isLoginLink()) {
    void enterOrAsk(state.who);
    return;
  }
  byId('search').value = '';
  opened.clear();
  memory = {};
  void draw({ hasMoved: true });
});
let scrolling;
addEventListener(
  'scroll',
  () => {
    clearTimeout(scrolling);
    scrolling = setTimeout(lookAround, 300);
  },
  { passive: true },
);
setInterval(() => state.view?.tick?.(), 1000);
document.addEventListener('visibilitychange', () => document.hidden || refresh());

whenLoggedOut(leave);
whoAmI().then(enterOrAsk, () => leave());
