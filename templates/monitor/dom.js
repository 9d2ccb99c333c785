/* oxlint-disable no-control-regex -- takes away what commands a terminal */
// Everything that is shown may have been mailed by anybody: it becomes text here, never markup.

/**
 * An element. Names that begin with `on` are listeners, `class` and others are attributes; null and false are left out.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | number | null | false | undefined)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

const SVG = 'http://www.w3.org/2000/svg';

/** The same for a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(typeof child === 'object' ? child : readable(String(child)));
  }
  return element;
}

/** What turns a line around, or is no letter, would make a name look like another one. */
const readable = (text) =>
  text
    .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');

/** A name that may be written from right to left turns nothing around it. */
export const person = ({ name, address }) =>
  el(
    'span',
    {},
    name === '' ? '' : el('bdi', {}, `${name} `),
    el('bdi', { dir: 'ltr' }, name === '' ? address : `<${address}>`),
  );

export const byId = (id) => document.getElementById(id);

/** What programs write to colour a terminal is left out. */
export function plain(text) {
  return text
    .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\^_])/g, '')
    .replace(/\r\n?/g, '\n');
}

/** `3 min`, `2 h 5 min`: as much as one wants to know. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** `44:05`, `1:44:05` */
export function countdown(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export function bytes(count) {
  const [unit, size] = [
    ['GB', 2 ** 30],
    ['MB', 2 ** 20],
    ['KB', 2 ** 10],
  ].find(([, one]) => count >= one) ?? ['bytes', 1];
  return `${unit === 'GB' ? (count / size).toFixed(1) : Math.round(count / size)} ${unit}`;
}

const moments = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** A moment where the reader is, with the exact one behind it. */
export function moment(iso, words) {
  if (iso === null) return el('span', {}, '–');
  return el('time', { datetime: iso, title: iso }, words ?? moments.format(new Date(iso)));
}

export const ago = (iso, nowMs) => `${duration((nowMs - Date.parse(iso)) / 1000)} ago`;
