import { noteForLog } from '../secrets/log-masks.ts';
import { readKey, type KeySource } from '../secrets/key-file.ts';
import { masksOf, NO_MASKS, secretLabel, type Hidden, type Masks } from '../secrets/masks.ts';
import { MOST_MASKED_BYTES } from '../secrets/rules.ts';
import { SecretsError, unseal } from '../secrets/sealing.ts';
import { tokensIn } from '../secrets/well-known.ts';
import type { Db } from '../store/database.ts';
import { repositoryIdOf } from '../store/repositories.ts';
import { sealedSecrets } from '../store/secrets.ts';

/** What a repository's commands are given, and what is masked in all they come to. */
export type RepositorySecrets = {
  env: Readonly<Record<string, string>>;
  hidden: readonly Hidden[];
  masks: Masks;
};

/** Those of a repository as they are now. @throws {SecretsError} where the key is not the one they were sealed with */
export type SecretsOf = (repositoryId: number) => Promise<RepositorySecrets>;

export const NO_SECRETS: RepositorySecrets = { env: {}, hidden: [], masks: NO_MASKS };

/** The same, and what in a command looks like a secret is masked, too: its answer does not repeat it. */
export function withTokens(secrets: RepositorySecrets, script: string): RepositorySecrets {
  const tokens = tokensIn(script).map(({ name, value }) => ({ value, label: `[${name}]` }));
  if (tokens.length === 0) return secrets;
  const hidden = [...secrets.hidden, ...tokens];
  return { ...secrets, hidden, masks: masksOf(hidden) };
}

/** What is masked in what is told of a repository. Where its secrets cannot be opened, no command has been given any. */
export async function masksFor(
  { secretsOf }: { secretsOf: SecretsOf },
  { id }: { id: number },
  script = '',
): Promise<Masks> {
  try {
    return withTokens(await secretsOf(id), script).masks;
  } catch (error) {
    if (error instanceof SecretsError) return withTokens(NO_SECRETS, script).masks;
    throw error;
  }
}

/** The same for the repository of that name, in use or removed. */
export async function masksByName(parts: { db: Db; secretsOf: SecretsOf }, name: string): Promise<Masks> {
  const id = await repositoryIdOf(parts.db, name);
  return id === null ? NO_MASKS : masksFor(parts, { id });
}

/** Reads them anew each time: what was changed is in force from the next command. Masks are made only when it was. */
export function secretsFrom(db: Db, source: KeySource): SecretsOf {
  const known = new Map<number, { stored: string; secrets: RepositorySecrets }>();
  return async (repositoryId) => {
    const rows = await sealedSecrets(db, repositoryId);
    if (rows.length === 0) return NO_SECRETS;
    const stored = rows.map(
      ({ name, sealed, isRetired }) => `${name} ${isRetired} ${sealed.toString('hex')}`,
    );
    const before = known.get(repositoryId);
    if (before?.stored === stored.join('\n')) return before.secrets;
    const key = await readKey(source);
    if (!key) {
      throw new SecretsError(
        `The key of the secrets is gone: there is neither SECRETS_KEY nor ${source.file}. Bring it back.`,
      );
    }
    const env: Record<string, string> = {};
    const hidden = [];
    let maskedBytes = 0;
    for (const { name, keyId, sealed, isRetired } of rows) {
      maskedBytes += sealed.length;
      // One that was set anew after the key was lost cannot be masked any more. The newest come first.
      if (isRetired && (keyId !== key.id || maskedBytes > MOST_MASKED_BYTES)) continue;
      const value = unseal(key, { repositoryId, name }, { keyId, bytes: sealed });
      if (!isRetired) env[name] = value;
      hidden.push({ value, label: secretLabel(name) });
    }
    const secrets = { env, hidden, masks: masksOf(hidden) };
    known.set(repositoryId, { stored: stored.join('\n'), secrets });
    noteForLog(repositoryId, secrets.masks);
    return secrets;
  };
}
