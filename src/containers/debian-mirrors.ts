import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where packages come from, without a slash at the end. */
export type DebianMirrors = { main: string; security: string };

const PUBLIC: DebianMirrors = {
  main: 'http://deb.debian.org/debian',
  security: 'http://deb.debian.org/debian-security',
};

/** The Debian mirrors this machine uses itself, as they are the ones it is known to reach. */
export async function debianMirrors(suite: string, aptDir = '/etc/apt'): Promise<DebianMirrors> {
  const parts = join(aptDir, 'sources.list.d');
  const names = await readdir(parts).catch(() => []);
  const paths = [join(aptDir, 'sources.list'), ...names.map((name) => join(parts, name))];
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8').catch(() => '')));
  return mirrorsOf(texts, suite);
}

/**
 * Reads the two forms of sources.list(5): one line each, and deb822 stanzas. What is not in them is taken from
 * Debian's own servers.
 */
export function mirrorsOf(texts: readonly string[], suite: string): DebianMirrors {
  const sources = texts
    .map((text) => text.replaceAll('\r\n', '\n'))
    .flatMap((text) => [...lineSources(text), ...stanzaSources(text)]);
  const serving = (wanted: string): string | undefined =>
    sources.find((source) => source.suites.includes(wanted) && /^https?:/.test(source.uri))?.uri;
  return {
    main: serving(suite) ?? PUBLIC.main,
    security: serving(`${suite}-security`) ?? PUBLIC.security,
  };
}

type Source = { uri: string; suites: string[] };

function lineSources(text: string): Source[] {
  return text.split('\n').flatMap((line) => {
    const match = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/.exec(line.trim());
    return match?.[1] && match[2] ? [{ uri: withoutSlash(match[1]), suites: [match[2]] }] : [];
  });
}

function stanzaSources(text: string): Source[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string): string[] =>
      new RegExp(`^${name}:(.*(?:\\n[ \\t].*)*)`, 'im').exec(stanza)?.[1]?.split(/\s+/).filter(Boolean) ?? [];
    if (!field('Types').includes('deb') || field('Enabled')[0] === 'no') return [];
    return field('URIs').map((uri) => ({ uri: withoutSlash(uri), suites: field('Suites') }));
  });
}

function withoutSlash(uri: string): string {
  return uri.replace(/\/+$/, '');
}
