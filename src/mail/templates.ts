import { readFileSync } from 'node:fs';
import { Eta } from 'eta';
import { BLOCK_BACKGROUND, BLOCK_TEXT } from './colours.ts';
import { REPLY_MARKER } from './reply-text.ts';

const directory = new URL('../../templates/', import.meta.url);
const html = new Eta({ autoEscape: true, autoTrim: false });
const text = new Eta({ autoEscape: false, autoTrim: false });

/** Read and compiled once, when the program starts: a broken template stops it then, not the first answer. */
const templates = {
  answer: load('answer'),
  notice: load('notice'),
};
html.loadTemplate('@layout', read('layout.html.eta'));
html.loadTemplate('@files', read('files.html.eta'));

/** Fills a message's two templates. In HTML every value is escaped unless the template says otherwise. */
export function renderMail(name: keyof typeof templates, values: object): { text: string; html: string } {
  const all = { ...values, marker: REPLY_MARKER, block: BLOCK_BACKGROUND, blockText: BLOCK_TEXT };
  return {
    text: text.render(templates[name].text, all),
    html: html.render(templates[name].html, all),
  };
}

function load(name: string) {
  return {
    text: text.compile(read(`${name}.txt.eta`)),
    html: html.compile(read(`${name}.html.eta`)),
  };
}

function read(fileName: string): string {
  return readFileSync(new URL(fileName, directory), 'utf8');
}
