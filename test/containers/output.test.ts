import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { OutputCapture } from '../../src/containers/output.ts';

const KIB = 1024;

describe('what is kept of an output', () => {
  it('a short output is kept whole, in one piece', async () => {
    const capture = new OutputCapture();
    await capture.write(Buffer.from('a'));
    await capture.write(Buffer.alloc(40 * KIB, 'b'));
    const { head, tail, totalBytes, omittedBytes, log } = await capture.finish();
    assert.equal(head.length, 40 * KIB + 1);
    assert.deepEqual(
      { tail: tail.length, totalBytes, omittedBytes, log },
      { tail: 0, totalBytes: 40 * KIB + 1, omittedBytes: 0, log: null },
    );
  });

  it('nothing at all is an empty head', async () => {
    assert.equal((await new OutputCapture().finish()).head.length, 0);
  });

  for (const size of [48 * KIB, 48 * KIB + 1, 100 * KIB, 1024 * KIB]) {
    for (const step of [7919, 65_536, size]) {
      it(`${size} bytes in steps of ${step} keep both ends and a whole log`, async () => {
        const all = Buffer.from(
          Array.from({ length: size }, (_, index) => 33 + ((index * 7 + (index >> 8)) % 90)),
        );
        const capture = new OutputCapture();
        for (let from = 0; from < size; from += step) await capture.write(all.subarray(from, from + step));
        const { head, tail, totalBytes, omittedBytes, log } = await capture.finish();
        assert.equal(totalBytes, size);
        assert.equal(head.length + tail.length + omittedBytes, size);
        assert.ok(all.subarray(0, head.length).equals(head));
        assert.ok(all.subarray(size - tail.length).equals(tail));
        if (size <= 48 * KIB) return assert.equal(log, null);
        assert.ok(log?.isComplete);
        assert.ok(gunzipSync(log.gzip).equals(all));
      });
    }
  }

  it('characters are not cut in two', async () => {
    const capture = new OutputCapture({ headBytes: 10, tailBytes: 10, gzipBytes: 1_000_000 });
    await capture.write(Buffer.from('€'.repeat(30)));
    const { head, tail, omittedBytes } = await capture.finish();
    assert.deepEqual([head.toString(), tail.toString(), omittedBytes], ['€€€', '€€€', 72]);
  });

  it('the log ends before its limit when the output cannot be compressed, and is still readable', async () => {
    const capture = new OutputCapture({ headBytes: 1000, tailBytes: 1000, gzipBytes: 1_000_000 });
    for (let count = 0; count < 40; count += 1) await capture.write(randomBytes(100_000));
    const { totalBytes, log } = await capture.finish();
    assert.equal(totalBytes, 4_000_000);
    assert.equal(log?.isComplete, false);
    assert.ok(log.gzip.length <= 1_000_000, `${log.gzip.length} bytes`);
    assert.match(gunzipSync(log.gzip).subarray(-100).toString('latin1'), /the log is cut here/);
  });

  it('bytes that are missing are counted and said in the log', async () => {
    const capture = new OutputCapture({ headBytes: 4, tailBytes: 4, gzipBytes: 1_000_000 });
    await capture.write(Buffer.from('0123456789'));
    await capture.skip(1000);
    await capture.write(Buffer.from('abcdefghij'));
    const { head, tail, totalBytes, omittedBytes, log } = await capture.finish();
    assert.deepEqual(
      [head.toString(), tail.toString(), totalBytes, omittedBytes],
      ['0123', 'ghij', 1020, 1012],
    );
    assert.equal(log?.isComplete, false);
    assert.match(gunzipSync(log.gzip).toString(), /^0123456789\n\[.*1000 bytes.*\]\nabcdefghij$/);
  });
});
