import { Hono, type Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { commandRoutes } from './command-routes.ts';
import { containerRoutes } from './container-routes.ts';
import { roleProblem, type Door } from './door.ts';
import { otherRoutes } from './other-routes.ts';
import { badRequest, notFound, problemResponse, TOO_LARGE, unavailable, type Problem } from './problem.ts';
import { parameterNames } from './openapi.ts';
import type { ApiParts, ApiRequest, Caller, Reply, Route } from './route.ts';
import { sessionRoutes } from './session-routes.ts';

export type ServerEnv = { Bindings: { incoming: { socket: { remoteAddress?: string | undefined } } } };
export type ServerContext = Context<ServerEnv>;

const MOST_BODY_BYTES = 16 << 10;
const NOBODY: Caller = { by: '', role: 'read', letInBy: null, csrfToken: null };

export const routesOf = (door: Door): readonly Route[] => [
  ...containerRoutes,
  ...commandRoutes,
  ...otherRoutes,
  ...sessionRoutes(door),
];

export const addressOf = (context: ServerContext): string =>
  context.env.incoming.socket.remoteAddress ?? 'unknown';

/** Everything below /api/v1, made of the routes. @param signal ends what goes on for long, when the bot stops */
export function createApi(
  parts: ApiParts,
  { door, routes, signal }: { door: Door; routes: readonly Route[]; signal: AbortSignal },
): Hono<ServerEnv> {
  const api = new Hono<ServerEnv>();
  api.use(bodyLimit({ maxSize: MOST_BODY_BYTES, onError: () => problemResponse(TOO_LARGE) }));
  for (const route of routes) {
    const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
    api.on(route.method.toUpperCase(), path, (context) => answer(context, route, { parts, door, signal }));
  }
  return api;
}

type Around = { parts: ApiParts; door: Door; signal: AbortSignal };

async function answer(context: ServerContext, route: Route, around: Around): Promise<Response> {
  const reply = await handled(context, route, around);
  if (reply instanceof Response) {
    // Nobody reads what a HEAD is not told, and events would be held for them for ever.
    if (context.req.method === 'HEAD') await reply.body?.cancel();
    return reply;
  }
  if ('problem' in reply) return problemResponse(reply.problem);
  return Response.json(reply.body, { status: reply.status ?? 200 });
}

async function handled(
  context: ServerContext,
  route: Route,
  { parts, door, signal }: Around,
): Promise<Reply> {
  const { headers } = context.req.raw;
  const address = addressOf(context);
  const changes = route.method === 'post';
  const caller = route.role === null ? NOBODY : await door.callerFrom({ headers, address, changes });
  if ('problem' in caller) return caller;
  const problem = route.role && roleProblem(route.role, caller);
  if (problem) return { problem };
  if (route.role === 'admin' && !parts.operator.isOurs()) {
    return { problem: unavailable('standby', 'Another bot works on this database: ask that one.') };
  }
  const params = Object.fromEntries(
    parameterNames(route.path).map((name) => [name, context.req.param(name) ?? '']),
  );
  // PostgreSQL takes none in a text, and no name has one.
  if (Object.values(params).some((value) => value.includes('\0')))
    return { problem: notFound('Nothing has that name.') };
  const query = queryOf(context, route);
  if ('problem' in query) return query;
  const body = await bodyOf(context, route);
  if ('problem' in body) return body;
  const request: ApiRequest<Record<string, unknown>, Record<string, unknown>> = {
    parts,
    caller,
    params,
    query: query.value,
    body: body.value,
    headers,
    address,
    signal: AbortSignal.any([signal, context.req.raw.signal]),
    isStillLetIn: () => door.isStillLetIn(caller, headers),
  };
  const reply = await route.handle(request);
  if (route.role === 'admin') note(parts, route, { by: caller.by, params, reply });
  return reply;
}

/** Who has changed what, for the log: what was refused as well. */
function note(
  { log }: ApiParts,
  { name }: Route,
  { by, params, reply }: { by: string; params: Readonly<Record<string, string>>; reply: Reply },
): void {
  const problem = !(reply instanceof Response) && 'problem' in reply ? reply.problem : null;
  const outcome = problem ? { refused: problem.name } : {};
  log.info({ by, ...params, ...outcome }, `an operator has asked for ${name}`);
}

type Read = { value: Record<string, unknown> } | { problem: Problem };

function queryOf(context: ServerContext, { query }: Route): Read {
  const given = context.req.queries();
  const twice = Object.keys(given).find((name) => (given[name]?.length ?? 0) > 1);
  if (twice !== undefined) return { problem: badRequest(`${twice}: given more than once`) };
  const values = Object.fromEntries(Object.entries(given).map(([name, [value]]) => [name, value]));
  if (!query) {
    const [unknown] = Object.keys(values);
    return unknown === undefined ? { value: {} } : { problem: badRequest(`${unknown}: not known here`) };
  }
  return readBy(query, values);
}

async function bodyOf(context: ServerContext, { method, body }: Route): Promise<Read> {
  if (method === 'get') return { value: {} };
  const written = await context.req.text();
  if (written === '' && !body?.safeParse({}).success && body)
    return { problem: badRequest('A JSON body is expected.') };
  if (written === '') return { value: {} };
  const type = (context.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase();
  // A form of another site can send other types unasked (Fetch, 2.2.2).
  if (type !== 'application/json') {
    return { problem: badRequest('A body is taken as Content-Type: application/json alone.') };
  }
  let value: unknown;
  try {
    value = JSON.parse(written);
  } catch {
    return { problem: badRequest('The body is no JSON.') };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { problem: badRequest('The body is no JSON object.') };
  }
  if (body) return readBy(body, value as Record<string, unknown>);
  return Object.keys(value).length === 0
    ? { value: {} }
    : { problem: badRequest('Nothing is expected in the body.') };
}

function readBy(schema: NonNullable<Route['query']>, values: Record<string, unknown>): Read {
  const read = schema.safeParse(values);
  if (read.success) return { value: read.data };
  const faults = read.error.issues.map(({ path, message }) => [...path.map(String), message].join(': '));
  return { problem: badRequest(faults.slice(0, 5).join('; ').slice(0, 1_000)) };
}
