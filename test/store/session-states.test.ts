import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { NEXT_STATES, statesBefore, type SessionState } from '../../src/store/session-states.ts';

const arrows = Object.entries(NEXT_STATES).flatMap(([from, next]) => next.map((to) => `${from} --> ${to}`));

test('the diagram in the docs draws the ways that a session can take in the code, each and no other', async () => {
  const page = await readFile(new URL('../../docs/lifecycle.md', import.meta.url), 'utf8');
  const [, diagram = ''] = /```mermaid\nstateDiagram-v2\n([^]*?)```/.exec(page) ?? [];
  const drawn = [...diagram.matchAll(/^ +(\S+) --> (\w+|\[\*\])/gm)].map(
    ([, from, to]) => `${from} --> ${to}`,
  );
  // Beside them: where a session begins and ends, and that it may be used for long.
  const others = ['[*] --> active', 'active --> active', 'ended --> [*]'];
  assert.deepEqual(drawn.toSorted(), [...arrows, ...others].toSorted());
});

test('what is over stays over', () => {
  assert.deepEqual(NEXT_STATES.ended, []);
  const rest: SessionState[] = ['active', 'save_failed', 'removing'];
  assert.deepEqual(statesBefore('ended').toSorted(), rest.toSorted());
});
