import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';

const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};
const [PAGE, ...OTHERS] = [
  'index.html',
  'monitor.css',
  'icon.svg',
  ...['monitor', 'api', 'charts', 'containers', 'dialog', 'dom', 'lists', 'login', 'threads'].map(
    (name) => `${name}.js`,
  ),
] as const;

/** These alone are served: a path is looked up, never put together from what was asked for. */
const FILES: Readonly<Record<string, string>> = {
  '/': PAGE,
  ...Object.fromEntries(OTHERS.map((file) => [`/monitor/${file}`, file])),
};

const templates = new URL('../../templates/monitor/', import.meta.url);

type PageFile = { bytes: Buffer; type: string; tag: string };
const read = new Map<string, Promise<PageFile>>();

/** The paths of the Container Monitor's files. */
export const pagePaths = Object.keys(FILES);

/** A file of the Container Monitor; 304 for who has it already (RFC 9110, 13.1.2). */
export async function pageFile(path: string, knownTag: string | undefined): Promise<Response | null> {
  const named = FILES[path];
  if (!named) return null;
  let reading = read.get(path);
  if (!reading) {
    reading = readOne(named);
    read.set(path, reading);
  }
  const { bytes, type, tag } = await reading;
  if (knownTag === tag) return new Response(null, { status: 304, headers: { ETag: tag } });
  return new Response(new Uint8Array(bytes), { headers: { 'Content-Type': type, ETag: tag } });
}

async function readOne(file: string): Promise<PageFile> {
  const type = TYPES[extname(file).slice(1) as keyof typeof TYPES];
  const bytes = await readFile(new URL(file, templates));
  const tag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
  return { bytes, type, tag };
}
