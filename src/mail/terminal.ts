/* oxlint-disable no-control-regex -- terminals are told what to do by control characters */
import { applySgr, PLAIN, styleCss, type Style } from './colours.ts';
import { visibleText } from './visible-text.ts';

/** A run of characters that look alike. `css` is empty for plain text. */
export type Span = { text: string; css: string };
export type Line = readonly Span[];

/**
 * One piece of a line: an escape sequence (ECMA-48; CSI with its parameters and final byte named), a movement, or text.
 * Strings of OSC, DCS and their kin end at the line's end at the latest: a broken one must not swallow the rest.
 */
const TOKEN = new RegExp(
  [
    String.raw`\x1b\[(?<parameters>[\d;:]*)(?<final>[A-Za-z])`,
    String.raw`\x1b\[[0-?]*[ -/]*[@-~]?`,
    String.raw`\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?`,
    String.raw`\x1b[ -/]*[0-~]?`,
    String.raw`(?<move>[\r\b])`,
    String.raw`(?<text>[^\x1b\r\b]+)`,
  ].join('|'),
  'g',
);
const MOVES = /[\r\b]|\x1b\[\d*[CDGKP]/;
/** A jump to the right of what is written goes no further than a wide terminal: it costs memory. */
const WIDEST_JUMP = 400;

/**
 * What a terminal would show in the end: progress bars collapse to their last state, letters struck over are replaced,
 * colours become styles, and every other escape sequence is dropped. Nothing left in it has power over a mail client.
 * Each line stands for itself, whatever style it began with.
 */
export function terminalLines(text: string): Line[] {
  let style = PLAIN;
  return text.split('\n').map((raw) => {
    const line = raw.replace(/\r+$/, '');
    if (!/[\x1b\r\b]/.test(line))
      return line === '' ? [] : [{ text: visibleText(line), css: styleCss(style) }];
    const played = MOVES.test(line) ? playOnCells(line, style) : playInOrder(line, style);
    style = played.style;
    return played.spans;
  });
}

type Played = { spans: Span[]; style: Style };

/** The quick way, for lines in which nothing is written over. */
function playInOrder(line: string, before: Style): Played {
  let style = before;
  const spans: Span[] = [];
  for (const { groups } of line.matchAll(TOKEN)) {
    if (groups?.['text'] !== undefined) append(spans, visibleText(groups['text']), styleCss(style));
    else if (groups?.['final'] === 'm') style = applySgr(style, groups['parameters'] ?? '');
  }
  return { spans, style };
}

function playOnCells(line: string, before: Style): Played {
  let style = before;
  let column = 0;
  const cells: Span[] = [];
  for (const { groups } of line.matchAll(TOKEN)) {
    if (groups?.['text'] !== undefined) {
      const css = styleCss(style);
      for (const glyph of glyphs(visibleText(groups['text']))) {
        while (cells.length < column) cells.push({ text: ' ', css: '' });
        cells[column] = { text: glyph, css };
        column += 1;
      }
    } else if (groups?.['move'] !== undefined) {
      column = groups['move'] === '\r' ? 0 : Math.max(0, column - 1);
    } else if (groups?.['final'] === 'm') {
      style = applySgr(style, groups['parameters'] ?? '');
    } else if (groups?.['final'] !== undefined) {
      column = moveOrErase(cells, column, groups['final'], groups['parameters'] ?? '');
    }
  }
  const spans: Span[] = [];
  for (const cell of cells) append(spans, cell.text, cell.css);
  return { spans, style };
}

/** Returns the new column. */
function moveOrErase(cells: Span[], column: number, final: string, parameters: string): number {
  const count = Number.parseInt(parameters, 10) || (final === 'K' ? 0 : 1);
  const rightmost = Math.max(WIDEST_JUMP, cells.length);
  if (final === 'C') return Math.min(column + count, rightmost);
  if (final === 'D') return Math.max(0, column - count);
  if (final === 'G') return Math.min(count - 1, rightmost);
  if (final === 'P') cells.splice(column, count);
  if (final === 'K' && count === 0) cells.length = Math.min(cells.length, column);
  if (final === 'K' && count === 1) {
    for (const at of cells.keys()) if (at <= column) cells[at] = { text: ' ', css: '' };
  }
  if (final === 'K' && count === 2) cells.length = 0;
  return column;
}

/** Code points, with the marks that belong to each. */
function glyphs(text: string): string[] {
  return /^[\t\x20-\x7e]*$/.test(text) ? text.split('') : (text.match(/[^](?:\p{M}|\u200d\P{M})*/gu) ?? []);
}

function append(spans: Span[], text: string, css: string): void {
  const last = spans.at(-1);
  if (last?.css === css) last.text += text;
  else if (text !== '') spans.push({ text, css });
}
