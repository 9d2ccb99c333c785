/** What the page may load: its own files, and nothing from anywhere else. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  // Nothing that was mailed can become markup, however the page is changed one day.
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');
const DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox";

/** Set on every answer. @param isPage a file of the page: it may load others, and is asked for anew each time */
export function securityHeaders({ isPage }: { isPage: boolean }): Readonly<Record<string, string>> {
  return {
    'Content-Security-Policy': isPage ? PAGE_POLICY : DATA_POLICY,
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    'Cache-Control': isPage ? 'no-cache' : 'no-store',
  };
}

const LOOPBACK_ADDRESS = /^(?:127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+)$/;
const LOOPBACK_NAME = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/i;

/**
 * Whether a request was made on this machine itself: not through a proxy that runs here, nor by a page that has its own
 * name lead here (DNS rebinding).
 */
export function isLocal(address: string, headers: Headers): boolean {
  const isForwarded = ['forwarded', 'x-forwarded-for', 'x-real-ip'].some((name) => headers.has(name));
  return LOOPBACK_ADDRESS.test(address) && !isForwarded && LOOPBACK_NAME.test(headers.get('host') ?? '');
}
