import type { Socket } from 'node:net';
import { callbackify } from 'node:util';
import type { Client, QueryConfig } from 'pg';

/**
 * When the kernel asks whether the other side is still there. Ten questions in ten seconds follow (libuv's numbers): a
 * connection without traffic, or one that waits for an answer, is known to be dead after 20 s. Not so one that has sent what
 * nobody has acknowledged: Node cannot set TCP_USER_TIMEOUT, so there the time limit of the query decides.
 */
export const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 };

/** The same asked by the server: what we cut off in a black hole would take up its places for hours. */
const SERVER_ASKS =
  'set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3';
const SERVER_ASKS_WITHIN_MS = 5_000;
const GOODBYE_MS = 1_000;

/** pg has no other name for it, and with TLS it is another one once connected. */
export function socketOf(client: Client): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream;
}

/** Ends a connection. A server that does not say goodbye is left without: TCP would wait for it for a quarter of an hour. */
export async function hangUp(client: Client): Promise<void> {
  const late = setTimeout(() => socketOf(client).destroy(), GOODBYE_MS);
  await client.end().catch(() => {});
  clearTimeout(late);
}

/** A connection of knex's pool, under the name it has in knex's events. */
type Pooled = Client & { __knexUid: string };

/**
 * Which connections of a pool may be given out. Where no answer has come in time, nothing tells whether one will ever come
 * on that connection, or on any that was opened before: a firewall or a NAT that has forgotten them drops their packets for
 * ever. pg gives up the query alone, and knex takes the connection back as it is; whoever got it next would wait as long
 * again. So it is cut, which ends at once whatever else waits on it, and of the others none is given out again.
 *
 * @param settings SQL that sets what else is to hold on each
 */
export function trustedConnections(settings: string) {
  const open = new Map<string, Client>();
  let trusted = new WeakSet<Client>();

  async function ready(client: Pooled): Promise<void> {
    const uid = client.__knexUid;
    open.set(uid, client);
    client.once('end', () => open.delete(uid));
    try {
      const text = [SERVER_ASKS, settings].join('; ');
      await client.query({ text, query_timeout: SERVER_ASKS_WITHIN_MS } as QueryConfig);
      trusted.add(client);
    } catch (error) {
      // knex would leave it open.
      socketOf(client).destroy();
      throw error;
    }
  }

  return {
    /** knex's `afterCreate` */
    ready: callbackify(ready),
    isTrusted: (client: Client): boolean => trusted.has(client),
    /** knex's `query-error`. It comes before whoever asked hears of it, and so before the connection is given back. */
    noteError: (error: Error, { __knexUid }: { __knexUid: string }): void => {
      if (!/query read timeout$/i.test(error.message)) return;
      trusted = new WeakSet();
      const client = open.get(__knexUid);
      if (client) socketOf(client).destroy();
    },
  };
}
