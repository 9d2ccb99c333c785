import { z } from 'zod';
import type { Config } from '../config.ts';
import type { Door } from './door.ts';
import { FORGED, problemResponse } from './problem.ts';
import { route, type Caller, type Route } from './route.ts';
import { orNull, text } from './schemas.ts';
import { cookieHeader, isOverTls } from './web-sessions.ts';

const who = z.strictObject({
  name: z.string().describe('Of the token, or the address of an admin who came by a link'),
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
    summary: 'Takes a token and sets a cookie, for the page: 12 hours at most, one hour when it is not used',
    role: null,
    again: 'it is another session',
    body: z.strictObject({ token: text(200) }),
    answers: { 200: who },
    refusals: { 401: 'No token holds that is like that', 429: 'Too many wrong ones' },
    async handle({ parts: { config }, body: { token }, headers, address }) {
      if (isOfAnotherSite(headers)) return { problem: FORGED };
      const done = await door.logIn(token.trim(), address);
      if ('problem' in done) return problemResponse(done.problem);
      return withCookie(done.cookie, { headers, config }, shown(done.caller));
    },
  }),
  route({
    method: 'post',
    path: '/login/link',
    name: 'logInByLink',
    summary: 'The same with what is in a link that the bot has mailed to an admin, which is used up by it',
    role: null,
    again: 'it is refused, as a link is good once, on purpose',
    body: z.strictObject({ secret: text(200) }),
    answers: { 200: who },
    refusals: { 401: 'It was used, or is older than ten minutes', 429: 'Too many wrong ones' },
    async handle({ parts: { config }, body: { secret }, headers, address }) {
      if (isOfAnotherSite(headers)) return { problem: FORGED };
      const done = await door.logInByLink(secret, address);
      if ('problem' in done) return problemResponse(done.problem);
      return withCookie(done.cookie, { headers, config }, shown(done.caller));
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
    again: 'there is none any more, which is 401',
    answers: { 200: z.strictObject({ loggedOut: z.literal(true) }) },
    handle({ parts: { config }, headers }) {
      door.logOut(headers);
      return Promise.resolve(withCookie('', { headers, config }, { loggedOut: true }));
    },
  }),
];

/** Another site must not log anybody in either. */
function isOfAnotherSite(headers: Headers): boolean {
  const site = headers.get('sec-fetch-site');
  return site !== null && site !== 'same-origin' && site !== 'none';
}

type Asked = { headers: Headers; config: Pick<Config, 'publicUrl'> };

function withCookie(value: string, { headers, config }: Asked, body: object): Response {
  return Response.json(body, {
    headers: { 'Set-Cookie': cookieHeader(value, { isSecure: isOverTls(headers, config) }) },
  });
}
