import { createAdaptorServer } from '@hono/node-server';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { Hono } from 'hono';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import { isLoopbackHost } from '../page-address.ts';
import { watchPart } from '../part-state.ts';
import type { Readiness } from '../readiness.ts';
import { retryForEver } from '../retry.ts';
import { figuresNow } from '../store/figures.ts';
import { metricFigures, type MetricFigures } from '../store/metric-figures.ts';
import { kept } from './kept.ts';
import { readPause } from '../store/pause.ts';
import { addressOf, createApi, routesOf, type ServerContext, type ServerEnv } from './api.ts';
import { Door } from './door.ts';
import { isLocal, securityHeaders } from './headers.ts';
import { BOUNDS_SECONDS, metricsText } from './metrics.ts';
import { openApiDocument } from './openapi.ts';
import { pageFile, pagePaths } from './page.ts';
import { notFound, problemResponse, tooMany, unavailable } from './problem.ts';
import { RateLimit } from './rate-limit.ts';
import type { ApiParts } from './route.ts';

export type HttpParts = ApiParts & {
  readiness: () => Promise<Readiness>;
  /** How often each part was lost since the start. */
  losses: () => Readonly<Record<string, number>>;
};

export type HttpServer = {
  /** Where it listens; rejects when the bot stops first. */
  address: Promise<AddressInfo>;
  /** What it serves is there now. Before, it only says that the bot starts. */
  attach: (parts: HttpParts) => void;
  close: () => Promise<void>;
};

/** What one address may ask for, of all kinds. A page with its live view stays far below. */
const REQUESTS = { burst: 500, perSecond: 100 };
/** Who takes nothing of an answer for so long does not hold it in memory any more. Whoever watches hears more often. */
const STALLED_MS = 60_000;
const STARTING = unavailable('starting', 'The bot starts: it waits for its parts. Its log says for which.');
/**
 * What /metrics counts in the whole history is kept for so long; where that took long, a hundred times as long as it took. As
 * one query goes after another, one connection of PostgreSQL's is at it for a hundredth of the time at the most, whoever scrapes
 * how often; for more only where counting takes over six seconds, as figures older than ten minutes say little. What is there
 * now is always looked up.
 */
const HISTORY_KEPT = { leastMs: 10_000, timesAsLong: 100, mostMs: 600_000 };

/** Serves the API, the Container Monitor, health and metrics. A port that is taken is waited for: mail matters more. */
export function startHttp({
  listen,
  log,
  now,
  signal,
}: {
  listen: NonNullable<Config['http']>;
  log: Log;
  now: () => Date;
  signal: AbortSignal;
}): HttpServer {
  const stopping = new AbortController();
  const ending = AbortSignal.any([signal, stopping.signal]);
  const requests = new RateLimit(REQUESTS);
  let attached: Hono<ServerEnv> | null = null;

  const shell = new Hono<ServerEnv>();
  shell.use(async (context, next) => {
    await next();
    const isPage = pagePaths.includes(context.req.path);
    for (const [name, value] of Object.entries(securityHeaders({ isPage })))
      context.res.headers.set(name, value);
  });
  // Whoever asks too much does not make it look dead.
  shell.get('/healthz', (context) => context.text('alive\n'));
  shell.use(async (context, next) => {
    const waitSeconds = requests.take(addressOf(context), now().getTime());
    if (waitSeconds > 0) return problemResponse(tooMany(waitSeconds));
    return next();
  });
  shell.all('*', (context) => attached?.fetch(context.req.raw, context.env) ?? problemResponse(STARTING));
  shell.onError((error, context) => faultAnswer(error, context.req.path, log));

  const server = createAdaptorServer({
    fetch: shell.fetch,
    serverOptions: {
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      keepAliveTimeout: 15_000,
      maxHeaderSize: 16 << 10,
    },
  }) as Server;
  server.maxConnections = 500;
  server.timeout = STALLED_MS;
  sayWhatIsOpen(listen, log);
  const address = listenFor(server, listen, { log, signal: ending });
  address.catch(() => undefined);
  return {
    address,
    attach(parts) {
      attached = createRoutes(parts, ending);
    },
    async close() {
      stopping.abort(new Error('the bot stops'));
      await address.catch(() => undefined);
      if (!server.listening) {
        // It may be about to: the name of its host is looked up first.
        server.once('listening', () => server.close());
        return;
      }
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      // Answers that are under way may end; whoever watches goes on for ever.
      const timer = setTimeout(() => server.closeAllConnections(), 1_000);
      await closed;
      clearTimeout(timer);
    },
  };
}

async function listenFor(
  server: Server,
  { host, port }: NonNullable<Config['http']>,
  { log, signal }: { log: Log; signal: AbortSignal },
): Promise<AddressInfo> {
  // What it says while it is told to listen is told below, too.
  server.on('error', (error) => log.debug({ err: error }, 'the server of the API has a fault'));
  const part = watchPart('the API', log, {
    up: 'listens',
    down: 'cannot listen; trying again until it can (HTTP_LISTEN sets another address, or off)',
  });
  await retryForEver(
    async () => {
      server.listen({ host, port });
      await once(server, 'listening', { signal });
    },
    { signal, onFailure: (error) => part.isDown(error), pauses: { firstMs: 1_000, longestMs: 30_000 } },
  );
  part.isUp();
  const address = server.address() as AddressInfo;
  const shown = address.address.includes(':') ? `[${address.address}]` : address.address;
  log.info(`the API and the Container Monitor are at http://${shown}:${address.port}/`);
  return address;
}

function sayWhatIsOpen({ host }: NonNullable<Config['http']>, log: Log): void {
  if (isLoopbackHost(host)) return;
  log.warn(
    'HTTP_LISTEN is open beyond this machine, and nothing of it is encrypted: whoever reads along has the tokens, and with them every container. Put a proxy that speaks TLS in front, see docs/api.md',
  );
}

function createRoutes(parts: HttpParts, signal: AbortSignal): Hono<ServerEnv> {
  const { log, config } = parts;
  const door = new Door(parts);
  const routes = routesOf(door);
  const version = ownVersion();
  const app = new Hono<ServerEnv>();
  const document = openApiDocument(routes, version);
  const mayLook = async (context: ServerContext): Promise<Response | null> => {
    const { headers } = context.req.raw;
    const caller = await door.callerFrom({ headers, address: addressOf(context), changes: false });
    return 'problem' in caller ? problemResponse(caller.problem) : null;
  };
  app.get('/readyz', async (context) => {
    const refused = isLocal(addressOf(context), context.req.raw.headers) ? null : await mayLook(context);
    if (refused) return refused;
    const readiness = await parts.readiness();
    return context.json(readiness, readiness.isReady ? 200 : 503);
  });
  const history = kept(HISTORY_KEPT, () => metricFigures(parts.db, BOUNDS_SECONDS));
  app.get('/metrics', async (context) => {
    const refused = config.hasOpenMetrics ? null : await mayLook(context);
    if (refused) return refused;
    return new Response(await metrics(parts, history, version), {
      headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' },
    });
  });
  app.get('/api/v1/openapi.json', (context) => context.json(document));
  app.route('/api/v1', createApi(parts, { door, routes, signal }));
  for (const path of pagePaths) {
    app.get(path, async (context) => {
      const file = await pageFile(path, context.req.header('if-none-match'));
      return file ?? problemResponse(notFound('No such page.'));
    });
  }
  app.notFound(() => problemResponse(notFound('Nothing is here. /api/v1/openapi.json lists all there is.')));
  app.onError((error, context) => faultAnswer(error, context.req.path, log));
  return app;
}

/** Whoever goes in the middle of their own request ("aborted" of node:http) makes no fault of it. */
function faultAnswer(error: Error, path: string, log: Log): Response {
  const level = error.message === 'aborted' ? 'debug' : 'error';
  log[level]({ err: error, path }, 'a request could not be answered');
  return problemResponse(
    unavailable('fault', 'This is a fault of Threadbox, or a part of it is away; its log tells.'),
  );
}

async function metrics(
  parts: HttpParts,
  history: () => Promise<MetricFigures>,
  version: string,
): Promise<string> {
  const { db, activity } = parts;
  const [figures, since, readiness, pause] = await Promise.all([
    figuresNow(db),
    history(),
    parts.readiness(),
    readPause(db),
  ]);
  const isPaused = pause !== null;
  const watchers = activity.listenerCount;
  return metricsText({ figures, since, readiness, losses: parts.losses(), isPaused, watchers, version });
}

function ownVersion(): string {
  const path = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
