import { styleText } from 'node:util';
import { visibleLine, visibleText } from '../mail/visible-text.ts';

type Style = Parameters<typeof styleText>[0];

/** What the demo prints: plain where nobody watches, with a little colour and life on a terminal. */
export type Screen = {
  line: (text?: string) => void;
  heading: (text: string) => void;
  /** One mail: its header lines and its text, at a bar whose colour tells who wrote it. */
  mail: (by: 'you' | 'bot', title: string, headers: readonly string[], text: string) => void;
  /** Seconds that pass while something is waited for. Clears itself with the function it gives back. */
  waiting: (text: string) => () => void;
};

const INDENT = '   ';
const TICK_MS = 100;

export function screenOn(stream: NodeJS.WriteStream): Screen {
  const painted = (style: Style, text: string): string =>
    styleText(style, text, { stream, validateStream: true });
  const line = (text = ''): void => void stream.write(`${text}\n`);
  return {
    line,
    heading: (text) => line(`\n${painted('bold', text)}\n`),
    mail(by, title, headers, text) {
      const style: Style = by === 'you' ? 'cyan' : 'green';
      const bar = painted(style, '│');
      line(`${INDENT}${painted(style, '┌─')} ${painted(['bold', style], title)}`);
      for (const header of headers) line(`${INDENT}${bar} ${painted('dim', visibleLine(header))}`);
      line(`${INDENT}${bar}`);
      for (const one of visibleText(text).split('\n')) line(`${INDENT}${bar} ${one}`.trimEnd());
      line(`${INDENT}${painted(style, '└─')}`);
    },
    waiting(text) {
      if (!stream.isTTY) return () => {};
      const startedAt = performance.now();
      const show = (): void => {
        const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
        stream.write(`\r${INDENT}${painted('dim', `${text} ${seconds} s`)}`);
      };
      show();
      const timer = setInterval(show, TICK_MS);
      return () => {
        clearInterval(timer);
        stream.write('\r\u001b[2K');
      };
    },
  };
}
