/** Where a list goes on, as it is given out: to be sent back as it is. */
export const cursorOf = (next: number | null): string | null =>
  next === null ? null : Buffer.from(`before:${next}`).toString('base64url');

/** @returns null for what was never given out */
export function readCursorText(text: string): number | null {
  const [, digits] = /^before:(\d{1,15})$/.exec(Buffer.from(text, 'base64url').toString('latin1')) ?? [];
  return digits === undefined ? null : Number(digits);
}
