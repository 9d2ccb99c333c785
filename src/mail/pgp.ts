const SIGNED = '-----BEGIN PGP SIGNED MESSAGE-----';
const SIGNATURE = '-----BEGIN PGP SIGNATURE-----';
const SIGNATURE_END = '-----END PGP SIGNATURE-----';
const ENCRYPTED = '-----BEGIN PGP MESSAGE-----';

/** True when a text is encrypted by OpenPGP in its place. */
export function isPgpEncrypted(text: string): boolean {
  return text.trimStart().startsWith(ENCRYPTED);
}

/**
 * A text without the armour of an OpenPGP signature around it, its dashes as they were typed (RFC 9580, 7.1 and 7.2). The
 * signature is not looked at. Any other text stays as it is.
 *
 * @param text with LF
 */
export function withoutPgpArmour(text: string): string {
  if (!text.trimStart().startsWith(SIGNED)) return text;
  const lines = text.split('\n');
  const lineOf = (armour: string, from: number) =>
    lines.findIndex((line, at) => at >= from && line.trimEnd() === armour);
  const begin = lineOf(SIGNED, 0);
  const signature = lineOf(SIGNATURE, begin);
  if (signature === -1) return text;
  // Headers of the armour, such as "Hash: SHA512", up to a blank line.
  const blank = lines.findIndex((line, at) => at > begin && line.trim() === '');
  const body = lines.slice(Math.min(blank, signature) + 1, signature);
  const end = lineOf(SIGNATURE_END, signature);
  const rest = end === -1 ? [] : lines.slice(end + 1);
  return [...body.map((line) => line.replace(/^- ?/, '')), ...rest].join('\n');
}
