import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export type TokenServer = {
  tokenUrl: string;
  /** For Dovecot: the token goes behind it. */
  introspectionUrl: string;
  /** What was sent to be given a token. */
  asked: URLSearchParams[];
  /** The tokens given out, the newest last. */
  given: string[];
  /** No mail server takes what was given until now. */
  takeBack: () => void;
  answerWith: (answer: { status: number; body: object } | null) => void;
  close: () => Promise<void>;
};

/** Gives access tokens for one address, and says of each whether it holds (RFC 6749, RFC 7662). */
export async function startTokenServer(email: string, lifeSeconds = 3600): Promise<TokenServer> {
  const asked: URLSearchParams[] = [];
  const given: string[] = [];
  const valid = new Set<string>();
  let scripted: { status: number; body: object } | null = null;
  const server = createServer((request, response) => {
    void (async () => {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const say = (status: number, body: object): void => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      if (url.pathname === '/introspect') {
        const isValid = valid.has(url.searchParams.get('token') ?? '');
        return say(isValid ? 200 : 401, isValid ? { active: true, email } : { active: false });
      }
      asked.push(new URLSearchParams(await text(request)));
      if (scripted) return say(scripted.status, scripted.body);
      const token = `token-${given.length + 1}`;
      given.push(token);
      valid.add(token);
      say(200, { access_token: token, expires_in: lifeSeconds, token_type: 'Bearer' });
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    tokenUrl: `${base}/token`,
    introspectionUrl: `${base}/introspect?token=`,
    asked,
    given,
    takeBack: () => valid.clear(),
    answerWith: (answer) => {
      scripted = answer;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
