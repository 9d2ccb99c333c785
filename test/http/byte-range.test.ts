import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rangedResponse } from '../../src/http/byte-range.ts';

const BYTES = Buffer.from(Array.from({ length: 200_000 }, (_, at) => at % 251));

test('bytes are given out as they are taken, and it is told once that they are needed no more', async () => {
  for (const [range, expected] of [
    [undefined, BYTES],
    ['bytes=5-150000', BYTES.subarray(5, 150_001)],
    ['bytes=199999-', BYTES.subarray(199_999)],
    ['bytes=200000-', Buffer.alloc(0)],
  ] as const) {
    let done = 0;
    const response = rangedResponse(BYTES, range, {}, () => (done += 1));
    const isSatisfied = response.status !== 416;
    assert.equal(done, isSatisfied ? 0 : 1, range);
    if (isSatisfied) assert.equal(response.headers.get('content-length'), String(expected.length));
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(expected), range);
    assert.equal(done, 1, range);
  }
  let left = 0;
  const response = rangedResponse(BYTES, undefined, {}, () => (left += 1));
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  assert.ok(((await reader.read()).value?.length ?? 0) < 100_000);
  assert.equal(left, 0);
  await reader.cancel();
  assert.equal(left, 1);
});
