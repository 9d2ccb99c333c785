import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { engineHost } from './engine.ts';

export type EngineProxy = {
  dockerHost: string;
  /** The engine is gone: every connection breaks, and none can be made. */
  cut: () => Promise<void>;
  mend: () => Promise<void>;
  close: () => Promise<void>;
};

/** A socket in front of the engine of the tests, to take the engine away from the bot. */
export async function startEngineProxy(): Promise<EngineProxy> {
  const dir = await mkdtemp(join(tmpdir(), 'tb-engine-'));
  const path = join(dir, 'docker.sock');
  const sockets = new Set<Socket>();
  let server: Server | null = null;

  async function mend(): Promise<void> {
    server = createServer({ allowHalfOpen: true }, (client) => {
      const upstream = connectEngine();
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
    server.listen(path);
    await once(server, 'listening');
  }
  async function cut(): Promise<void> {
    const cutOff = server;
    server = null;
    if (!cutOff) return;
    cutOff.close();
    for (const socket of sockets) socket.destroy();
    await once(cutOff, 'close');
  }

  await mend();
  return {
    dockerHost: `unix://${path}`,
    cut,
    mend,
    async close() {
      await cut();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A connection to the engine of the tests. */
export function connectEngine(): Socket {
  const allowHalfOpen = true;
  if (engineHost.startsWith('unix://')) {
    return createConnection({ path: engineHost.slice('unix://'.length), allowHalfOpen });
  }
  const { hostname, port } = new URL(engineHost);
  return createConnection({ host: hostname, port: Number(port || 2375), allowHalfOpen });
}
