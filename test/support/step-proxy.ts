import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectEngine } from './engine-proxy.ts';

/** Where something is aimed at: before a step's request is passed on, or when its answer has come and is held back. */
export type Moment = 'before' | 'after';

/**
 * All that a bot asks of its Docker Engine and of its PostgreSQL passes here, one step after the other: what changes
 * something in the engine, and each transaction that writes about containers.
 */
export type StepProxy = {
  dockerHost: string;
  databasePort: number;
  /** Asked at each step. Where it names a moment the world stands still then: nothing passes any more. */
  aim: (at: (step: string) => Moment | null) => void;
  /** The step at which the world stands still; null while it does not. */
  hit: () => string | null;
  /** New connections pass again. Those that were there stay dead. */
  goOn: () => void;
  close: () => Promise<void>;
};

/** What a connection's client asks for. @returns the name of the step that begins with it, if one does */
type Reader = { asked: (data: Buffer) => string | null; answered: (data: Buffer) => void };

/** @param databasePort of a PostgreSQL on this machine */
export async function startStepProxy(databasePort: number): Promise<StepProxy> {
  const dir = await mkdtemp(join(tmpdir(), 'tb-steps-'));
  const path = join(dir, 'docker.sock');
  const sockets = new Set<Socket>();
  let at: (step: string) => Moment | null = () => null;
  let hit: string | null = null;
  /** How often the world has gone on: a connection does not outlive its own. */
  let world = 0;

  function relay(client: Socket, upstream: Socket, reader: Reader): void {
    const mine = world;
    const isDead = (): boolean => hit !== null || world !== mine;
    let awaited: string | null = null;
    client.on('data', (data: Buffer) => {
      if (isDead()) return;
      const step = reader.asked(data);
      const moment = step === null ? null : at(step);
      if (moment === 'before') hit = `before: ${step}`;
      else upstream.write(data);
      if (moment === 'after') awaited = step;
    });
    upstream.on('data', (data: Buffer) => {
      if (isDead()) return;
      if (awaited !== null) {
        hit = `after: ${awaited}`;
        return;
      }
      reader.answered(data);
      client.write(data);
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('end', () => other.end());
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  }

  /** Each engine process that is started is known by its id from then on. */
  const processes = new Map<string, string>();
  const allowHalfOpen = true;
  const docker = createServer({ allowHalfOpen }, (client) =>
    relay(client, connectEngine(), engineReader(processes)),
  ).listen(path);
  const database = createServer({ allowHalfOpen }, (client) =>
    relay(client, createConnection({ port: databasePort, host: '127.0.0.1', allowHalfOpen }), sqlReader()),
  ).listen(0, '127.0.0.1');
  await Promise.all([once(docker, 'listening'), once(database, 'listening')]);
  return {
    dockerHost: `unix://${path}`,
    databasePort: (database.address() as AddressInfo).port,
    aim: (wanted) => void (at = wanted),
    hit: () => hit,
    goOn() {
      hit = null;
      world += 1;
    },
    async close() {
      await Promise.all([docker, database].map((server) => closed(server, sockets)));
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function closed(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  server.close();
  for (const socket of sockets) socket.destroy();
  await once(server, 'close');
}

/** HTTP/1.1 as dockerode speaks it: a request after the other, each beginning with a chunk of its own. */
function engineReader(processes: Map<string, string>): Reader {
  let making: string | null = null;
  let stream: string | null = null;
  return {
    asked(data) {
      if (stream !== null) return stream === 'runner' ? 'the runner is given a command' : null;
      const text = data.toString('latin1');
      const [, method, path = ''] = /^(POST|PUT|DELETE) (\S+) HTTP/.exec(text) ?? [];
      if (!method) return null;
      const [, id] = /^\/exec\/([0-9a-f]+)\/start/.exec(path) ?? [];
      if (id) {
        stream = processes.get(id) ?? 'unknown';
        return `the engine starts the process ${stream}`;
      }
      if (/^\/containers\/[^/]+\/exec$/.test(path)) {
        making = /threadbox-(runner|prepare|save|restore|inbox)(?="\]| bash)/.exec(text)?.[1] ?? 'that asks';
        return `the engine makes the process ${making}`;
      }
      const [bare = ''] = path.split('?');
      return `the engine does ${method} ${bare.replace(/^\/(containers|volumes|networks)\/(?!create)[^/]+/, '/$1/*')}`;
    },
    answered(data) {
      const [, id] = (making !== null && /"Id":"([0-9a-f]{64})"/.exec(data.toString('latin1'))) || [];
      if (id && making !== null) processes.set(id, making);
      if (id) making = null;
    },
  };
}

const WRITES = /(?:insert into|update|delete from) "(?:container_sessions|saved_states|commands)"/;

/** What of it is in one transaction holds together, so only its end is a step. */
function sqlReader(): Reader {
  let transaction: string[] | null = null;
  return {
    asked(data) {
      const text = data.toString('latin1');
      if (/\bBEGIN\b/.test(text)) transaction = [];
      if (/\bROLLBACK\b/.test(text)) transaction = null;
      if (/\bCOMMIT\b/.test(text)) {
        const written = transaction ?? [];
        transaction = null;
        return written.length > 0 ? `PostgreSQL commits ${written.join(', then ')}` : null;
      }
      if (!WRITES.test(text)) return null;
      const statement = shortened(text);
      if (!transaction) return `PostgreSQL is told: ${statement}`;
      transaction.push(statement);
      return null;
    },
    answered: () => undefined,
  };
}

/** The verb, the table and the columns that are changed. */
function shortened(text: string): string {
  const [, update, changes = ''] = /update "(\w+)" set (.*?) where /.exec(text) ?? [];
  if (!update) return /(?:insert into|delete from) "\w+"/.exec(text)?.[0] ?? 'something';
  const columns = [...changes.matchAll(/"(\w+)" = /g)].map(([, column]) => column);
  return `update "${update}" (${columns.join(', ')})`;
}
