import { LEAST_MASKED_CHARACTERS } from './forms.ts';

/** Linux takes 128 KiB for one variable; more than a key or a file of settings is no secret. */
export const MOST_VALUE_BYTES = 16 * 1024;
/** Of one repository. */
export const MOST_SECRETS = 50;
export const MOST_BYTES_TOGETHER = 32 * 1024;
/** With those that were replaced: masks for so much are made in two seconds. */
export const MOST_MASKED_BYTES = 64 * 1024;

const NAME = /^[A-Z][A-Z0-9_]{0,63}$/;
/** What bash, the loader and Threadbox itself go by. */
const TAKEN =
  /^(THREADBOX_.*|PATH|HOME|PWD|OLDPWD|SHELL|USER|LOGNAME|TERM|IFS|ENV|BASH_?.*|SHELLOPTS|BASHOPTS|POSIXLY_CORRECT|UID|EUID|PPID|LD_.*|LC_.*|LANG|GIT_DIR|GIT_WORK_TREE|GIT_INDEX_FILE)$/;

/** What is wrong with the name of a secret, in words; null: nothing. */
export function nameFault(name: string): string | null {
  if (!NAME.test(name)) {
    return 'expected capitals, digits and _, at most 64, a letter first, as in NPM_TOKEN';
  }
  return TAKEN.test(name) ? `${name} has a meaning of its own to shells or to Threadbox` : null;
}

/** The value out of what was typed or piped: one line end at its end is not part of it. */
export function valueOf(given: Buffer): { value: string } | { fault: string } {
  let value: string;
  try {
    value = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(given).replace(/\r?\n$/, '');
  } catch {
    return { fault: 'it is not text in UTF-8. Encode it first: base64 FILE | threadbox secret set' };
  }
  if (value.trim() === '') return { fault: 'it is empty. To take a secret away: threadbox secret remove' };
  if (value.includes('\0')) return { fault: 'it has a NUL byte, which no environment can hold' };
  const sizeBytes = Buffer.byteLength(value);
  if (sizeBytes > MOST_VALUE_BYTES) {
    return { fault: `it has ${sizeBytes} bytes, more than the ${MOST_VALUE_BYTES} there is room for` };
  }
  return { value };
}

/** True where answers would show it. */
export const isTooShortToMask = (value: string): boolean => value.length < LEAST_MASKED_CHARACTERS;
