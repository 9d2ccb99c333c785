import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { nearestName } from '../mail/nearest-name.ts';
import {
  argumentsOf,
  mostArguments,
  nameOf,
  usageError,
  type CliCommand,
  type CliError,
  type Options,
} from './command.ts';

/** What the words of a command line ask for. */
export type Request =
  | { kind: 'run'; command: CliCommand; args: string[]; options: Options }
  | { kind: 'command-help'; command: CliCommand }
  /** `family`: `repo`, or null for all commands. */
  | { kind: 'overview'; family: string | null; isAskedFor: boolean }
  | { kind: 'version' };

const HELP = new Set(['help', '--help', '-h']);
const VERSION = new Set(['version', '--version', '-V']);

/** @throws {CliError} that says what is missing, too much or unknown */
export function readWords(commands: readonly CliCommand[], words: readonly string[]): Request {
  const [first, ...rest] = words;
  if (first === undefined) return { kind: 'overview', family: null, isAskedFor: false };
  // `help repo add` is `repo add --help`.
  if (HELP.has(first)) return readHelp(commands, rest);
  if (VERSION.has(first)) return { kind: 'version' };
  const command = commands.find((one) => startsWith(words, nameOf(one)));
  if (command) return readCommandLine(command, words.slice(nameOf(command).split(' ').length));
  if (isFamily(commands, first)) {
    const [second] = rest;
    if (second === undefined) return { kind: 'overview', family: first, isAskedFor: false };
    if (HELP.has(second)) return readHelp(commands, [first, ...rest.slice(1)]);
  }
  throw unknownCommand(commands, words);
}

function readHelp(commands: readonly CliCommand[], words: readonly string[]): Request {
  const [first] = words;
  if (first === undefined) return { kind: 'overview', family: null, isAskedFor: true };
  const command = commands.find((one) => startsWith(words, nameOf(one)));
  if (command) return { kind: 'command-help', command };
  if (words.length === 1 && isFamily(commands, first)) {
    return { kind: 'overview', family: first, isAskedFor: true };
  }
  throw unknownCommand(commands, words);
}

const startsWith = (words: readonly string[], name: string): boolean =>
  name.split(' ').every((word, index) => words[index] === word);

const isFamily = (commands: readonly CliCommand[], word: string): boolean =>
  commands.some((command) => nameOf(command).startsWith(`${word} `));

function unknownCommand(commands: readonly CliCommand[], words: readonly string[]): CliError {
  const [first = '', second = ''] = words;
  if (first.startsWith('-')) {
    return usageError(`${first}: options come after the command, as in: threadbox repo list --json`);
  }
  const names = commands.map(nameOf);
  const firstWords = [...new Set(names.map((name) => name.split(' ')[0] ?? ''))];
  const written = isFamily(commands, first) ? `${first} ${second}` : first;
  const nearest = nearestName(
    written,
    isFamily(commands, first) ? names.filter((name) => name.startsWith(`${first} `)) : firstWords,
  );
  const question = nearest === null ? '' : ` Did you mean: threadbox ${nearest}?`;
  const list = isFamily(commands, first) ? `threadbox ${first} --help` : 'threadbox --help';
  return usageError(`there is no command "${written}".${question} All of them: ${list}`);
}

/** @throws {CliError} */
function readCommandLine(command: CliCommand, words: readonly string[]): Request {
  const config: ParseArgsOptionsConfig = { help: { type: 'boolean', short: 'h' } };
  for (const [name, { value, short }] of Object.entries(command.options)) {
    config[name] = { type: value ? 'string' : 'boolean', ...(short && { short }) };
  }
  const { tokens } = parseArgs({
    args: [...words],
    options: config,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const args: string[] = [];
  const options: Record<string, string | boolean> = {};
  for (const token of tokens) {
    if (token.kind === 'positional') args.push(token.value);
    if (token.kind !== 'option') continue;
    // Asked for help, one does not first want to be told of a fault.
    if (token.name === 'help') return { kind: 'command-help', command };
    if (Object.hasOwn(options, token.name)) {
      throw usageError(`${token.rawName} is given twice`);
    }
    options[token.name] = valueOf(command, token);
  }
  const wanted = argumentsOf(command);
  const howTo = `Usage: threadbox ${command.usage} [options]`;
  if (args.length < wanted.length) {
    throw usageError(`${wanted.slice(args.length).join(' and ')} missing. ${howTo}`);
  }
  const most = mostArguments(command);
  if (args.length > most) {
    if (command.tooMuch) throw usageError(command.tooMuch);
    throw usageError(`not understood: ${args.slice(most).join(' ')}. ${howTo}`);
  }
  return { kind: 'run', command, args, options };
}

type OptionToken = {
  name: string;
  rawName: string;
  value: string | undefined;
  inlineValue: boolean | undefined;
};

function valueOf(command: CliCommand, { name, rawName, value, inlineValue }: OptionToken): string | true {
  const option = Object.hasOwn(command.options, name) ? command.options[name] : undefined;
  if (!option) {
    const nearest = nearestName(name, [...Object.keys(command.options), 'help']);
    const question = nearest === null || rawName.length < 3 ? '' : ` Did you mean --${nearest}?`;
    throw usageError(
      `there is no option ${rawName}.${question} All of them: threadbox ${nameOf(command)} --help`,
    );
  }
  if (option.value === undefined) {
    if (value === undefined) return true;
    throw usageError(`${rawName} takes no value`);
  }
  const example = `${rawName.startsWith('--') ? rawName : `--${name}`}=${option.value}`;
  if (value === undefined) throw usageError(`${rawName} needs a value: ${example}`);
  if (inlineValue === false && /^-./.test(value)) {
    throw usageError(`${rawName} needs a value; one that begins with - is written ${example}`);
  }
  return value;
}
