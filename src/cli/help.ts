import { nameOf, type CliCommand } from './command.ts';

/** The help of one command. */
export function commandHelp(command: CliCommand): string {
  const rows = Object.entries(command.options).map(([name, { value, short, summary }]) => [
    `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`,
    summary,
  ]);
  rows.push(['-h, --help', 'this help']);
  return [
    `Usage: threadbox ${command.usage} [options]`,
    '',
    sentence(command.summary),
    '',
    ...columns(rows),
    ...(command.notes ? ['', command.notes] : []),
    '',
  ].join('\n');
}

/** One line for each command: all of them, or those of one family. */
export function overview(commands: readonly CliCommand[], family: string | null): string {
  const shown = family === null ? commands : commands.filter((one) => nameOf(one).startsWith(`${family} `));
  return [
    ...(family === null ? ['Threadbox runs what you mail it, in a container that remembers.', ''] : []),
    `Usage: threadbox ${family === null ? '' : `${family} `}COMMAND [options]`,
    '',
    ...columns(shown.map(({ usage, summary }) => [usage, summary])),
    '',
    `threadbox ${family === null ? '' : `${family} `}COMMAND --help tells more about one.`,
    ...(family === null
      ? ['Settings come from the environment and from .env in the working directory: see .env.example.']
      : []),
    '',
  ].join('\n');
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const width = Math.max(...rows.map(([left = '']) => left.length));
  return rows.map(([left = '', right = '']) => `  ${left.padEnd(width)}  ${right}`);
}

const sentence = (summary: string): string => `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
