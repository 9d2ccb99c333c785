import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderLifecycleNotice, type LifecycleNotice } from '../../src/mail/lifecycle-notices.ts';
import { samples } from './lifecycle-samples.ts';

const wordings: [notice: LifecycleNotice, ...says: RegExp[]][] = [
  [
    samples.cancelled,
    /^Cancelled: the running command and 2 waiting commands\n/,
    /Its answer follows within seconds[^]*\n {2}\$ npm test\n/,
    /These waited and will not run:\n\n {2}\* npm run build\n {2}\* git status …\n/,
    /Still to be done: save\./,
  ],
  [
    { ...samples.cancelled, isRepeated: true, dropped: [], waiting: ['make'], controls: [] },
    /^Cancelled: the running command\n/,
    /It is being ended since your first word on it\. Its answer/,
    /This one runs next:\n\n {2}\* make\n\nTo cancel all that waits, reply with:\n\n {4}cancel all\n/,
  ],
  [
    { ...samples.cancelled, running: null, dropped: ['make'], controls: [] },
    /^Cancelled: 1 waiting command; nothing of it was run\n\nThis one waited and will not run:/,
  ],
  [
    { ...samples.cancelled, running: null, dropped: [], controls: [] },
    /^Nothing is running\n\nSo there was nothing to cancel\. Reply with your next command\./,
  ],
];
for (const [notice, ...says] of wordings) {
  const { text, html } = renderLifecycleNotice(notice);
  const [title = ''] = text.split('\n');
  test(`${notice.kind}: ${title}`, () => {
    for (const pattern of says) assert.match(text, pattern);
    assert.ok(html.includes(`<title>${title.replaceAll('"', '&quot;')}</title>`));
  });
}
