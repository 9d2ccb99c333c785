import assert from 'node:assert/strict';

/** The headline, then the command as the answer repeats it: it must not be taken for its output. */
const ABOVE_OUTPUT = /^Exit code 0 after [^\n]+\n\n\$ [^\n]*\n(?: {2}[^\n]*\n)*\n/;

/**
 * Asserts that an answer tells of exit code 0.
 *
 * @param output all that the command wrote, without the last line end; a pattern is looked for in what stands below the
 *   command
 */
export function ranWith(text: string, output: string | RegExp): void {
  assert.match(text, ABOVE_OUTPUT);
  const below = text.replace(ABOVE_OUTPUT, '');
  if (typeof output === 'string') assert.equal(below.slice(0, output.length + 2), `${output}\n\n`, text);
  else assert.match(below, output);
}
