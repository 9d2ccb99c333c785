import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderLifecycleNotice, type LifecycleNotice } from '../../src/mail/lifecycle-notices.ts';
import { at, samples } from './lifecycle-samples.ts';

const wordings: [notice: LifecycleNotice, ...says: RegExp[]][] = [
  [
    samples['repository-missing'],
    /^The directory of my-react-app has gone from its workspace\n/,
    /\/workspace\/my-react-app is not there any more: a command has moved it, or removed it\. So nothing of it can be saved\. The container is stopped, and kept with everything in it\.\n/,
    /Your next command brings back your work of 14:20 UTC in its place; what happened after that is not in it\. Everything else in \/workspace stays as it is/,
    /ls -la \/workspace/,
  ],
  [
    {
      ...samples['repository-missing'],
      savedAt: null,
      warning: { goesAt: at('14:32:00'), minutesRemaining: 5 },
    },
    /^Your container is stopped at 14:32 UTC, in 5 minutes\n/,
    /Nothing has run in my-react-app for a while\.[^]*The container is kept then, with everything in it\.\n/,
    /\n {4}extend\n/,
    /To have it saved, move it back to \/workspace\/my-react-app\./,
    /Your first command after that starts from the repository, in its place\./,
  ],
];

test('a workspace without its repository: what is kept, and what the next command finds', () => {
  for (const [notice, ...says] of wordings) {
    const { text } = renderLifecycleNotice(notice);
    for (const words of says) assert.match(text, words);
  }
});
