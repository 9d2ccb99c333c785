/** Why a request is refused: RFC 9457, 3.1. `detail` says what one can do. */
export type Problem = {
  status: number;
  name: string;
  title: string;
  detail: string;
  retryAfterSeconds?: number;
};

/** Its type is a name of ours, to be told apart by programs (RFC 9457, 3.1.1). */
export function problemResponse(problem: Problem, headers: Readonly<Record<string, string>> = {}): Response {
  const { status, name, title, detail, retryAfterSeconds } = problem;
  const body = { type: `urn:threadbox:problem:${name}`, title, status, detail };
  return new Response(`${JSON.stringify(body)}\n`, {
    status,
    headers: {
      'Content-Type': 'application/problem+json',
      ...(retryAfterSeconds !== undefined && { 'Retry-After': String(retryAfterSeconds) }),
      // RFC 9110, 11.6.1: a 401 says how to come in.
      ...(status === 401 && { 'WWW-Authenticate': 'Bearer realm="threadbox"' }),
      ...headers,
    },
  });
}

export const notFound = (what: string): Problem => ({
  status: 404,
  name: 'not-found',
  title: 'Not found',
  detail: what,
});

export const badRequest = (detail: string): Problem => ({
  status: 400,
  name: 'bad-request',
  title: 'The request cannot be understood',
  detail,
});

export const conflict = (name: string, detail: string): Problem => ({
  status: 409,
  name,
  title: 'Not possible in this state',
  detail,
});

export const unavailable = (name: string, detail: string): Problem => ({
  status: 503,
  name,
  title: 'Not available now',
  detail,
  retryAfterSeconds: 5,
});

export const UNAUTHORIZED: Problem = {
  status: 401,
  name: 'no-token',
  title: 'A token is needed',
  detail:
    'Send a token that holds as "Authorization: Bearer ...". To make one: threadbox token create NAME --role read',
};

export const SPENT_LINK: Problem = {
  status: 401,
  name: 'spent-link',
  title: 'This link is not good any more',
  detail:
    'A link is good once, and for ten minutes. Mail the bot again with the subject [login] for another one.',
};

export const FORBIDDEN: Problem = {
  status: 403,
  name: 'role',
  title: 'This token may only read',
  detail: 'This needs a token with the role admin: threadbox token create NAME --role admin',
};

export const FORGED: Problem = {
  status: 403,
  name: 'csrf',
  title: 'Not sent by the page',
  detail:
    'Send the header X-CSRF-Token with what GET /api/v1/session says, from the same origin; or use a token.',
};

export const TOO_LARGE: Problem = {
  status: 413,
  name: 'too-large',
  title: 'Too large',
  detail: 'A request can have up to 16 KB.',
};

export const tooMany = (retryAfterSeconds: number): Problem => ({
  status: 429,
  name: 'too-many',
  title: 'Too many requests',
  detail: `Wait ${retryAfterSeconds} s, then try again.`,
  retryAfterSeconds,
});
