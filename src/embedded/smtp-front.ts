import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';
import { PORT_TAKEN } from './access.ts';
import { forgedFrom } from './forged-from.ts';
import { connectMailStore, type MailStore } from './mail-store.ts';

/** More than the bot reads, so that it can say itself what is too large for it. */
const MAX_MESSAGE_BYTES = 64 << 20;
/** As RFC 5321, 4.5.3.2.7 wants it, and longer than the bot keeps a connection that it does not use. */
const IDLE_TIMEOUT_MS = 300_000;
/** What can be a mailbox here. No `/`: the address names its directory. */
const ADDRESS = /^[a-z0-9.!$&'*=?^_{|}~+-]{1,64}@(?=.{1,150}$)[a-z0-9-]+(\.[a-z0-9-]+)*$/;

type Front = {
  port: number;
  password: string;
  lmtpSocket: string;
  /** Called after each try to deliver with what went wrong, or with null. */
  onDelivery: (error: Error | null) => void;
  onConnectionError: (error: Error) => void;
};

/**
 * Takes mail on 127.0.0.1 from those who have the password, and hands it to the mail store. A sender is who it says:
 * envelope and From must be the user who logged in.
 *
 * @throws with code PORT_TAKEN when it cannot have the port
 */
export async function startSmtpFront(front: Front): Promise<{ close: () => Promise<void> }> {
  const { port, password, lmtpSocket, onConnectionError } = front;
  const store = connectMailStore(lmtpSocket);
  const server = new SMTPServer({
    name: 'localhost',
    banner: 'Threadbox embedded mail server',
    size: MAX_MESSAGE_BYTES,
    socketTimeout: IDLE_TIMEOUT_MS,
    rejectOversized: true,
    // On loopback, with a certificate nobody could verify, it would protect nothing.
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    ...rules(password),
    onData(stream, session, callback) {
      void (async () => {
        try {
          callback(null, await takeOn(await buffer(stream), session, store, front));
        } catch (error) {
          callback(error as Error);
        }
      })();
    },
  });
  server.on('error', onConnectionError);
  const listener = server.listen({ port, host: '127.0.0.1' });
  try {
    await once(listener, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw Object.assign(new Error(`port ${port} is taken`, { cause: error }), { code: PORT_TAKEN });
  }
  return {
    async close() {
      const closed = new Promise<void>((resolve) => {
        server.close(resolve);
      });
      for (const connection of server.connections) connection.close();
      await closed;
      store.close();
    },
  };
}

/** Who may log in, send, and be written to. */
function rules(password: string): Pick<SMTPServerOptions, 'onAuth' | 'onMailFrom' | 'onRcptTo'> {
  return {
    onAuth({ username = '', password: given }, _, callback) {
      const user = username.toLowerCase();
      if (!isSame(given ?? '', password)) callback(refusal(535, 'wrong password'));
      else if (!ADDRESS.test(user) || user.includes('+'))
        callback(refusal(535, 'log in with an email address'));
      else callback(null, { user });
    },
    onMailFrom({ address }, session, callback) {
      const isOwn = address.toLowerCase() === session.user;
      callback(isOwn ? null : refusal(550, `you are ${userOf(session)} and cannot send as <${address}>`));
    },
    onRcptTo({ address }, _, callback) {
      const canExist = ADDRESS.test(address.toLowerCase());
      callback(canExist ? null : refusal(553, 'not an address that can have a mailbox here'));
    },
  };
}

async function takeOn(
  message: Buffer,
  session: SMTPServerSession,
  store: MailStore,
  { onDelivery }: Front,
): Promise<string> {
  const user = userOf(session);
  const forged = forgedFrom(message, user);
  if (forged !== null) throw refusal(550, forged);
  const trace = `Received: from [127.0.0.1] by localhost with ESMTPA; ${new Date().toUTCString()}\r\n`;
  try {
    const said = await store.deliver({
      from: user,
      to: session.envelope.rcptTo.map(({ address }) => address),
      raw: Buffer.concat([Buffer.from(trace), message]),
    });
    onDelivery(null);
    return `delivered: ${said}`;
  } catch (error) {
    const { message: said, responseCode } = error as Error & { responseCode?: number };
    if (responseCode === undefined || responseCode < 500) onDelivery(error as Error);
    throw refusal(responseCode ?? 451, `not delivered: ${said.replace(/\s+/g, ' ')}`);
  }
}

const userOf = (session: SMTPServerSession): string => session.user as string;

/** What the client is told, with its reply code (RFC 5321, 4.2). */
function refusal(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}

/** Takes as long for a password that is nearly right as for one that is not. */
function isSame(given: string, expected: string): boolean {
  const [a, b] = [given, expected].map((text) => createHash('sha256').update(text).digest()) as [
    Buffer,
    Buffer,
  ];
  return timingSafeEqual(a, b);
}
