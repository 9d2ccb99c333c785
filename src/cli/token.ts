import { newSecret, tokenText } from '../api-token.ts';
import { nearestName } from '../mail/nearest-name.ts';
import { addToken, listTokens, revokeToken, type ApiToken, type TokenRole } from '../store/api-tokens.ts';
import { CliError, JSON_OPTION, usageError, type CliCommand } from './command.ts';
import { withDatabase } from './database.ts';
import { printJson, printList } from './table.ts';

const NAME = /^[\w][\w .@-]{0,62}$/;

const createCommand: CliCommand = {
  usage: 'token create NAME',
  summary: 'makes a token for the API and the Container Monitor, and prints it',
  options: {
    role: {
      value: 'ROLE',
      summary: 'read (sees everything) or admin (also extends, cleans up, cancels, pauses)',
    },
    ...JSON_OPTION,
  },
  notes:
    'The token is shown this once: only a hash of it is stored. Whoever has it sees all threads, with all their output.\n\n' +
    'Example: threadbox token create grafana --role read',
  async run([written = ''], options) {
    const name = nameOf(written);
    const role = roleOf(options['role'] as string | undefined);
    const { secret, hash } = newSecret();
    const token = await withDatabase((db) => addToken(db, { name, role, hash }));
    if (token === null) {
      throw new CliError(
        `There is a token ${name} already. Take another name, or: threadbox token revoke ${name}`,
      );
    }
    const text = tokenText(token.id, secret);
    if (options['json']) printJson({ ...token, token: text });
    else {
      console.log(text);
      process.stderr.write(
        `Made the token ${name}, with the role ${role}. It is shown this once.\n` +
          'In a request: Authorization: Bearer <token>. On the page of the Container Monitor: log in with it.\n',
      );
    }
  },
};

const listCommand: CliCommand = {
  usage: 'token list',
  summary: 'lists the tokens that hold, not their secrets',
  options: JSON_OPTION,
  async run(_, options) {
    printList(await withDatabase(listTokens, { ifNew: [] }), {
      asJson: options['json'] === true,
      heading: ['name', 'role', 'since', 'last used'],
      row: ({ name, role, createdAt, lastUsedAt }: ApiToken) => [
        name,
        role,
        createdAt.toISOString().slice(0, 10),
        lastUsedAt === null ? 'never' : `${lastUsedAt.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
      ],
      empty: 'There is no token yet. To make one: threadbox token create NAME --role read',
    });
  },
};

const revokeCommand: CliCommand = {
  usage: 'token revoke NAME',
  summary: 'takes a token back: whoever has it is let in no longer, pages that are open included',
  options: JSON_OPTION,
  async run([name = ''], options) {
    const known = await withDatabase(
      async (db) => {
        const names = (await listTokens(db)).map((token) => token.name);
        return (await revokeToken(db, name)) ? null : names;
      },
      { ifNew: [] },
    );
    if (known !== null) {
      const nearest = nearestName(name, known);
      const hint = nearest === null ? '' : ` Did you mean ${nearest}?`;
      throw new CliError(`no token has the name ${name}.${hint} threadbox token list shows them all.`);
    }
    if (options['json']) printJson({ revoked: name });
    else console.log(`Revoked ${name}. Whoever has it is let in no longer.`);
  },
};

/** @throws {CliError} */
function nameOf(written: string): string {
  if (NAME.test(written)) return written;
  throw usageError(`NAME: expected up to 63 letters, digits, spaces and . _ @ -; got ${written}`);
}

/** @throws {CliError} */
function roleOf(written: string | undefined): TokenRole {
  if (written === undefined) throw usageError('--role: expected read or admin');
  if (written === 'read' || written === 'admin') return written;
  throw usageError(`--role: expected read or admin; got ${written}`);
}

export const tokenCommands: readonly CliCommand[] = [createCommand, listCommand, revokeCommand];
