import type { Config } from './config.ts';

/**
 * Where people find the Container Monitor. `isHereOnly`: on the machine that the bot runs on.
 * `off`: it is not served. `unknown`: it is, under an address that only the operator knows.
 */
export type PageAddress = { kind: 'off' | 'unknown' } | { kind: 'at'; origin: string; isHereOnly: boolean };

/** A working day: whoever has logged in is logged out after it, also where the page stays open. */
export const LOGGED_IN_MS = 12 * 3_600_000;

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+)$/;
/** All addresses of a machine: none that one could write to. */
const ANY = /^(?:0\.0\.0\.0|::)$/;

export const isLoopbackHost = (host: string): boolean => LOOPBACK.test(host);

export function pageAddress({ http, publicUrl }: Pick<Config, 'http' | 'publicUrl'>): PageAddress {
  if (http === null) return { kind: 'off' };
  if (publicUrl !== null) return { kind: 'at', origin: publicUrl, isHereOnly: false };
  if (ANY.test(http.host)) return { kind: 'unknown' };
  const host = http.host.includes(':') ? `[${http.host}]` : http.host;
  return { kind: 'at', origin: `http://${host}:${http.port}`, isHereOnly: isLoopbackHost(http.host) };
}
