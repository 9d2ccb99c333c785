import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** Whether an engine answers. `isForbidden`: one may be there, but this user may not talk to it. */
export type EnginePing = { answers: true } | { answers: false; isForbidden: boolean; reason: string };

/**
 * Asks the Docker Engine at `dockerHost` (`unix:///...`, `tcp://...`) for a sign of life, as Docker's API has it
 * (`GET /_ping`). Never throws.
 */
export async function pingEngine(dockerHost: string, timeoutMs = 5_000): Promise<EnginePing> {
  const target = pingTarget(dockerHost);
  if (!target)
    return { answers: false, isForbidden: false, reason: `not an address of an engine: ${dockerHost}` };
  const send = dockerHost.startsWith('https:') ? httpsRequest : httpRequest;
  return await new Promise((resolve) => {
    const fail = (error: Error): void => {
      const { code } = error as NodeJS.ErrnoException;
      resolve({ answers: false, isForbidden: code === 'EACCES', reason: error.message });
    };
    const request = send(
      { ...target, path: '/_ping', signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        response.resume();
        response.on('error', fail);
        response.on('end', () => {
          if (response.statusCode === 200) resolve({ answers: true });
          else fail(new Error(`expected status 200 to /_ping, got ${response.statusCode}`));
        });
      },
    );
    request.on('error', fail);
    request.end();
  });
}

function pingTarget(dockerHost: string): RequestOptions | null {
  if (dockerHost.startsWith('unix://')) return { socketPath: dockerHost.slice('unix://'.length) };
  if (!URL.canParse(dockerHost)) return null;
  const { protocol, hostname, port } = new URL(dockerHost);
  if (!['tcp:', 'http:', 'https:'].includes(protocol)) return null;
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || (protocol === 'https:' ? 2376 : 2375)),
  };
}
