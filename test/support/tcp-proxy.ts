import { once } from 'node:events';
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net';

export type TcpProxy = {
  port: number;
  /** From now on nothing passes, in both directions, not even an end, while all sockets stay open: a black hole. */
  hold: () => void;
  /** New connections pass again; those that were held stay dead. */
  release: () => void;
  /** Every connection breaks; new ones pass. */
  cut: () => void;
  /** Whatever the server says comes later by so much. */
  slowDown: (ms: number) => void;
  /** Called with everything a client or the server sends, as it passes. */
  onData: (heard: (from: 'client' | 'server', data: Buffer) => void) => void;
  connections: () => number;
  close: () => Promise<void>;
};

/** A proxy in front of a port of this machine. */
export async function startTcpProxy(toPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let isHeld = false;
  let lateByMs = 0;
  let connections = 0;
  let heard: (from: 'client' | 'server', data: Buffer) => void = () => {};

  const server = createServer({ allowHalfOpen: true }, (client) => {
    connections += 1;
    const upstream = createConnection(toPort, '127.0.0.1');
    let isDead = isHeld;
    const pass = (from: 'client' | 'server', to: Socket) => (data: Buffer) => {
      isDead ||= isHeld;
      if (isDead) return;
      heard(from, data);
      if (from === 'client' || lateByMs === 0) to.write(data);
      else setTimeout(() => to.write(data), lateByMs);
    };
    client.on('data', pass('client', upstream));
    client.on('end', () => {
      isDead ||= isHeld;
      if (!isDead) client.end();
    });
    upstream.on('data', pass('server', client));
    const ends: [Socket, Socket][] = [
      [client, upstream],
      [upstream, client],
    ];
    for (const [socket, other] of ends) {
      sockets.add(socket);
      socket.setNoDelay(true);
      // Whatever ends one side ends the other.
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        isDead ||= isHeld;
        if (!isDead || socket === client) other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    hold() {
      isHeld = true;
    },
    release() {
      isHeld = false;
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    slowDown(ms) {
      lateByMs = ms;
    },
    onData(hear) {
      heard = hear;
    },
    connections: () => connections,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
