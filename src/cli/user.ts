import { nearestName } from '../mail/nearest-name.ts';
import {
  listUsers,
  registerUser,
  setUser,
  unregisterUser,
  type ListedUser,
  type Role,
} from '../store/users.ts';
import { CliError, JSON_OPTION, usageError, type CliCommand } from './command.ts';
import { withDatabase } from './database.ts';
import { printJson, printList } from './table.ts';
import { readTimeout, shownTimeout, TIMEOUT_OPTION } from './timeout.ts';

const ADDRESS = /^[^\s@<>,;"*]+@[^\s@<>,;"*]+$/;

/** @throws {CliError} */
export function addressOf(written: string, what: string): string {
  if (ADDRESS.test(written)) return written.toLowerCase();
  throw usageError(`${what}: expected an email address, as in john@example.com; got ${written}`);
}

const addCommand: CliCommand = {
  usage: 'user add ADDRESS',
  summary: 'lets an address have commands run, beside those of ALLOWED_SENDERS',
  options: {
    name: { value: 'NAME', summary: "the person's name, for the author of commits" },
    ...JSON_OPTION,
  },
  notes: 'Example: threadbox user add john@example.com --name "John Doe"',
  async run([written = ''], options) {
    const address = addressOf(written, 'ADDRESS');
    const name = (options['name'] as string | undefined) ?? '';
    const user = await withDatabase((db) => registerUser(db, address, name));
    if (user === null)
      throw new CliError(`${address} is a user already. threadbox user list shows them all.`);
    if (options['json']) printJson(user);
    else console.log(`Added ${user.address}. Commands mailed from there are run.`);
  },
};

const setCommand: CliCommand = {
  usage: 'user set ADDRESS',
  summary: 'changes the settings of a user',
  options: {
    ...TIMEOUT_OPTION,
    name: { value: 'NAME', summary: "the person's name, for the author of commits" },
    role: {
      value: 'ROLE',
      summary: 'user or admin, who may query the database and log in as operator, by mail',
    },
    repositories: { value: 'all', summary: 'all: every repository, also those to come' },
    ...JSON_OPTION,
  },
  notes:
    'A timeout is in force from the next check; one of a repository goes before it. Somebody whom only ALLOWED_SENDERS\n' +
    'lets in is added first: threadbox user add ADDRESS\n\n' +
    'Example: threadbox user set john@example.com --timeout 120',
  async run([written = ''], options) {
    const address = addressOf(written, 'ADDRESS');
    const { timeout, name, role, repositories } = options;
    if ([timeout, name, role, repositories].every((given) => given === undefined)) {
      throw usageError('nothing to change: give --timeout, --name, --role or --repositories');
    }
    if (repositories !== undefined && repositories !== 'all') {
      throw usageError('--repositories: only all; single ones by: threadbox user allow ADDRESS REPO');
    }
    const change = {
      ...(role !== undefined && { role: readRole(role as string) }),
      ...(repositories === 'all' && ({ repositories } as const)),
      ...(timeout !== undefined && { idleTimeoutMs: readTimeout(timeout as string) }),
      ...(name !== undefined && { name: name as string }),
    };
    const { user, known } = await withDatabase(
      async (db) => {
        await setUser(db, address, change);
        const users = await listUsers(db);
        return {
          user: users.find((one) => one.address === address),
          known: users.map((one) => one.address),
        };
      },
      { ifNew: { user: undefined, known: [] } },
    );
    if (!user) throw unknownUser(address, known);
    if (options['json']) printJson(user);
    else {
      const called = user.name === '' ? '' : `, name ${user.name}`;
      console.log(
        `Changed ${user.address}: ${user.role}, may use ${shownRepositories(user)}, ` +
          `idle timeout ${shownTimeout(user.idleTimeoutMs)}${called}.`,
      );
    }
  },
};

const listCommand: CliCommand = {
  usage: 'user list',
  summary: 'lists the users',
  options: JSON_OPTION,
  async run(_, options) {
    printList(await withDatabase(listUsers, { ifNew: [] }), {
      asJson: options['json'] === true,
      heading: ['address', 'name', 'role', 'repositories', 'idle timeout', 'since'],
      row: (user: ListedUser) => [
        user.address,
        user.name,
        user.role,
        shownRepositories(user),
        shownTimeout(user.idleTimeoutMs),
        user.createdAt.toISOString().slice(0, 10),
      ],
      empty: 'No user is registered yet. To register one: threadbox user add ADDRESS',
    });
    const { loadConfig, readEnvironment } = await import('../config.ts');
    const { allowedSenders, adminAddresses } = loadConfig(readEnvironment(), { isForBot: false }).config;
    if (!options['json'] && allowedSenders.length > 0) {
      console.log(`\nALLOWED_SENDERS lets in as well: ${allowedSenders.join(', ')}`);
    }
    if (!options['json'] && adminAddresses.length > 0) {
      console.log(`\nADMIN_ADDRESSES are admins as well: ${adminAddresses.join(', ')}`);
    }
  },
};

const removeCommand: CliCommand = {
  usage: 'user remove ADDRESS',
  summary: 'lets a user in no longer; the threads and their history stay',
  options: JSON_OPTION,
  notes: 'An address that ALLOWED_SENDERS lets in stays let in: change that setting too.',
  async run([written = ''], options) {
    const address = addressOf(written, 'ADDRESS');
    const addresses = await withDatabase(
      async (db) => {
        const known = (await listUsers(db)).map((user) => user.address);
        return (await unregisterUser(db, address)) ? null : known;
      },
      { ifNew: [] },
    );
    if (addresses !== null) throw unknownUser(address, addresses);
    if (options['json']) printJson({ removed: address });
    else console.log(`Removed ${address}. Commands mailed from there are no longer run.`);
  },
};

/** @throws {CliError} */
function readRole(written: string): Role {
  if (written === 'user' || written === 'admin') return written;
  throw usageError(`--role: expected user or admin; got ${written}`);
}

/** As a list shows them. */
export function shownRepositories({ repositories }: Pick<ListedUser, 'repositories'>): string {
  if (repositories === null) return 'all repositories';
  return repositories.length === 0 ? 'no repository' : repositories.join(', ');
}

/** @param addresses those there are */
export function unknownUser(address: string, addresses: readonly string[]): CliError {
  const nearest = nearestName(address, addresses);
  return new CliError(
    `no user has the address ${address}.${nearest === null ? '' : ` Did you mean ${nearest}?`} threadbox user list shows them all.`,
  );
}

export const userCommands: readonly CliCommand[] = [addCommand, setCommand, listCommand, removeCommand];
