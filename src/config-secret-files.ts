import { readFileSync } from 'node:fs';

/** Files that hold the password of a URL, which then names the user alone. */
const PASSWORD_FILES = {
  IMAP_PASSWORD_FILE: 'IMAP_URL',
  SMTP_PASSWORD_FILE: 'SMTP_URL',
  CLIENT_IMAP_PASSWORD_FILE: 'CLIENT_IMAP_URL',
  CLIENT_SMTP_PASSWORD_FILE: 'CLIENT_SMTP_URL',
  DATABASE_PASSWORD_FILE: 'DATABASE_URL',
  SQL_DATABASE_PASSWORD_FILE: 'SQL_DATABASE_URL',
  REDIS_PASSWORD_FILE: 'REDIS_URL',
} as const;

/** Files that hold a setting as it is. SECRETS_KEY_FILE is none of them: Threadbox makes that file where it is missing. */
const VALUE_FILES = {
  OAUTH_CLIENT_SECRET_FILE: 'OAUTH_CLIENT_SECRET',
  OAUTH_REFRESH_TOKEN_FILE: 'OAUTH_REFRESH_TOKEN',
} as const;

export const secretFileSettings = [...Object.keys(PASSWORD_FILES), ...Object.keys(VALUE_FILES)];

/** A socket in the place of a host, as drivers take it. */
const POSTGRES_SOCKET = 'postgres://user@%2Frun%2Fpostgresql/name';
const WITH_HOST: Readonly<Record<string, string>> = {
  'postgres:': POSTGRES_SOCKET,
  'postgresql:': POSTGRES_SOCKET,
};

/** No secret is as long: whoever names a larger file has meant another one. */
const MOST_CHARACTERS = 64 << 10;

type Given = Readonly<Record<string, string | undefined>>;
type ReadText = (path: string) => string;

/**
 * What is set, with what stands in the files that are named. An empty file counts as not set, as an empty variable does:
 * a deployment may name files that not everybody fills.
 *
 * @returns `faults` has a line for each file that cannot be taken; what is in one is in none of them
 */
export function withSecretFiles(
  given: Given,
  read: ReadText = (path) => readFileSync(path, 'utf8'),
): { given: Given; faults: string[] } {
  const values = { ...given };
  const faults: string[] = [];
  const take = (name: string, put: (secret: string) => string | null): void => {
    const path = given[name];
    const found = path === undefined ? { secret: '' } : secretIn(path, read);
    const fault = 'fault' in found ? found.fault : found.secret === '' ? null : put(found.secret);
    if (fault !== null) faults.push(`${name}: ${fault}`);
  };
  for (const [name, setting] of Object.entries(PASSWORD_FILES)) {
    take(name, (password) => {
      const url = given[setting];
      if (url === undefined) return `expected together with ${setting}, which names the host and the user`;
      // What is wrong with such a URL is said of the URL.
      if (!URL.canParse(url)) return null;
      const parsed = new URL(url);
      if (parsed.password !== '') return `there is a password in ${setting} already: take it out there`;
      parsed.password = encodeURIComponent(password);
      // One without a host takes none, and says nothing.
      if (parsed.password === '')
        return `expected a ${setting} with a host, as in ${WITH_HOST[parsed.protocol] ?? `${parsed.protocol}//user@host`}`;
      values[setting] = parsed.href;
      return null;
    });
  }
  for (const [name, setting] of Object.entries(VALUE_FILES)) {
    take(name, (secret) => {
      if (given[setting] !== undefined) return `${setting} is set already: keep one of the two`;
      values[setting] = secret;
      return null;
    });
  }
  return { given: values, faults };
}

function secretIn(path: string, read: ReadText): { secret: string } | { fault: string } {
  let text: string;
  try {
    text = read(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = { ENOENT: 'there is no such file', EACCES: 'this user may not' }[code ?? ''] ?? message;
    return { fault: `${path} cannot be read: ${why}` };
  }
  // Editors and `echo` end a file with a line break, and no secret ends so.
  const secret = text.replace(/\r?\n$/, '');
  if (secret.length > MOST_CHARACTERS) return { fault: `${path} is too large for a secret` };
  if (/[\r\n\0]/.test(secret)) return { fault: `${path}: expected the secret alone, in one line` };
  return { secret };
}
