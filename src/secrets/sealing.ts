import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

export const KEY_BYTES = 32;
/** NIST SP 800-38D, 8.2.2: random ones of 96 bits are good for 2^32 values under one key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** `id` tells keys apart, and nothing about them. */
export type SecretsKey = { id: string; bytes: Buffer };

/** Whose value it is: sealed with it, so that no value can be moved to another repository or name. */
export type SealedFor = { repositoryId: number; name: string };

/** Something is wrong with the key or with what was sealed; the message says what can be done. */
export class SecretsError extends Error {
  readonly code = 'SECRETS';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SecretsError';
  }
}

/** @throws {SecretsError} where it is not base64 of 32 bytes. @param from what it is called in the message */
export function keyOf(base64: string, from: string): SecretsKey {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== KEY_BYTES || bytes.toString('base64') !== base64) {
    throw new SecretsError(
      `${from}: expected the base64 of ${KEY_BYTES} bytes, as in: openssl rand -base64 32`,
    );
  }
  const id = createHash('sha256').update('threadbox secrets key\0').update(bytes).digest('hex').slice(0, 16);
  return { id, bytes };
}

/** AES-256-GCM: nonce, tag and ciphertext in one. */
export function seal(key: SecretsKey, of: SealedFor, value: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associated(of));
  const sealed = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

/** @throws {SecretsError} where it was sealed with another key, for something else, or was changed */
export function unseal(key: SecretsKey, of: SealedFor, sealed: { keyId: string; bytes: Buffer }): string {
  if (sealed.keyId !== key.id) {
    throw new SecretsError(
      `The secret ${of.name} was sealed with the key ${sealed.keyId}; SECRETS_KEY or SECRETS_KEY_FILE now is the key ${key.id}. ` +
        'Bring the old key back, or set the secret anew: threadbox secret set',
    );
  }
  const { bytes } = sealed;
  try {
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(associated(of));
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    const rest = bytes.subarray(NONCE_BYTES + TAG_BYTES);
    return Buffer.concat([decipher.update(rest), decipher.final()]).toString();
  } catch (error) {
    const message = `The secret ${of.name} was changed in the database. Set it anew: threadbox secret set`;
    throw new SecretsError(message, { cause: error });
  }
}

const associated = ({ repositoryId, name }: SealedFor): Buffer =>
  Buffer.from(JSON.stringify(['threadbox secret', repositoryId, name]));
