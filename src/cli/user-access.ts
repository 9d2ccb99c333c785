import { nearestName } from '../mail/nearest-name.ts';
import { allowRepository, denyRepository, type PermissionChange } from '../store/permissions.ts';
import { listRepositories } from '../store/repositories.ts';
import { listUsers, type ListedUser } from '../store/users.ts';
import { CliError, JSON_OPTION, type CliCommand } from './command.ts';
import { withDatabase } from './database.ts';
import { printJson } from './table.ts';
import { addressOf, shownRepositories, unknownUser } from './user.ts';

export const allowCommand: CliCommand = {
  usage: 'user allow ADDRESS REPO',
  summary: 'lets a user use a repository, and from the first time on only those allowed',
  options: JSON_OPTION,
  notes:
    'Before the first `user allow` or `user deny`, a user may use every repository. To go back to that:\n' +
    'threadbox user set ADDRESS --repositories all\n\n' +
    'Example: threadbox user allow john@example.com my-react-app',
  run: ([written = '', name = ''], options) =>
    changeAccess(addressOf(written, 'ADDRESS'), name, {
      make: allowRepository,
      asJson: options['json'] === true,
    }),
};

export const denyCommand: CliCommand = {
  usage: 'user deny ADDRESS REPO',
  summary: 'lets a user use a repository no longer; the others there are now, they still may',
  options: JSON_OPTION,
  notes:
    'For them it is then as if there were none of that name. What runs or is saved there stays.\n\n' +
    'Example: threadbox user deny john@example.com my-react-app',
  run: ([written = '', name = ''], options) =>
    changeAccess(addressOf(written, 'ADDRESS'), name, {
      make: denyRepository,
      asJson: options['json'] === true,
    }),
};

async function changeAccess(
  address: string,
  name: string,
  { make, asJson }: { make: typeof allowRepository; asJson: boolean },
): Promise<void> {
  const nobody = { change: 'no-user' as PermissionChange, users: [] as ListedUser[], names: [] as string[] };
  const { change, users, names } = await withDatabase(
    async (db) => ({
      change: await make(db, address, name),
      users: await listUsers(db),
      names: (await listRepositories(db)).map((repository) => repository.name),
    }),
    { ifNew: nobody },
  );
  const user = users.find((one) => one.address === address);
  if (!user) {
    const known = users.map((one) => one.address);
    throw unknownUser(address, known);
  }
  if (change === 'no-repository') {
    const nearest = nearestName(name, names);
    const question = nearest === null ? '' : ` Did you mean ${nearest}?`;
    throw new CliError(`no repository is called ${name}.${question} threadbox repo list shows them all.`);
  }
  if (asJson) printJson(user);
  else
    console.log(
      `${change === 'as-before' ? 'As before' : 'Changed'}: ${address} may use ${shownRepositories(user)}.`,
    );
}
