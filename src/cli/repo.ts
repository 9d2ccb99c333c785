import { resolve } from 'node:path';
import { isInstalled } from '../embedded/server-process.ts';
import { PROXY_PACKAGE } from '../embedded/proxy.ts';
import { nearestName } from '../mail/nearest-name.ts';
import { kindOf, readNetwork, type Network } from '../network-choice.ts';
import {
  addRepository,
  listRepositories,
  removeRepository,
  REPOSITORY_NAME,
  setRepository,
  shownUrl,
  type Repository,
  type RepositoryChange,
} from '../store/repositories.ts';
import { LOGIN_NAME, SQL_NAME } from '../threads/identity.ts';
import { checkUpstream } from './check-upstream.ts';
import { CliError, JSON_OPTION, usageError, type CliCommand, type Options } from './command.ts';
import { withDatabase } from './database.ts';
import { changedLimits, LIMIT_OPTIONS, limitsOf, shownLimits } from './repo-limits.ts';
import { printJson, printList } from './table.ts';
import { readTimeout, shownTimeout, TIMEOUT_OPTION } from './timeout.ts';

/** What Threadbox's git may fetch from; `ext::` and its like would run programs. */
const URL_FORM = /^(https?|ssh|git|file):\/\/[^\s/]*\/\S+$|^[\w.-]+@[\w.-]+:\S+$|^\/\S+$/;
/** It is part of subjects, addresses and the names of containers. */
const LONGEST_NAME = 64;

type NewRepository = Pick<Repository, 'name' | 'url' | 'branch' | 'threadBy'>;

const addCommand: CliCommand = {
  usage: 'repo add NAME URL',
  summary: 'registers a git repository: mails with [NAME] in the subject are for it',
  options: {
    branch: {
      value: 'BRANCH',
      summary: 'the branch that workspaces start from (default: that of the upstream)',
    },
    'thread-by': { value: 'HOW', summary: 'what makes a thread: repository or subject (default: THREAD_BY)' },
    'no-check': { summary: 'register it without asking git whether it can be read' },
    ...JSON_OPTION,
  },
  notes:
    'URL: https://, ssh://, git://, file://, user@host:path, or a directory of this machine. It may carry credentials\n' +
    '(https://user:token@host/repo.git): they stay with Threadbox and never reach a container.\n\n' +
    'Example: threadbox repo add my-react-app https://git.example.com/team/my-react-app.git',
  async run(args, options) {
    const repository = repositoryOf(args, options);
    const { name, url, branch } = repository;
    const isUnchecked = options['no-check'] === true;
    const { isEmpty } = isUnchecked ? { isEmpty: false } : await checkUpstream(url, branch);
    if ((await withDatabase((db) => addRepository(db, repository))) === 'exists') {
      throw new CliError(
        `there is a repository ${name} already. To change it: threadbox repo remove ${name}, then add it again.`,
      );
    }
    if (options['json']) {
      printJson({ ...repository, url: shownUrl(url), isEmpty: isUnchecked ? null : isEmpty });
      return;
    }
    console.log(`Added ${name}. Mails with [${name}] in the subject are for it.`);
    if (isEmpty) console.log('It has no commit yet; commands begin in an empty directory.');
  },
};

/** @throws {CliError} that says what was expected */
function repositoryOf([name = '', given = '']: readonly string[], options: Options): NewRepository {
  if (!REPOSITORY_NAME.test(name) || name.length > LONGEST_NAME) {
    throw usageError(
      `NAME: expected up to ${LONGEST_NAME} letters, digits and . _ - (not first), as in my-react-app; got ${name}`,
    );
  }
  if (name.toLowerCase() === SQL_NAME) {
    throw usageError(
      `NAME: mails with [${SQL_NAME}] are queries of admins (docs/sql.md): give it another name`,
    );
  }
  if (name.toLowerCase() === LOGIN_NAME) {
    throw usageError(
      `NAME: admins mail [${LOGIN_NAME}] to open the Container Monitor (docs/monitor.md): give it another name`,
    );
  }
  const url = /^\.\.?(\/|$)/.test(given) ? resolve(given) : given;
  if (!URL_FORM.test(url)) {
    throw usageError(
      `URL: expected https://, ssh://, git:// or file://, user@host:path, or a directory; got ${shownUrl(given)}`,
    );
  }
  const threadBy = options['thread-by'] ?? null;
  if (threadBy !== null && threadBy !== 'repository' && threadBy !== 'subject') {
    throw usageError(`--thread-by: expected repository or subject; got ${String(threadBy)}`);
  }
  const branch = options['branch'] === undefined ? null : branchOf(options['branch'] as string);
  return { name, url, branch, threadBy };
}

/** @throws {CliError} */
function branchOf(written: string): string {
  if (/^[^\s~^:?*[\\-][^\s~^:?*[\\]*$/.test(written)) return written;
  throw usageError(`--branch: expected the name of a branch, as in main; got ${written}`);
}

const setCommand: CliCommand = {
  usage: 'repo set NAME',
  summary: 'changes the settings of a repository',
  options: {
    ...TIMEOUT_OPTION,
    restore: {
      value: 'STYLE',
      summary: 'what comes back after a removal: commit (the Auto-save commit) or uncommitted (as it was)',
    },
    branch: {
      value: 'BRANCH',
      summary: 'the branch that new workspaces start from, or default: that of the upstream',
    },
    ...LIMIT_OPTIONS,
    network: {
      value: 'REACH',
      summary: 'what its containers reach: internet (nothing nearer), none, or allow:HOST,*.HOST',
    },
    'no-check': { summary: 'do not ask git whether the branch is there' },
    ...JSON_OPTION,
  },
  notes:
    'A timeout is in force from the next check; it goes before that of the user. A network is in force from the next\n' +
    'command of each thread, whose container is made anew around its files. allow: names the hosts that are reached by http\n' +
    'and https, *.HOST all below one.\n\n' +
    'Example: threadbox repo set critical-project --timeout 180\n' +
    "Example: threadbox repo set my-react-app --network 'allow:registry.npmjs.org,*.github.com'",
  async run([name = ''], options) {
    const change = changeOf(options);
    const changed = await withDatabase(
      async (db) => {
        const all = await listRepositories(db);
        const found = all.find((one) => one.name.toLowerCase() === name.toLowerCase());
        const unknown = unknownRepository(
          name,
          all.map((one) => one.name),
        );
        if (!found) throw unknown;
        if (change.branch && options['no-check'] !== true) {
          await checkUpstream(found.url, change.branch, 'set');
        }
        if (!(await setRepository(db, found.name, change))) throw unknown;
        return { ...found, ...change };
      },
      { ifNew: null },
    );
    if (changed === null) throw unknownRepository(name, []);
    if (options['json']) printJson({ ...changed, url: shownUrl(changed.url) });
    else {
      const { branch, idleTimeoutMs, restore, network } = changed;
      console.log(
        `Changed ${changed.name}: idle timeout ${shownTimeout(idleTimeoutMs)}, restore ${restore}, network ${network}, branch ${branch ?? '(default)'}.`,
      );
      for (const line of changedLimits(change, changed)) console.log(line);
      if (change.network) console.log(networkHint(change.network));
    }
  },
};

/** @throws {CliError} that says what was expected */
function changeOf(options: Options): RepositoryChange {
  const { timeout, restore, branch, network } = options;
  const limits = limitsOf(options);
  const given = [timeout, restore, branch, network, ...Object.keys(limits)];
  if (given.every((one) => one === undefined)) {
    throw usageError(
      'nothing to change: give --timeout, --restore, --branch, --network, --command-timeout, --memory, --cpus, --workspace, --background or --root',
    );
  }
  if (restore !== undefined && restore !== 'commit' && restore !== 'uncommitted') {
    throw usageError(`--restore: expected commit or uncommitted; got ${String(restore)}`);
  }
  return {
    ...(network !== undefined && { network: networkOf(network as string) }),
    ...(timeout !== undefined && { idleTimeoutMs: readTimeout(timeout as string) }),
    ...(restore !== undefined && { restore }),
    ...(branch !== undefined && { branch: branch === 'default' ? null : branchOf(branch as string) }),
    ...limits,
  };
}

/** @throws {CliError} that says what was expected */
function networkOf(written: string): Network {
  const read = readNetwork(written);
  if ('fault' in read) throw usageError(`--network: ${read.fault}`);
  return read.network;
}

function networkHint(network: Network): string {
  const from =
    'In force from the next command of each thread, whose container is made anew around its files.';
  if (kindOf(network) !== 'allow' || isInstalled(PROXY_PACKAGE.program)) return from;
  return `${from}\nIt needs Squid where the bot runs, and is not installed here: sh scripts/install-debian-packages.sh ${PROXY_PACKAGE.packages}, as root. Commands wait until it is.`;
}

const listCommand: CliCommand = {
  usage: 'repo list',
  summary: 'lists the repositories',
  options: JSON_OPTION,
  async run(_, options) {
    const repositories = await withDatabase(listRepositories, { ifNew: [] });
    printList(
      repositories.map((repository) => ({ ...repository, url: shownUrl(repository.url) })),
      {
        asJson: options['json'] === true,
        heading: [
          'name',
          'url',
          'branch',
          'limits',
          'network',
          'thread by',
          'idle timeout',
          'restore',
          'since',
        ],
        row: ({
          name,
          url,
          branch,
          threadBy,
          idleTimeoutMs,
          restore,
          network,
          createdAt,
          ...limits
        }: Repository) => [
          name,
          url,
          branch ?? '(default)',
          shownLimits(limits),
          network,
          threadBy ?? '(default)',
          shownTimeout(idleTimeoutMs),
          restore,
          createdAt.toISOString().slice(0, 10),
        ],
        empty: 'No repository is registered yet. To register one: threadbox repo add NAME URL',
      },
    );
  },
};

const removeCommand: CliCommand = {
  usage: 'repo remove NAME',
  summary: 'takes a repository out of use; its threads and their history stay',
  options: JSON_OPTION,
  async run([name = ''], options) {
    const names = await withDatabase(
      async (db) => {
        const known = (await listRepositories(db)).map((one) => one.name);
        return (await removeRepository(db, name)) ? null : known;
      },
      { ifNew: [] },
    );
    if (names !== null) throw unknownRepository(name, names);
    if (options['json']) printJson({ removed: name });
    else console.log(`Removed ${name}. Its threads stay; to have it back, add it again.`);
  },
};

export function unknownRepository(name: string, names: readonly string[]): CliError {
  const nearest = nearestName(name, names);
  return new CliError(
    `no repository is called ${name}.${nearest === null ? '' : ` Did you mean ${nearest}?`} threadbox repo list shows them all.`,
  );
}

export const repoCommands: readonly CliCommand[] = [addCommand, setCommand, listCommand, removeCommand];
