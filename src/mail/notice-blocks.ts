import { withoutTokens } from '../secrets/well-known.ts';
import { renderOutput } from './render-output.ts';
import { renderMail, type MailKind } from './templates.ts';
import { visibleLine, visibleText } from './visible-text.ts';

type Attachment = { fileName: string; contentType: string; content: Buffer };

/** A part of a notice. All text in it is fit to be shown. */
export type Block =
  | { kind: 'words'; text: string }
  /** What one is to open: an address of ours. */
  | { kind: 'link'; url: string; label: string }
  /** Small print. */
  | { kind: 'fine'; text: string }
  | { kind: 'list'; items: string[]; more: string }
  | { kind: 'quote'; text: string }
  /** What a command has written so far. `html`: for a `pre` on the dark block. */
  | { kind: 'output'; command: string; text: string; html: string }
  | { kind: 'mail'; subject: string; body: string }
  | { kind: 'facts'; rows: { label: string; value: string }[]; isCode: boolean }
  | { kind: 'entries'; items: { main: string; detail: string; tone: 'good' | 'bad' | 'dim' }[]; more: string }
  | { kind: 'files'; files: ShownFile[]; more: string }
  | { kind: 'heading'; text: string }
  /** Values. `isTable`: narrow enough to stand side by side, else each row is a card. `text`: the same for text. */
  | { kind: 'rows'; isTable: boolean; columns: ShownColumn[]; rows: (string | null)[][]; text: string };

type ShownColumn = { name: string; isNumber: boolean };

type ShownFile = { path: string; added: string; removed: string; isBinary: boolean };

/** What a notice says. The list view of a mail client shows `preheader`: without one, the title and the first words. */
export type Told = { title: string; blocks: Block[]; preheader?: string; attachments?: Attachment[] };

export type RenderedNotice = { text: string; html: string; attachments?: Attachment[] };

/** How each kind of notice is told. */
export type Tellers<N extends { kind: string }> = {
  [Kind in N['kind']]: (notice: Extract<N, { kind: Kind }>) => Told;
};

export function renderTold(
  { title, blocks, preheader, attachments }: Told,
  mailKind: MailKind,
): RenderedNotice {
  const firstWords = blocks.find((block) => block.kind === 'words')?.text ?? '';
  const shown = preheader ?? [title, firstWords].filter(Boolean).join(' · ');
  const mail = renderMail(mailKind, { title, blocks, preheader: shown });
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

const LAST_LINES = 20;

/**
 * The last lines of a command that runs, in its colours.
 *
 * @param said null: it could not be looked at
 */
export function lastOutput(command: string, said: string | null): { block: Block; lastLine: string } {
  const raw = Buffer.from((said ?? '').trimEnd().split('\n').slice(-LAST_LINES).join('\n'));
  const bytes = { head: raw, tail: Buffer.alloc(0), totalBytes: raw.length, omittedBytes: 0 };
  const { text, html, lastLine } = renderOutput(bytes, null);
  const nothing = said === null ? '(its output cannot be looked at now)' : '(no output yet)';
  const output = text === '' ? { text: nothing, html: nothing } : { text, html };
  return {
    block: { kind: 'output', command: firstLine(command), ...output },
    lastLine: lastLine.slice(0, 110).toWellFormed(),
  };
}

/** Of a script, with a sign that there is more of it. */
export function firstLine(command: string): string {
  const [first = '', ...rest] = withoutTokens(command.slice(0, 5000)).trim().split('\n');
  return visibleLine(rest.length > 0 ? `${first.trimEnd()} …` : first.trimEnd(), 120);
}

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
