import { createHash } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';

/** The newest refresh token, where a provider gives a new one with each access token and lets the old one run out. */
export type KeptRefreshToken = {
  /** null: there is none that goes back to the one that is set. */
  read: () => Promise<string | null>;
  write: (token: string) => Promise<void>;
};

/** Kept in a file that only the bot's user can read. @param set the one of the settings: another one makes the file void */
export function keepRefreshToken(path: string, set: string): KeptRefreshToken {
  const of = createHash('sha256').update(set).digest('hex');
  return {
    async read() {
      try {
        const kept = JSON.parse(await readFile(path, 'utf8')) as { of?: unknown; token?: unknown };
        return kept.of === of && typeof kept.token === 'string' ? kept.token : null;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return null;
        throw error;
      }
    },
    async write(token) {
      await writeFile(`${path}.new`, JSON.stringify({ of, token }), { mode: 0o600 });
      await rename(`${path}.new`, path);
    },
  };
}
