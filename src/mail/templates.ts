import { readdirSync, readFileSync } from 'node:fs';
import { Eta } from 'eta';
import { BLOCK_BACKGROUND, BLOCK_TEXT } from './colours.ts';
import { REPLY_MARKER } from './reply-text.ts';

const directory = new URL('../../templates/', import.meta.url);

/** Each kind of mail has two files of its own in `templates/`, made of the parts that all share. */
const MAIL_KINDS = [
  'answer',
  'interrupted',
  'still-running',
  'idle-warning',
  'restored',
  'refused',
  'help',
  'error',
  'done',
  'notice',
] as const;
export type MailKind = (typeof MAIL_KINDS)[number];

/** What all templates know. Colours of a tone: of its words and of its mark. */
const COMMON = {
  marker: REPLY_MARKER,
  block: BLOCK_BACKGROUND,
  blockText: BLOCK_TEXT,
  mono: "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace",
  tones: {
    good: ['#15803d', '#1f9d4d'],
    bad: ['#b42318', '#d5392c'],
    unsure: ['#8a5a00', '#a56f08'],
    calm: ['#44505e', '#66717f'],
  },
};

/** Read and compiled once, when the program starts: a broken template stops it then, not the first answer. */
const render = { text: load('txt', false), html: load('html', true) };

/** Fills a message's two templates. In HTML every value is escaped unless the template says otherwise. */
export function renderMail(kind: MailKind, values: object): { text: string; html: string } {
  const all = { ...COMMON, ...values };
  return { text: render.text(kind, all), html: render.html(kind, all) };
}

function load(format: 'txt' | 'html', autoEscape: boolean) {
  const eta = new Eta({ autoEscape, autoTrim: false });
  const read = (path: string) => readFileSync(new URL(`${path}.${format}.eta`, directory), 'utf8');
  for (const fileName of readdirSync(new URL('parts/', directory))) {
    const [name = ''] = fileName.split('.');
    if (fileName.endsWith(`.${format}.eta`)) eta.loadTemplate(`@${name}`, read(`parts/${name}`));
  }
  eta.loadTemplate('@layout', read('layout'));
  const kinds = new Map(MAIL_KINDS.map((kind) => [kind, eta.compile(read(kind))]));
  return (kind: MailKind, values: object): string => eta.render(kinds.get(kind) ?? '', values);
}
