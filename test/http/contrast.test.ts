import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { contrast, fromHex } from '../../src/mail/colours.ts';

const css = readFileSync(new URL('../../templates/monitor/monitor.css', import.meta.url), 'utf8');
const [light = '', dark = ''] = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => block);

const coloursOf = (...blocks: string[]): Record<string, string> =>
  Object.fromEntries(
    blocks.flatMap((block) =>
      [...block.matchAll(/--([\w-]+): #([0-9a-f]+);/g)].map(([, name = '', hex = '']) => [
        name,
        hex.length === 3 ? [...hex].map((digit) => digit + digit).join('') : hex,
      ]),
    ),
  );

/** What is read on what. */
const TEXTS: readonly (readonly [text: string, on: readonly string[]])[] = [
  ['ink', ['card', 'page', 'soft']],
  ['dim', ['card', 'page']],
  ['link', ['card', 'page']],
  ['bad', ['card', 'page', 'soft']],
  ['good', ['soft']],
  ['unsure', ['card', 'soft']],
  ['on-accent', ['accent']],
  ['block-ink', ['block']],
  // The toast.
  ['page', ['ink']],
];
/** What is no text, and has to be told apart: bars, the border of a field, where the keyboard is. */
const SHAPES: readonly (readonly [shape: string, on: readonly string[]])[] = [
  ['accent', ['card', 'page', 'soft']],
  ['unsure', ['soft']],
  ['dim', ['card']],
];

test('all that is shown on the page can be read, light and dark (WCAG 2.2, 1.4.3 and 1.4.11)', () => {
  for (const colours of [coloursOf(light), coloursOf(light, dark)]) {
    for (const [pairs, least] of [
      [TEXTS, 4.5],
      [SHAPES, 3],
    ] as const) {
      for (const [name, on] of pairs) {
        for (const ground of on) {
          const ratio = contrast(fromHex(colours[name] ?? ''), fromHex(colours[ground] ?? ''));
          assert.ok(ratio >= least, `${name} on ${ground}: ${ratio.toFixed(2)}`);
        }
      }
    }
  }
});
