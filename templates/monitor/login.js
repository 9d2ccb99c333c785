import { logIn, logInByLink } from './api.js';
import { byId } from './dom.js';

/** What is in a link that the bot has mailed. It is used up by the button alone: programs look at links, too. */
const secretInAddress = () => /^#\/login\/([\w-]+)$/.exec(location.hash)?.[1] ?? null;

export const isLoginLink = () => secretInAddress() !== null;

/** In the history of the browser, too, there is no link then. */
export const forgetLink = () => isLoginLink() && history.replaceState(null, '', '#/containers');

/** Asks for a token, or for the button of a link that has been followed. */
export function showLogin() {
  const hasLink = isLoginLink();
  byId('app').hidden = true;
  byId('by-link').hidden = !hasLink;
  byId('login').hidden = hasLink;
  byId('token').value = '';
  (hasLink ? byId('by-link').querySelector('button') : byId('token')).focus();
}

export function hideLogin() {
  byId('login').hidden = true;
  byId('by-link').hidden = true;
}

/** @param enter gets who has logged in */
export function startLogin(enter) {
  byId('login').addEventListener('submit', (event) => {
    event.preventDefault();
    void tried(async () => enter(await logIn(byId('token').value)));
  });
  byId('by-link').addEventListener('submit', (event) => {
    event.preventDefault();
    const secret = secretInAddress();
    void tried(async () => {
      try {
        const who = await logInByLink(secret);
        forgetLink();
        await enter(who);
      } catch (error) {
        // The other ways in are below it.
        if (error.status === 401) {
          forgetLink();
          showLogin();
        }
        throw error;
      }
    });
  });
}

async function tried(act) {
  byId('login-problem').textContent = '';
  byId('link-problem').textContent = '';
  try {
    await act();
  } catch (error) {
    byId(isLoginLink() ? 'link-problem' : 'login-problem').textContent = error.message;
  }
}
