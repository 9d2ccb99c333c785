import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mirrorsOf } from '../../src/containers/debian-mirrors.ts';

const PUBLIC = {
  main: 'http://deb.debian.org/debian',
  security: 'http://deb.debian.org/debian-security',
};

const cases: { name: string; texts: string[]; expected: { main: string; security: string } }[] = [
  {
    name: 'no file says anything',
    texts: ['', '# deb http://x.test/debian bookworm main\n'],
    expected: PUBLIC,
  },
  {
    name: 'one line each',
    texts: [
      'deb-src http://src.test/debian bookworm main\ndeb http://near.test/debian/ bookworm main contrib\n' +
        'deb [signed-by=/k.gpg arch=amd64] https://near.test/security bookworm-security main\n',
    ],
    expected: { main: 'http://near.test/debian', security: 'https://near.test/security' },
  },
  {
    name: 'deb822 stanzas, in any case and folded',
    texts: [
      '# a comment\nTypes: deb deb-src\nURIs: http://near.test/debian\nSuites: bookworm bookworm-updates\n' +
        'Components: main\n\ntypes: deb\nuris:\n http://near.test/security/\nsuites: bookworm-security\n',
    ],
    expected: { main: 'http://near.test/debian', security: 'http://near.test/security' },
  },
  {
    name: 'what is switched off does not count',
    texts: ['Enabled: no\nTypes: deb\nURIs: http://off.test/debian\nSuites: bookworm\n'],
    expected: PUBLIC,
  },
  {
    name: 'only another release, or not over HTTP',
    texts: [
      'deb http://near.test/debian trixie main\ndeb cdrom:[x]/ bookworm main\ndeb file:/srv bookworm main\n',
    ],
    expected: PUBLIC,
  },
];

for (const { name, texts, expected } of cases) {
  test(`mirrors of the machine: ${name}`, () => {
    assert.deepEqual(mirrorsOf(texts, 'bookworm'), expected);
    assert.deepEqual(
      mirrorsOf(
        texts.map((text) => text.replaceAll('\n', '\r\n')),
        'bookworm',
      ),
      expected,
    );
  });
}
