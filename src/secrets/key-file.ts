import { randomBytes } from 'node:crypto';
import { chown, mkdir, open, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KEY_BYTES, keyOf, SecretsError, type SecretsKey } from './sealing.ts';

/** Where the key is: SECRETS_KEY, or else the file. */
export type KeySource = { given: string | null; file: string };

/** @returns null where there is none yet. @throws {SecretsError} */
export async function readKey({ given, file }: KeySource): Promise<SecretsKey | null> {
  if (given !== null) return keyOf(given, 'SECRETS_KEY');
  try {
    return keyOf((await readFile(file, 'utf8')).trim(), file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    if (error instanceof SecretsError) throw error;
    throw new SecretsError(`The key of the secrets cannot be read: ${message}`, { cause: error });
  }
}

/** The same, and where there is none one is made. Of two who make it at once both get the first. @throws {SecretsError} */
export async function readOrMakeKey(source: KeySource): Promise<SecretsKey> {
  const known = await readKey(source);
  if (known) return known;
  const { file } = source;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o711 });
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(`${randomBytes(KEY_BYTES).toString('base64')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // Made by root for a bot that is not: it is the bot's.
    const { uid, gid } = await stat(dirname(file));
    if (process.getuid?.() === 0 && uid !== 0) await chown(file, uid, gid);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') {
      throw new SecretsError(`The key of the secrets cannot be written: ${message}`, { cause: error });
    }
  }
  const made = await readKey(source);
  if (!made) throw new SecretsError(`The key of the secrets has gone from ${file}`);
  return made;
}
