import assert from 'node:assert/strict';
import { newSecret, tokenText } from '../../src/api-token.ts';
import { routesOf } from '../../src/http/api.ts';
import { Door } from '../../src/http/door.ts';
import { isMedia } from '../../src/http/openapi.ts';
import { addToken } from '../../src/store/api-tokens.ts';
import type { Stage } from '../lifecycle/stage.ts';

export type Json = Record<string, unknown>;
type Answer = { status: number; body: never; headers: Headers };
type Ask = { token?: string | null; body?: unknown; headers?: Record<string, string> };

/** Asks the API of a running bot; whatever it answers must be as its document says. */
export type Client = {
  base: string;
  admin: string;
  reader: string;
  /** With the token of an admin, where nothing else is said. */
  ask: (method: 'GET' | 'POST', path: string, ask?: Ask) => Promise<Answer>;
  makeToken: (name: string, role: 'admin' | 'read') => Promise<string>;
  /** The names of the routes that have answered with JSON. */
  answered: ReadonlySet<string>;
};

export const allRoutes = routesOf(
  new Door({
    db: null as never,
    config: { adminAddresses: [], loginByMail: true },
    now: () => new Date(),
    log: null as never,
  }),
);

export async function openClient(stage: Stage): Promise<Client> {
  const { app } = stage.bot;
  assert.ok(app.http);
  const base = `http://127.0.0.1:${(await app.http.address).port}`;
  const answered = new Set<string>();
  async function makeToken(name: string, role: 'admin' | 'read'): Promise<string> {
    const { secret, hash } = newSecret();
    const token = await addToken(app.db, { name, role, hash });
    assert.ok(token);
    return tokenText(token.id, secret);
  }

  /** Asks the API; an answer that is JSON must be as its schema says. */
  async function ask(
    method: 'GET' | 'POST',
    path: string,
    { token = admin, body, headers = {} }: Ask = {},
  ): Promise<Answer> {
    const response = await fetch(`${base}${path}`, {
      method,
      headers: {
        ...(token !== null && { Authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') ?? false;
    const value: unknown = isJson ? JSON.parse(text) : text;
    if (response.ok && isJson) checkSchema(method, path, response.status, value);
    if (!response.ok && response.status !== 416 && path.startsWith('/api')) {
      assert.equal(response.headers.get('content-type'), 'application/problem+json', `${path}: ${text}`);
      assert.equal((value as Json)['status'], response.status);
      assert.match(String((value as Json)['type']), /^urn:threadbox:problem:[a-z-]+$/);
      assert.ok(String((value as Json)['detail']).length > 10);
    }
    return { status: response.status, body: value as never, headers: response.headers };
  }

  function checkSchema(method: string, path: string, status: number, value: unknown): void {
    const bare = path.replace(/^\/api\/v1/, '').replace(/\?.*$/, '');
    const route = allRoutes.find(
      (one) =>
        one.method === method.toLowerCase() &&
        new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(bare),
    );
    if (!route) return;
    answered.add(route.name);
    const schema = route.answers[status];
    assert.ok(schema, `${path} answers ${status}, which its document does not tell`);
    if (isMedia(schema)) return;
    const read = schema.safeParse(value);
    assert.ok(read.success, `${path}: ${JSON.stringify(read.error?.issues)} ${JSON.stringify(value)}`);
  }

  const admin = await makeToken('boss', 'admin');
  const reader = await makeToken('viewer', 'read');
  return { base, admin, reader, ask, makeToken, answered };
}
