import { ContainersError } from './errors.ts';
import { MAX_SCRIPT_BYTES } from './limits.ts';

/** Linux takes 128 KiB for one string, and 2 MiB for all arguments and the environment (execve(2)). */
const CHUNK_CHARACTERS = 30_000;

/** Says which execution is meant to the scripts of inside/. */
export function executionEnv({
  executionId,
  repositoryName,
}: {
  executionId: string;
  repositoryName: string;
}) {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(executionId)) {
    throw new Error(
      `Expected an execution ID of letters, digits, _ and -, got ${JSON.stringify(executionId)}`,
    );
  }
  if (!isDirectoryName(repositoryName)) {
    throw new Error(`Expected the name of a repository, got ${JSON.stringify(repositoryName)}`);
  }
  return { _THREADBOX_ID: executionId, _THREADBOX_REPOSITORY: repositoryName };
}

/** True for what may become a directory beside our own ones. */
export function isDirectoryName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name);
}

/**
 * A command, and the names of the variables that go with it, as inside/command.sh takes them.
 *
 * @throws {ContainersError} `SCRIPT_TOO_LARGE`
 */
export function scriptEnv({ script, env }: { script: string; env: Readonly<Record<string, string>> }) {
  const text = script.replaceAll('\0', '').toWellFormed();
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > MAX_SCRIPT_BYTES) {
    const message = `The command has ${sizeBytes} bytes, more than the ${MAX_SCRIPT_BYTES} that can be run`;
    throw new ContainersError('SCRIPT_TOO_LARGE', message);
  }
  for (const name of Object.keys(env)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new Error(`Expected the name of an environment variable, got ${JSON.stringify(name)}`);
    }
  }
  const chunks = chunksOf(text).map((chunk, index) => [`_THREADBOX_SCRIPT_${index}`, chunk] as const);
  return {
    ...Object.fromEntries(chunks),
    _THREADBOX_SCRIPT: chunks.map(([name]) => name).join(' '),
    _THREADBOX_GIVEN: Object.keys(env).join(' '),
  };
}

/** Secrets, under names that nothing else has, as inside/command.sh takes them. */
export function secretVariables(secrets: Readonly<Record<string, string>>): Record<string, string> {
  const names = Object.keys(secrets);
  const values = names.map((name) => [`_THREADBOX_SECRET_${name}`, secrets[name] ?? ''] as const);
  return { ...Object.fromEntries(values), _THREADBOX_SECRETS: names.join(' ') };
}

/**
 * Variables as a runner takes them: see inside/runner.sh.
 *
 * @param exported their names go to the command's environment as they are
 */
export function runnerRequest(
  variables: Readonly<Record<string, string>>,
  exported: Readonly<Record<string, string>>,
): Buffer {
  const assign = ([name, value]: [string, string]) =>
    `${name}='${value.replaceAll("'", String.raw`'\''`)}'\n`;
  const text = [
    ...Object.entries(exported).map((pair) => `export ${assign(pair)}`),
    ...Object.entries(variables).map(assign),
  ].join('');
  const bytes = Buffer.from(text.replaceAll('\0', ''));
  return Buffer.concat([Buffer.from(`${bytes.length}\n`), bytes]);
}

function chunksOf(text: string): string[] {
  const chunks: string[] = [];
  for (let from = 0; from < text.length || from === 0;) {
    let to = from + CHUNK_CHARACTERS;
    // Not between the halves of a character beyond U+FFFF.
    if (/[\uD800-\uDBFF]/.test(text.charAt(to - 1))) to += 1;
    chunks.push(text.slice(from, to));
    from = to;
  }
  return chunks;
}
