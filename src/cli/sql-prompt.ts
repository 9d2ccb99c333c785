import { createInterface } from 'node:readline/promises';
import { tokensOf } from '../admin/tokens.ts';
import { explain } from './explain.ts';
import type { AskAndPrint } from './sql.ts';

const HELP = `A query ends with a semicolon, and may have several lines. Alone on a line: queries (lists those that have a
name), such a name, save NAME: SELECT ..., help, quit. Ctrl-C drops what was begun, Ctrl-D leaves.
`;

/** Asks for queries until there are no more. A failed one is told, and the next one asked for. */
export async function promptForQueries(ask: AskAndPrint): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: 'sql> ' });
  process.stdout.write('Read-only. help tells more.\n');
  let begun = '';
  let isClosed = false;
  lines.on('close', () => (isClosed = true));
  const prompt = (): void => {
    // All was typed ahead: what is left of it is still asked.
    if (isClosed) return;
    lines.setPrompt(begun === '' ? 'sql> ' : '...> ');
    lines.prompt();
  };
  lines.on('SIGINT', () => {
    begun = '';
    process.stdout.write('\n');
    prompt();
  });
  prompt();
  for await (const line of lines) {
    begun = begun === '' ? line.trim() : `${begun}\n${line}`;
    if (/^(?:quit|exit|\\q)$/i.test(begun)) break;
    if (/^(?:help|\\[?h])$/i.test(begun)) {
      process.stdout.write(HELP);
      begun = '';
    } else if (isWhole(begun)) {
      const typed = begun;
      begun = '';
      await ask(typed).catch((error: unknown) => process.stderr.write(explain(error, false).text));
    }
    prompt();
  }
  lines.close();
  return true;
}

/** A semicolon ends it, or it is one line that is no SQL: a name, perhaps with values. */
export function isWhole(text: string): boolean {
  const tokens = tokensOf(text);
  const last = tokens.at(-1);
  if (!last) return false;
  if (last.kind === 'symbol' && last.text === ';') return true;
  return !text.includes('\n') && !/^(?:select|with|values|table|save|\()/i.test(text);
}
