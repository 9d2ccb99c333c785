import { byId, el } from './dom.js';

let toastTimer;

/** What came of something, for a while. */
export function toast(words) {
  const place = byId('toast');
  place.textContent = words;
  place.classList.add('shown');
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => place.classList.remove('shown'), 8000);
}

/**
 * Asks before something is done, does it, and tells the outcome; what was refused is told where it was asked.
 *
 * @param {{ title: string, words: string, yes: string, isGrave?: boolean, more?: Node,
 *   act: () => Promise<string> }} question `act` tells what came of it
 */
export function confirmThen({ title, words, yes, isGrave = false, more, act }) {
  const dialog = byId('dialog');
  byId('dialog-title').textContent = title;
  byId('dialog-words').textContent = words;
  byId('dialog-problem').textContent = '';
  byId('dialog-more').replaceChildren(...(more ? [more] : []));
  const button = el(
    'button',
    { id: 'dialog-yes', class: isGrave ? 'grave' : 'primary', type: 'button' },
    yes,
  );
  byId('dialog-yes').replaceWith(button);
  const go = async () => {
    button.disabled = true;
    button.textContent = 'One moment …';
    try {
      const outcome = await act();
      dialog.close();
      toast(outcome);
    } catch (error) {
      byId('dialog-problem').textContent = error.message;
      button.disabled = false;
      button.textContent = yes;
    }
  };
  button.addEventListener('click', () => void go());
  dialog.showModal();
  // Nothing is lost by Enter: the way back comes first.
  byId('dialog-no').focus();
}
