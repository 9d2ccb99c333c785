import { isIP } from 'node:net';

/** One server to talk to. The password is not here but among the secrets. */
export type MailServer = {
  host: string;
  port: number;
  user: string;
  /** `implicit`: TLS from the first byte. `required`: STARTTLS or nothing. `offered`: STARTTLS where the server has it. */
  tls: 'implicit' | 'required' | 'offered';
  verifyCertificate: boolean;
  /** With access tokens instead of a password. */
  usesOauth?: boolean;
};

/** `imaps://user:password@host`, and the like. @returns what is wrong with it, where something is */
export function parseMailUrl(
  scheme: 'imap' | 'smtp',
  text: string,
): { server: MailServer; password: string } | string {
  if (!URL.canParse(text)) return 'not a URL';
  const parsed = new URL(text);
  const implicit = parsed.protocol === `${scheme}s:`;
  if (!implicit && parsed.protocol !== `${scheme}:`)
    return `the scheme is neither ${scheme}s: nor ${scheme}:`;
  if (parsed.hostname === '') return 'no host';
  const usesOauth = parsed.searchParams.get('auth') === 'xoauth2';
  if (parsed.username === '' || (parsed.password === '' && !usesOauth))
    return 'no user and password (write @ in either as %40)';
  if (parsed.password !== '' && usesOauth) return 'a password together with auth=xoauth2';
  for (const [name, value] of parsed.searchParams) {
    if (name === 'auth' && value === 'xoauth2') continue;
    if (name === 'auth') return 'option auth takes only the value xoauth2';
    if (name !== 'insecure-skip-verify' && name !== 'insecure-plaintext') return `unknown option ${name}`;
    if (value !== 'yes') return `option ${name} takes only the value yes`;
  }
  let user: string;
  let password: string;
  try {
    user = decodeURIComponent(parsed.username);
    password = decodeURIComponent(parsed.password);
  } catch {
    return 'a % in user or password that is not an escape (write % as %25)';
  }
  const host = parsed.hostname.replace(/^\[|\]$/g, '');
  const isLoopback = host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
  const mayBePlain = isLoopback || parsed.searchParams.has('insecure-plaintext');
  const defaultPort = { imap: implicit ? 993 : 143, smtp: implicit ? 465 : 587 }[scheme];
  return {
    server: {
      host,
      port: parsed.port === '' ? defaultPort : Number(parsed.port),
      user,
      tls: implicit ? 'implicit' : mayBePlain ? 'offered' : 'required',
      verifyCertificate: !parsed.searchParams.has('insecure-skip-verify'),
      ...(usesOauth && { usesOauth }),
    },
    password,
  };
}
