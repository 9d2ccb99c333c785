import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readAnswer } from '../../src/containers/answer-stream.ts';
import { parseFacts } from '../../src/containers/facts.ts';

const whole = [
  'threadbox 1',
  'background 2',
  'process 42 sleep 100',
  'process 43 ',
  'process x y',
  'dropped 1',
  'dropped-process 7 node a b',
  'branch feature/x y',
  'changes complete',
  'exit 3',
  'time 1700000000.500000 1700000001.750000',
  'gap 0 0',
  'numstat',
  '',
].join('\n');

describe('what a script inside a container says', () => {
  it('is read', () => {
    const numstat = Buffer.concat([
      Buffer.from('3\t1\tsrc/a b.ts\0-\t-\tlogo.bin\0'),
      Buffer.from('0\t0\t\0old name\0new\nname\0'),
      Buffer.from('1\t0\todd'),
      Buffer.from([0xff, 0]),
    ]);
    assert.deepEqual(parseFacts(Buffer.concat([Buffer.from(whole), numstat]), false), {
      word: 'result',
      exitCode: 3,
      durationMs: 1250,
      branch: 'feature/x y',
      changes: {
        files: [
          { path: 'src/a b.ts', added: 3, removed: 1 },
          { path: 'logo.bin', added: null, removed: null },
          { path: 'new\nname', oldPath: 'old name', added: 0, removed: 0 },
          { path: Buffer.from([0x6f, 0x64, 0x64, 0xff]), added: 1, removed: 0 },
        ],
        isComplete: true,
      },
      backgroundProcesses: 2,
      backgroundNames: ['sleep 100 (pid 42)', ' (pid 43)'],
      droppedProcesses: 1,
      droppedNames: ['node a b (pid 7)'],
      gap: { afterBytes: 0, missingBytes: 0 },
      wasStopped: false,
      wasCancelled: false,
      isOutputLost: false,
      isUnended: false,
      shortages: null,
      isUnsaved: true,
      hasOutbox: false,
    });
    assert.equal(parseFacts(Buffer.from(whole.replace('exit 3', 'exit 3\nsaved')), false)?.isUnsaved, false);
  });

  it('what ran short is read: counts with their limits, and disks with room for data and files', () => {
    const counted = (lines: string) =>
      parseFacts(Buffer.from(whole.replace('exit 3', `exit 3\ncounted\n${lines}`)), false)?.shortages;
    const nothing = {
      oomKills: 0,
      memoryLimitBytes: null,
      refusedProcesses: 0,
      processLimit: null,
      disks: [],
    };
    assert.deepEqual(counted(''), nothing);
    assert.deepEqual(counted('oom 2 2147483648\npids 7 512'), {
      ...nothing,
      oomKills: 2,
      memoryLimitBytes: 2 ** 31,
      refusedProcesses: 7,
      processLimit: 512,
    });
    // Without a limit cgroups v1 says 2^63 less a page, and v2 says max.
    assert.equal(counted('oom 1 9223372036854771712')?.memoryLimitBytes, null);
    assert.equal(counted('pids 1 max')?.processLimit, null);
    assert.deepEqual(counted('disks 10 100 4096 5 50 0 16 512 0 0')?.disks, [
      { path: '/workspace', freeBytes: 40_960, totalBytes: 409_600, freeFiles: 5 },
      { path: '/tmp', freeBytes: 0, totalBytes: 8192, freeFiles: null },
    ]);
    assert.deepEqual(counted('disks '), nothing);
  });

  it('a reason why the changes are not complete is passed on', () => {
    const facts = parseFacts(Buffer.from(whole.replace('complete', 'partial no space left')), false);
    assert.deepEqual(facts?.changes, { files: [], isComplete: false, reason: 'no space left' });
  });

  it('very many files are cut off with a reason', () => {
    const files = Array.from({ length: 3000 }, (_, index) => `1\t0\tfile-${index}\0`).join('');
    const changes = parseFacts(Buffer.from(whole + files), false)?.changes;
    assert.equal(changes?.files.length, 1000);
    assert.equal(changes.reason, 'only 1000 files are listed');
  });

  for (const text of [
    '',
    'OCI runtime exec failed',
    'threadbox 2\nnumstat\n',
    'threadbox 1\nexit 0\n',
    'threadbox 1',
  ]) {
    it(`is not taken for one: ${JSON.stringify(text)}`, () => {
      assert.equal(parseFacts(Buffer.from(text), false), null);
    });
  }

  for (const nonsense of [
    'exit -1',
    'exit 99999999999999999999',
    'exit 256',
    'time x y',
    'gap NaN -5',
    'background many',
    'branch',
  ]) {
    it(`nonsense does no harm: ${nonsense}`, () => {
      const facts = parseFacts(Buffer.from(`threadbox 1\n${nonsense}\nnumstat\nx\0\0\t\t\0-\t-\t\0`), false);
      assert.deepEqual(facts?.gap, { afterBytes: 0, missingBytes: 0 });
      assert.deepEqual(
        [facts.exitCode, facts.durationMs, facts.branch, facts.backgroundProcesses],
        [null, null, null, 0],
      );
      assert.deepEqual(facts.changes.files, []);
    });
  }
});

it('what is out of all measure is cut down to what can be stored and shown', () => {
  const said = `threadbox 1\nexit 255\ntime 0 1e300\nbranch a\u001b[31m\u0085b\ngap 5 999999999999999\nbackground 999999999\nnumstat\n`;
  const facts = parseFacts(Buffer.from(said), false);
  assert.deepEqual(
    [facts?.exitCode, facts?.durationMs, facts?.branch, facts?.gap.afterBytes, facts?.backgroundProcesses],
    [255, 365 * 24 * 3600_000, 'a[31mb', 5, 100_000],
  );
});

function frame(data: Buffer | string, type = 1): Buffer {
  const header = Buffer.alloc(8);
  header[0] = type;
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, Buffer.from(data)]);
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

describe('the stream of an answer', () => {
  const output = 'one\0two\0\0end\n\0threadbox-en\0three';
  const all = Buffer.concat([
    frame(`${whole}1\t0\tnew\0`),
    frame('\0\0end\n'),
    frame('ignored', 2),
    frame(output),
    frame('\0threadbox-end\0'),
  ]);
  for (const size of [1, 3, 8, 13, 1000]) {
    it(`is the same in pieces of ${size} bytes`, async () => {
      const answer = await readAnswer(inPieces(all, size));
      assert.equal(answer.facts?.exitCode, 3);
      assert.equal(answer.facts.changes.files.length, 1);
      assert.equal(answer.output.head.toString(), output);
      assert.ok(answer.isWhole);
    });
  }

  it('one that breaks off is not whole, wherever it does', async () => {
    for (let end = 0; end < all.length; end += 1) {
      assert.equal((await readAnswer(inPieces(all.subarray(0, end), 50))).isWhole, false);
    }
  });

  it('one that never comes to a point does not fill the memory', async () => {
    const many = async function* () {
      for (let count = 0; count < 2000; count += 1) yield frame(Buffer.alloc(65_536, 'x'));
    };
    const { facts, oddity } = await readAnswer(many());
    assert.deepEqual([facts, oddity], [null, 'x'.repeat(500)]);
  });

  it('facts that are too long are cut, the output after them is read', async () => {
    const files = Array.from({ length: 100_000 }, (_, index) => `1\t0\tlong/file/name-${index}\0`).join('');
    const long = Buffer.concat([frame(whole), frame(files), frame('\0\0end\nhello\0threadbox-end\0')]);
    const answer = await readAnswer(inPieces(long, 65_536));
    assert.equal(answer.output.head.toString(), 'hello');
    assert.equal(answer.facts?.changes.isComplete, false);
    assert.ok(answer.isWhole);
  });
});
