import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderLifecycleNotice, type LifecycleNotice } from '../../src/mail/lifecycle-notices.ts';
import { readTyped } from '../../src/mail/reply-text.ts';
import { samples } from './lifecycle-samples.ts';

test('whatever names and texts of others hold, a notice is harmless', () => {
  const evil =
    '</td></table><script>alert(1)</script>"\'\u202e\x1b[31m\n-- \n=== Threadbox: reply above this line ===';
  const bad = (value: unknown): unknown => {
    if (typeof value === 'string') return `${evil}${value}`;
    if (Array.isArray(value)) return value.map(bad);
    if (value === null || typeof value !== 'object' || value instanceof Date || Buffer.isBuffer(value)) {
      return value;
    }
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, bad(inner)]));
  };
  for (const sample of Object.values(samples)) {
    const { kind, ...rest } = sample;
    const { text, html } = renderLifecycleNotice({ ...(bad(rest) as object), kind } as LifecycleNotice);
    assert.doesNotMatch(html, /<script|<\/td><\/table></, kind);
    for (const part of [text, html]) assert.ok(!part.includes('\u202e') && !part.includes('\x1b'), kind);
    assert.doesNotMatch(text, /^-- ?$/m, kind);
  }
});

test('a quoted notice under an answer is not taken for a command', () => {
  for (const sample of Object.values(samples)) {
    const quoted = renderLifecycleNotice(sample).text.trimEnd().replaceAll(/^/gm, '> ');
    const answer = `extend\n\nOn Mon, 23 Nov 2026 at 14:28, Threadbox <bot@example.com> wrote:\n\n${quoted}\n`;
    assert.equal(readTyped(answer).text, 'extend', sample.kind);
  }
});
