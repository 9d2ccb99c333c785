/** What a person did wrong on the command line, or a thing that cannot be done: told in plain words, without a stack. */
export class CliError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}

/** Wrong usage: the help is the next thing to read. */
export const usageError = (message: string): CliError => new CliError(message, 2);

/** Ended by Ctrl-C before the end: the exit code that shells know for it. */
export const interrupted = (message: string): CliError => new CliError(message, 130);

export type Options = Readonly<Record<string, string | boolean | undefined>>;

type CliOption = { value?: string; short?: string; summary: string };

export type CliCommand = {
  /** As it is typed, with its arguments: `repo add NAME URL`. Words in capitals are arguments; `[NAME]` may be left out. */
  usage: string;
  summary: string;
  options: Readonly<Record<string, CliOption>>;
  /** More for `--help`: an example, a caution. */
  notes?: string;
  /** What is said instead where there is an argument too much. */
  tooMuch?: string;
  run: (args: readonly string[], options: Options) => Promise<number | void>;
};

/** Every command that tells something has it. */
export const JSON_OPTION = { json: { summary: 'print JSON, for programs' } } as const;

const isArgument = (word: string): boolean => /^(?:[A-Z]+|\[[A-Z]+(?:\.\.\.)?\])$/.test(word);

/** The arguments that a command must have: `NAME` and `URL` of `repo add NAME URL`. */
export function argumentsOf(command: CliCommand): string[] {
  return command.usage.split(' ').filter((word) => isArgument(word) && !word.startsWith('['));
}

/** How many it can have: `[VALUE...]` is any number. */
export function mostArguments({ usage }: CliCommand): number {
  return usage.includes('...]') ? Number.POSITIVE_INFINITY : usage.split(' ').filter(isArgument).length;
}

/** The words that name a command: `repo add` of `repo add NAME URL`. */
export function nameOf(command: CliCommand): string {
  return command.usage
    .split(' ')
    .filter((word) => !isArgument(word))
    .join(' ');
}
