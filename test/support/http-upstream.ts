import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type HttpUpstream = {
  /** `http://127.0.0.1:port/name.git`, for these credentials. */
  urlFor: (name: string, user: string, password: string) => string;
  close: () => Promise<void>;
};

/** The bare repositories of a directory by HTTP, for whoever has the password; others hear it back, as from a bad server. */
export async function startHttpUpstream(dir: string, user: string, password: string): Promise<HttpUpstream> {
  const wanted = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const server = createServer((request, response) => {
    const { authorization } = request.headers;
    if (authorization !== wanted) {
      const said = Buffer.from((authorization ?? '').slice(6), 'base64').toString();
      response.writeHead(authorization ? 403 : 401, {
        'WWW-Authenticate': 'Basic realm="git"',
        'Content-Type': 'text/plain',
      });
      response.end(`no entry for ${said} at http://${said}@host/\n`);
      return;
    }
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://x');
    const env = {
      ...process.env,
      GIT_PROJECT_ROOT: dir,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: pathname,
      QUERY_STRING: searchParams.toString(),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'],
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'],
      HTTP_GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    };
    const git = spawn('git', ['-c', 'safe.directory=*', 'http-backend'], { env });
    request.pipe(git.stdin);
    const chunks: Buffer[] = [];
    git.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    git.on('close', () => {
      const all = Buffer.concat(chunks);
      const end = all.indexOf('\r\n\r\n');
      const lines = all.subarray(0, end).toString().split('\r\n');
      const headers = lines.map((line) => line.split(': ', 2) as [string, string]);
      const status = Number(headers.find(([name]) => name === 'Status')?.[1]?.slice(0, 3) ?? 200);
      response.writeHead(status, Object.fromEntries(headers.filter(([name]) => name !== 'Status')));
      response.end(all.subarray(end + 4));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    urlFor: (name, as, by) =>
      `http://${encodeURIComponent(as)}:${encodeURIComponent(by)}@127.0.0.1:${port}/${name}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
