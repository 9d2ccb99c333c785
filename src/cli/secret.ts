import { hostname, userInfo } from 'node:os';
import { nearestName } from '../mail/nearest-name.ts';
import { isTooShortToMask, MOST_BYTES_TOGETHER, MOST_SECRETS, nameFault } from '../secrets/rules.ts';
import type { KeySource } from '../secrets/key-file.ts';
import type { SecretsKey } from '../secrets/sealing.ts';
import type { Db } from '../store/database.ts';
import { listRepositories, type Repository } from '../store/repositories.ts';
import { listSecrets, removeSecret, setSecret, usedKeyIds } from '../store/secrets.ts';
import { CliError, JSON_OPTION, usageError, type CliCommand } from './command.ts';
import { withDatabase } from './database.ts';
import { unknownRepository } from './repo.ts';
import { printJson, printList } from './table.ts';

const setCommand: CliCommand = {
  usage: 'secret set REPO NAME',
  summary: "gives a repository's commands a secret, as a variable of their environment",
  options: JSON_OPTION,
  tooMuch:
    'the value is never an argument: other users of the machine and the history of the shell would see it. ' +
    'It is asked for, or read from standard input: threadbox secret set REPO NAME < FILE',
  notes:
    'The value is asked for and not shown; or it is read from standard input. It is stored encrypted, given to each new\n' +
    "command of that repository, of whoever may mail one, and masked in answers and in the log. A command's own output\n" +
    'can still carry it out in forms that nobody foresees: see docs/secrets.md.\n\n' +
    'Example: threadbox secret set my-react-app NPM_TOKEN',
  async run([repo = '', name = ''], options) {
    const fault = nameFault(name);
    if (fault !== null) throw usageError(`NAME: ${fault}; got ${name}`);
    const { readValue } = await import('./secret-value.ts');
    const value = await readValue(name);
    const repository = await withDatabase(
      async (db) => {
        const found = await repositoryOf(db, repo);
        const { seal } = await import('../secrets/sealing.ts');
        const key = await keyFor(db);
        const { id: repositoryId } = found;
        const sealed = seal(key, { repositoryId, name }, value);
        const secret = { repositoryId, name, keyId: key.id, sealed, setBy: whoami() };
        const limits = { secrets: MOST_SECRETS, bytes: MOST_BYTES_TOGETHER };
        if (!(await setSecret(db, secret, limits))) {
          throw new CliError(
            `${found.name} has as many secrets as it can: ${MOST_SECRETS}, of ${MOST_BYTES_TOGETHER} bytes together. ` +
              `Remove some first: threadbox secret list ${found.name}`,
          );
        }
        return found;
      },
      { ifNew: null },
    );
    if (repository === null) throw unknownRepository(repo, []);
    const isMasked = !isTooShortToMask(value);
    if (options['json']) printJson({ repository: repository.name, name, isMasked });
    else {
      console.log(`Set ${name} of ${repository.name}. Commands have it as $${name}, from the next one on.`);
      if (!isMasked)
        console.log('It is so short that it is not masked: answers show it where it is printed.');
    }
  },
};

const listCommand: CliCommand = {
  usage: 'secret list REPO',
  summary: 'lists the secrets of a repository: names, never values',
  options: JSON_OPTION,
  async run([repo = ''], options) {
    const secrets = await withDatabase(async (db) => listSecrets(db, (await repositoryOf(db, repo)).id), {
      ifNew: null,
    });
    if (secrets === null) throw unknownRepository(repo, []);
    printList(
      secrets.map(({ name, setAt, setBy }) => ({ name, setAt, setBy })),
      {
        asJson: options['json'] === true,
        heading: ['name', 'set', 'by'],
        row: ({ name, setAt, setBy }: { name: string; setAt: Date; setBy: string }) => [
          name,
          `${setAt.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
          setBy,
        ],
        empty: `${repo} has no secrets. To give it one: threadbox secret set ${repo} NAME`,
      },
    );
  },
};

const removeCommand: CliCommand = {
  usage: 'secret remove REPO NAME',
  summary: 'takes a secret away from the next command on',
  options: JSON_OPTION,
  notes: 'Its value is kept, encrypted, for 30 days, to be masked where an earlier command still prints it.',
  async run([repo = '', name = ''], options) {
    const repository = await withDatabase(
      async (db) => {
        const found = await repositoryOf(db, repo);
        const names = (await listSecrets(db, found.id)).map((secret) => secret.name);
        if (await removeSecret(db, found.id, name)) return found;
        const nearest = nearestName(name, names);
        const question = nearest === null ? '' : ` Did you mean ${nearest}?`;
        throw new CliError(
          `${found.name} has no secret ${name}.${question} threadbox secret list ${found.name} shows them all.`,
        );
      },
      { ifNew: null },
    );
    if (repository === null) throw unknownRepository(repo, []);
    if (options['json']) printJson({ removed: name, repository: repository.name });
    else console.log(`Removed ${name} of ${repository.name}. Commands that run keep it until they end.`);
  },
};

/** @throws {CliError} */
async function repositoryOf(db: Db, name: string): Promise<Repository> {
  const all = await listRepositories(db);
  const found = all.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (found) return found;
  throw unknownRepository(
    name,
    all.map((one) => one.name),
  );
}

/** A new key only where nothing is sealed with another one. @throws {CliError} */
async function keyFor(db: Db): Promise<SecretsKey> {
  const { loadConfig, readEnvironment } = await import('../config.ts');
  const { readKey, readOrMakeKey } = await import('../secrets/key-file.ts');
  const { SecretsError } = await import('../secrets/sealing.ts');
  const { config, secrets } = loadConfig(readEnvironment(), { isForBot: false });
  const source: KeySource = { given: secrets.secretsKey, file: config.secretsKeyFile };
  try {
    const used = await usedKeyIds(db);
    const key = used.length === 0 ? await readOrMakeKey(source) : await readKey(source);
    if (key && (used.length === 0 || used.includes(key.id))) return key;
    const now = key ? `the key here is ${key.id}` : `there is no key in ${source.file}`;
    throw new CliError(
      `the secrets in the database were sealed with the key ${used.join(', ')}, and ${now}. ` +
        'Bring that key back (SECRETS_KEY or SECRETS_KEY_FILE), or remove all secrets of all repositories first.',
    );
  } catch (error) {
    if (error instanceof SecretsError) throw new CliError(error.message, 1, { cause: error });
    throw error;
  }
}

/** Who asks for it, as far as the machine knows. */
const whoami = (): string => `${userInfo().username}@${hostname()}`;

export const secretCommands: readonly CliCommand[] = [setCommand, listCommand, removeCommand];
