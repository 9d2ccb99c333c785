import { z } from 'zod';
import type { MediaType, Route } from './route.ts';

const PROBLEM = {
  'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
};

/** What any route may answer besides. */
const COMMON: Readonly<Record<string, string>> = {
  400: 'The request cannot be understood',
  401: 'A token is needed',
  403: 'The token may only read, or the request was not sent by the page',
  429: 'Too many requests: Retry-After says when',
  503: 'The bot starts, or a part of it is away',
};

/** The document of the API (OpenAPI 3.1), made of the routes themselves: what it says is what they check. */
export function openApiDocument(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = `/api/v1${route.path}`;
    paths[path] = { ...paths[path], [route.method]: operationOf(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Threadbox',
      version,
      description:
        'What the Container Monitor shows and does, for programs. Tokens: threadbox token create NAME.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }, { cookie: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        cookie: {
          type: 'apiKey',
          in: 'cookie',
          name: 'threadbox_session',
          description: 'By POST /login. A request that changes something carries X-CSRF-Token besides.',
        },
      },
      schemas: {
        Problem: {
          type: 'object',
          required: ['type', 'title', 'status', 'detail'],
          properties: {
            type: { type: 'string', description: 'urn:threadbox:problem:NAME' },
            title: { type: 'string' },
            status: { type: 'integer' },
            detail: { type: 'string', description: 'What one can do' },
          },
        },
      },
    },
  };
}

function operationOf(route: Route): object {
  const { name, summary, role, again, body, path } = route;
  return {
    operationId: name,
    summary,
    description: [
      role === null ? 'Needs no token.' : `Needs the role ${role}.`,
      ...(again === undefined ? [] : [`Sent again: ${again}.`]),
    ].join(' '),
    ...(role === null && { security: [] }),
    parameters: [...pathParameters(path), ...queryParameters(route)],
    ...(body && {
      requestBody: {
        required: !body.safeParse({}).success,
        content: { 'application/json': { schema: schemaOf(body, 'input') } },
      },
    }),
    responses: responsesOf(route),
  };
}

/** The names in `/commands/{commandId}`. */
export const parameterNames = (path: string): string[] =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);

const pathParameters = (path: string) =>
  parameterNames(path).map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));

function queryParameters({ query }: Route): object[] {
  if (!query) return [];
  const { properties = {} } = schemaOf(query, 'input') as {
    properties?: Record<string, { description?: string }>;
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    ...(description !== undefined && { description }),
    schema,
  }));
}

function responsesOf({ answers, refusals = {}, role }: Route): Record<string, object> {
  const responses: Record<string, object> = {};
  for (const [status, answer] of Object.entries(answers)) {
    responses[status] = isMedia(answer)
      ? { description: answer.description, content: { [answer.mediaType]: {} } }
      : { description: 'Done', content: { 'application/json': { schema: schemaOf(answer, 'output') } } };
  }
  for (const [status, description] of Object.entries({ ...COMMON, ...refusals })) {
    if (role === null && (status === '403' || status === '401') && !(status in refusals)) continue;
    responses[status] = { description, ...(status !== '416' && { content: PROBLEM }) };
  }
  return responses;
}

export const isMedia = (answer: z.ZodType | MediaType): answer is MediaType => 'mediaType' in answer;

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}
