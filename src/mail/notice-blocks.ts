import { renderMail } from './templates.ts';
import { visibleLine, visibleText } from './visible-text.ts';

type Attachment = { fileName: string; contentType: string; content: Buffer };

/** A part of a notice. All text in it is fit to be shown. */
export type Block =
  | { kind: 'words'; text: string }
  /** Small print. */
  | { kind: 'fine'; text: string }
  | { kind: 'list'; items: string[]; more: string }
  | { kind: 'quote'; text: string }
  | { kind: 'mail'; subject: string; body: string }
  | { kind: 'facts'; rows: { label: string; value: string }[]; isCode: boolean }
  | { kind: 'entries'; items: { main: string; detail: string; tone: 'good' | 'bad' | 'dim' }[]; more: string }
  | { kind: 'files'; files: ShownFile[]; more: string };

type ShownFile = { path: string; added: string; removed: string; isBinary: boolean };

/** What a notice says. The first words are also what the list view of a mail client shows. */
export type Told = { title: string; blocks: Block[]; attachments?: Attachment[] };

export type RenderedNotice = { text: string; html: string; attachments?: Attachment[] };

/** How each kind of notice is told. */
export type Tellers<N extends { kind: string }> = {
  [Kind in N['kind']]: (notice: Extract<N, { kind: Kind }>) => Told;
};

export function renderTold({ title, blocks, attachments }: Told): RenderedNotice {
  const firstWords = blocks.find((block) => block.kind === 'words')?.text ?? '';
  const mail = renderMail('notice', { title, blocks, preheader: firstWords });
  return attachments === undefined ? mail : { ...mail, attachments };
}

const MOST_ITEMS = 30;

export const words = (text: string): Block => ({ kind: 'words', text });

export const fine = (text: string): Block => ({ kind: 'fine', text });

/** Text of somebody else's, as a block of code. */
export const quote = (text: string, limit = 1000): Block => ({
  kind: 'quote',
  text: visibleText(text.slice(0, limit)).trim(),
});

/** What to answer. */
export const reply = (body: string): Block => ({ kind: 'mail', subject: '', body });

export const facts = (rows: { label: string; value: string }[]): Block => ({
  kind: 'facts',
  rows,
  isCode: false,
});

/** Names that somebody else has given. */
export const list = (all: readonly string[], limit = 80): Block => ({
  kind: 'list',
  items: all.slice(0, MOST_ITEMS).map((name) => visibleLine(name, limit)),
  more: all.length > MOST_ITEMS ? `and ${all.length - MOST_ITEMS} more` : '',
});

/** A mail to the bot, as it could be written. */
export const example = (repositoryName: string, body = 'npm test'): Block => ({
  kind: 'mail',
  subject: `[${visibleLine(repositoryName, 80)}] Run the tests`,
  body,
});
