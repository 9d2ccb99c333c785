import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectDocker } from '../../src/containers/client.ts';
import { gitConfig } from '../../src/containers/git-config.ts';
import { lastWords, splitCredentials } from '../../src/containers/host-git.ts';
import { bridgeName, containerName, volumeName } from '../../src/containers/names.ts';
import { executionEnv, scriptEnv } from '../../src/containers/script-env.ts';

describe('names on the engine', () => {
  it('a person recognises the thread', () => {
    assert.match(
      containerName('i', 'john@example.com-my-react-app'),
      /^ai-dev-john-example\.com-my-react-app-[0-9a-f]{10}$/,
    );
  });

  for (const threadId of ['', '@@@', 'ü@ä.de-Ünïcode', 'x'.repeat(500), '../../etc', '日本@例え.jp-app']) {
    it(`any thread has one: ${threadId.slice(0, 30)}`, () => {
      assert.match(containerName('i', threadId), /^ai-dev-[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/);
      assert.ok(volumeName('i', threadId).length <= 80);
    });
  }

  it('what reads alike, and other installations, are kept apart', () => {
    const names = [containerName('i', 'a@b-c'), containerName('i', 'a-b@c'), containerName('j', 'a@b-c')];
    assert.equal(new Set(names).size, 3);
  });

  it('the bridge fits into a name of the kernel', () => {
    assert.ok(bridgeName('a very long name of an installation').length <= 15);
  });
});

describe('addresses with credentials', () => {
  const table: [string, string, { user: string; password: string } | null][] = [
    ['https://u:p%40ss@example.com/x.git', 'https://example.com/x.git', { user: 'u', password: 'p@ss' }],
    ['https://token@example.com/x.git', 'https://example.com/x.git', { user: 'token', password: '' }],
    ['https://a%zz:b@example.com/x', 'https://example.com/x', { user: 'a%zz', password: 'b' }],
    ['https://example.com/x.git', 'https://example.com/x.git', null],
    ['git@example.com:x/y.git', 'git@example.com:x/y.git', null],
    ['ssh://git@example.com/x.git', 'ssh://git@example.com/x.git', null],
    ['ssh://git:p%40ss@example.com:22/x.git', 'ssh://git@example.com:22/x.git', null],
    ['git://u:pass@example.com/x.git', 'git://u@example.com/x.git', null],
    ['/srv/git/x.git', '/srv/git/x.git', null],
  ];
  for (const [given, url, credentials] of table) {
    it(given, () => assert.deepEqual(splitCredentials(given), { url, credentials }));
  }

  it('are masked in what git says', () => {
    const words = lastWords(
      "Cloning into bare repository 'x'...\r\nremote: bad s3cret!\nfatal: Authentication failed for 'https://u:s3cret@h/'\n",
      { user: 'someone', password: 's3cret' },
    );
    assert.equal(words, "remote: bad ***!\nfatal: Authentication failed for 'https://***@h/'");
  });
});

describe('what is handed into a container', () => {
  it('a name cannot add a setting to git', () => {
    const author = { name: 'Eve"\n[core]\n\tpager = sh\\', address: 'e@x' };
    const text = gitConfig({ url: 'https://h/x', mirrorPath: '/m', author });
    assert.match(text, /\tname = "Eve\\" \[core\] pager = sh\\\\"\n\temail/);
  });

  it('a long script goes in pieces that Linux takes, none within a character', () => {
    const script = `${'x'.repeat(29_999)}${'😀'.repeat(100_000)}`;
    const env: Record<string, string> = scriptEnv({ script, env: {} });
    const chunks = (env['_THREADBOX_SCRIPT'] ?? '').split(' ').map((name) => env[name] ?? '');
    assert.equal(chunks.join(''), script);
    for (const chunk of chunks) assert.ok(Buffer.byteLength(chunk) < 128 * 1024 && chunk.isWellFormed());
  });

  it('a script that is too long for a process is refused', () => {
    assert.throws(() => scriptEnv({ script: 'x'.repeat(1_000_001), env: {} }), { code: 'SCRIPT_TOO_LARGE' });
  });

  it('names that could leave their place are refused', () => {
    for (const executionId of ['', 'a/b', '..', 'a b', 'x'.repeat(65)]) {
      assert.throws(() => executionEnv({ executionId, repositoryName: 'a' }));
    }
    for (const repositoryName of ['', '.', '..', '.threadbox', 'a/b', '-x', 'a b']) {
      assert.throws(() => executionEnv({ executionId: 'a', repositoryName }));
    }
    assert.throws(() => scriptEnv({ script: '', env: { 'A B': '1' } }));
  });

  it('an address that is no engine is refused', () => {
    assert.throws(() => connectDocker('ssh://somewhere'), /unix:\/\/\/path or tcp:/);
  });
});
