import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { SMTPServer } from 'smtp-server';
import type { MailServer } from '../../src/config.ts';

/**
 * What the server does with the next mail: takes it (after a while), refuses it with a reply code, or as its disk is full, cuts
 * the connection, or is silent.
 */
type Behaviour = 'take' | 'drop' | 'hang' | 'full' | number | { takeAfterMs: number };

export type ScriptedSmtp = {
  server: MailServer;
  /** The mails taken so far. */
  taken: { to: string[]; source: string }[];
  connections: () => number;
  /** For the mails that come next, in order; after that all are taken. */
  behave: (...next: Behaviour[]) => void;
  /** Mails of more bytes are refused with 552, whenever they come; null for none. */
  refuseLarger: (bytes: number | null) => void;
  /** Mails to that address are refused, before their text. */
  refuseRecipient: (address: string) => void;
  /** @param replyCode null: they are let in again */
  refuseLogins: (replyCode: number | null, words?: string) => void;
  close: () => Promise<void>;
};

export const SMTP_PASSWORD = 'correct horse';

/** A real SMTP server on loopback that does as it is told. @param port to be at the same place again after `close` */
export async function startScriptedSmtp(port = 0): Promise<ScriptedSmtp> {
  const taken: ScriptedSmtp['taken'] = [];
  const script: Behaviour[] = [];
  const refused = new Set<string>();
  let largestBytes = Number.POSITIVE_INFINITY;
  let connections = 0;
  let loginRefusal: Error | null = null;
  const smtp = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    authMethods: ['PLAIN'],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    closeTimeout: 100,
    onConnect(_session, callback) {
      connections += 1;
      callback();
    },
    onAuth({ username, password }, _session, callback) {
      const isRight = username === 'bot' && password === SMTP_PASSWORD;
      callback(loginRefusal ?? (isRight ? null : new Error('Invalid credentials')), { user: username });
    },
    onRcptTo({ address }, _session, callback) {
      const error = Object.assign(new Error(`5.1.1 no ${address} here`), { responseCode: 550 });
      callback(refused.has(address) ? error : null);
    },
    onData(stream, session, callback) {
      const behaviour = script.shift() ?? 'take';
      void (async () => {
        // A client that dies in the middle of its mail has sent none.
        const source = await text(stream).catch(() => null);
        if (source === null || behaviour === 'hang') return;
        const isTooLarge = Buffer.byteLength(source) > largestBytes;
        if (behaviour === 'drop') {
          for (const connection of smtp.connections) connection._socket.destroy();
        } else if (isTooLarge) {
          callback(Object.assign(new Error('scripted: too large'), { responseCode: 552 }));
        } else if (behaviour === 'take' || typeof behaviour === 'object') {
          if (behaviour !== 'take') await pause(behaviour.takeAfterMs);
          taken.push({ to: session.envelope.rcptTo.map(({ address }) => address), source });
          callback(null, 'taken');
        } else if (behaviour === 'full') {
          const error = new Error('4.3.1 Insufficient system storage');
          callback(Object.assign(error, { responseCode: 452 }));
        } else {
          callback(Object.assign(new Error(`scripted ${behaviour}`), { responseCode: behaviour }));
        }
      })();
    },
  });
  // Clients that are cut off report themselves here.
  smtp.on('error', () => {});
  smtp.listen(port, '127.0.0.1');
  await once(smtp.server, 'listening');
  const address = smtp.server.address() as AddressInfo;
  return {
    server: { host: '127.0.0.1', port: address.port, user: 'bot', tls: 'offered', verifyCertificate: false },
    taken,
    connections: () => connections,
    behave: (...next) => void script.push(...next),
    refuseLarger: (bytes) => {
      largestBytes = bytes ?? Number.POSITIVE_INFINITY;
    },
    refuseRecipient: (address) => void refused.add(address),
    refuseLogins: (replyCode, words = 'Invalid credentials') => {
      loginRefusal = replyCode === null ? null : Object.assign(new Error(words), { responseCode: replyCode });
    },
    close: () => new Promise((resolve) => smtp.close(() => resolve())),
  };
}
