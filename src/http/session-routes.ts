import { z } from 'zod';
import type { Door } from './door.ts';
import { FORGED, problemResponse } from './problem.ts';
import { route, type Caller, type Route } from './route.ts';
import { orNull, text } from './schemas.ts';
import { cookieHeader } from './web-sessions.ts';

const who = z.strictObject({
  name: z.string().describe('Of the token'),
  role: z.enum(['admin', 'read']),
  csrfToken: orNull(z.string()).describe('For the header X-CSRF-Token; null for who comes with a token'),
});

const shown = ({ by, role, csrfToken }: Caller) => ({ name: by, role, csrfToken });

/** How the page lets people in. */
export const sessionRoutes = (door: Door): readonly Route[] => [
  route({
    method: 'post',
    path: '/login',
    name: 'logIn',
    summary: 'Takes a token and sets a cookie, for the page: 10 hours at most, one hour when it is not used',
    role: null,
    body: z.strictObject({ token: text(200) }),
    answers: { 200: who },
    refusals: { 401: 'No token holds that is like that', 429: 'Too many wrong ones' },
    async handle({ body: { token }, headers, address }) {
      const site = headers.get('sec-fetch-site');
      // Another site must not log anybody in either.
      if (site !== null && site !== 'same-origin' && site !== 'none') return { problem: FORGED };
      const done = await door.logIn(token.trim(), address);
      if ('problem' in done) return problemResponse(done.problem);
      return withCookie(done.cookie, headers, shown(done.caller));
    },
  }),
  route({
    method: 'get',
    path: '/session',
    name: 'getSession',
    summary: 'Who asks',
    role: 'read',
    answers: { 200: who },
    handle: ({ caller }) => Promise.resolve({ body: shown(caller) }),
  }),
  route({
    method: 'post',
    path: '/logout',
    name: 'logOut',
    summary: 'Ends the session of the cookie',
    role: 'read',
    answers: { 200: z.strictObject({ loggedOut: z.literal(true) }) },
    handle({ headers }) {
      door.logOut(headers);
      return Promise.resolve(withCookie('', headers, { loggedOut: true }));
    },
  }),
];

function withCookie(value: string, headers: Headers, body: object): Response {
  // Behind a proxy that speaks TLS; who forges this header keeps their own cookie from themselves.
  const isSecure = headers.get('x-forwarded-proto') === 'https';
  return Response.json(body, { headers: { 'Set-Cookie': cookieHeader(value, { isSecure }) } });
}
