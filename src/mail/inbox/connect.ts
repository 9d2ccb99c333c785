import { ImapFlow } from 'imapflow';
import type { MailServer } from '../../config.ts';
import type { Credential } from '../oauth.ts';

/** How long the server may take, in ms. */
export type Deadlines = {
  connectMs: number;
  /** For the answer to a short command. */
  answerMs: number;
  /** For a long answer as a whole. */
  fetchMs: number;
};

export const DEADLINES: Deadlines = { connectMs: 30_000, answerMs: 20_000, fetchMs: 600_000 };
/** For the next byte of a long answer. */
const SILENCE_MS = 90_000;

/**
 * Opens a connection and selects a mailbox, only for reading unless told otherwise. It idles when it is told to, never
 * between two commands: each would have to break the IDLE first. The caller closes it with `client.close()`.
 *
 * @throws what `password` throws where it is a source of tokens; what the server or the network says, with
 *   `code: 'IMAP_LOGIN_REFUSED'` for a wrong user or password. Nothing is left open then.
 */
export async function openMailbox(
  server: MailServer,
  password: Credential,
  mailbox: string,
  {
    deadlines = DEADLINES,
    isReadOnly = true,
    signal,
  }: { deadlines?: Deadlines; isReadOnly?: boolean; signal?: AbortSignal | undefined } = {},
): Promise<ImapFlow> {
  const token = typeof password === 'string' ? null : await password.accessToken();
  const client = new ImapFlow({
    host: server.host,
    port: server.port,
    auth: { user: server.user, ...(token === null ? { pass: password as string } : { accessToken: token }) },
    secure: server.tls === 'implicit',
    ...(server.tls === 'required' && { doSTARTTLS: true }),
    tls: { rejectUnauthorized: server.verifyCertificate },
    connectionTimeout: deadlines.connectMs,
    greetingTimeout: deadlines.connectMs,
    socketTimeout: SILENCE_MS,
    disableAutoIdle: true,
    disableCompression: true,
    logger: false,
  });
  // Before connect: an error that nobody listens to would end the process. What failed rejects as well.
  client.on('error', () => {});
  const stop = () => client.close();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    signal?.throwIfAborted();
    await within(client, deadlines.connectMs, client.connect());
    await within(client, deadlines.answerMs, client.mailboxOpen(mailbox, { readOnly: isReadOnly }));
    return client;
  } catch (error) {
    client.close();
    if (token !== null && (error as ImapError).code === 'IMAP_LOGIN_REFUSED') await renewed(password, token);
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** The next login has another token: this one may have been taken back before its time. */
async function renewed(tokens: Credential, refused: string): Promise<void> {
  if (typeof tokens !== 'string') await tokens.accessToken(refused);
}

/**
 * A command with a time limit, its error in the words of the server. A connection that does not answer in time is dead
 * however open its socket looks: it is closed, which also settles the command.
 */
export async function within<T>(client: ImapFlow, timeoutMs: number, command: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        Object.assign(new Error(`The IMAP server has not answered for ${timeoutMs} ms`), {
          code: 'IMAP_TIMEOUT',
          timeoutMs,
        }),
      );
      client.close();
    }, timeoutMs);
  });
  try {
    return await Promise.race([command, late]);
  } catch (error) {
    throw inServersWords(error as ImapError);
  } finally {
    clearTimeout(timer);
  }
}

type ImapError = Error & {
  code?: string;
  authenticationFailed?: boolean;
  responseText?: string;
  /** Why the server said that it closes the connection. */
  reason?: string;
};

/** The driver says little more than "Command failed" or "Connection not available". */
function inServersWords(error: ImapError): Error {
  const { code, authenticationFailed, responseText, reason } = error;
  if (authenticationFailed) {
    const message = `The IMAP server refuses the login: ${responseText ?? error.message}`;
    return Object.assign(new Error(message, { cause: error }), { code: 'IMAP_LOGIN_REFUSED' });
  }
  if (responseText) return new Error(`The IMAP server refuses: ${responseText}`, { cause: error });
  if (code === 'NoConnection' || code === 'EConnectionClosed') {
    const said = reason ? `: ${reason}` : '';
    return new Error(`The connection to the IMAP server is closed${said}`, { cause: error });
  }
  return error;
}
