import Docker from 'dockerode';

export type { Docker };

/**
 * A client of the engine at an address as Docker's own tools take it. Nothing is connected yet.
 *
 * @param dockerHost `unix:///path` or `tcp://host:port` (`http://` means the same)
 */
export function connectDocker(dockerHost: string): Docker {
  if (dockerHost.startsWith('unix://')) return new Docker({ socketPath: dockerHost.slice('unix://'.length) });
  const url = URL.canParse(dockerHost) ? new URL(dockerHost) : null;
  if (!url || !['tcp:', 'http:'].includes(url.protocol)) {
    throw new Error(
      `Expected the address of a Docker Engine as unix:///path or tcp://host:port, got ${dockerHost}`,
    );
  }
  return new Docker({ host: url.hostname, port: Number(url.port || 2375), protocol: 'http' });
}
