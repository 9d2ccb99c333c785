import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/**
 * Reads what was remembered in a file.
 *
 * @returns null where there is none yet
 * @throws when the file holds something else than JSON, or cannot be read
 */
export async function recall<T>(path: string): Promise<T | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new Error(`Expected JSON in ${path}, got ${text.length} characters that are none`, {
      cause: error,
    });
  }
}

/** Keeps a value in a file for its owner's eyes only. Whoever reads it meanwhile sees the old or the new one, whole. */
export async function remember(path: string, value: unknown): Promise<void> {
  const fresh = `${path}.new`;
  await writeFile(fresh, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600, flush: true });
  await rename(fresh, path);
}

/** 144 random bits, all of them characters that need no escape in a URL or a configuration file. */
export function newPassword(): string {
  return randomBytes(18).toString('base64url');
}

const LOWEST_PORT = 15_000;
/** Below the range that Linux takes the ports of outgoing connections from. */
const HIGHEST_PORT = 32_000;

/** A port of 127.0.0.1 that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  for (let attempts = 1; ; attempts += 1) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT));
    const server = createServer();
    try {
      server.listen({ port, host: '127.0.0.1', exclusive: true });
      await once(server, 'listening');
      server.close();
      await once(server, 'close');
      return port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempts === 100) throw error;
    }
  }
}

/** Thrown by a start whose port somebody else has. */
export const PORT_TAKEN = 'PORT_TAKEN';

/**
 * Starts a part on the port it had the last time, or on another where that stays taken.
 *
 * @param start throws an error with code {@link PORT_TAKEN} when it cannot have the port
 */
export async function startOnPort<T>(
  remembered: number | null,
  start: (port: number) => Promise<T>,
): Promise<{ port: number; started: T }> {
  let port = remembered ?? (await freePort());
  for (let attempts = 1; ; attempts += 1) {
    try {
      return { port, started: await start(port) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== PORT_TAKEN || attempts === 8) throw error;
      // The remains of one whose starter was killed a moment ago may still have it.
      if (port === remembered && attempts < 4) await pause(250);
      else port = await freePort();
    }
  }
}
