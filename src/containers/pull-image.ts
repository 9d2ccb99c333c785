import type Docker from 'dockerode';

const PROGRESS_INTERVAL_MS = 3_000;

type PullEvent = {
  id?: string;
  status?: string;
  progressDetail?: { current?: number; total?: number };
};

/**
 * Pulls an image from its registry, with a line for a person every few seconds.
 *
 * @throws Error with code NO_IMAGE, the registry's words and what to do.
 */
export async function pullImage(
  docker: Docker,
  image: string,
  onProgress: (line: string) => void,
): Promise<void> {
  onProgress(`Pulling the image ${image}`);
  // Without a tag Docker would fetch every tag there is.
  const reference = /[:@][^/]*$/.test(image) ? image : `${image}:latest`;
  const layers = new Map<string, { current: number; total: number }>();
  let shownAt = Date.now();
  try {
    const stream = await docker.pull(reference);
    await new Promise<void>((resolve, reject) => {
      docker.modem.followProgress(
        stream,
        (error) => {
          if (error) reject(error);
          else resolve();
        },
        (event: PullEvent) => {
          const { id, status, progressDetail } = event;
          if (id && status === 'Downloading') {
            layers.set(id, { current: progressDetail?.current ?? 0, total: progressDetail?.total ?? 0 });
          }
          if (Date.now() - shownAt < PROGRESS_INTERVAL_MS) return;
          shownAt = Date.now();
          onProgress(`  ${status ?? 'working'}: ${pulledSoFar(layers)}`);
        },
      );
    });
  } catch (error) {
    throw Object.assign(
      new Error(
        `Expected the image ${image}, but it cannot be pulled: ${(error as Error).message}\n` +
          'Check its name and the network, run docker login where its registry asks for it, or set CONTAINER_IMAGE.',
        { cause: error },
      ),
      { code: 'NO_IMAGE' },
    );
  }
  onProgress(`The image ${image} is ready`);
}

function pulledSoFar(layers: ReadonlyMap<string, { current: number; total: number }>): string {
  let current = 0;
  let total = 0;
  for (const layer of layers.values()) {
    current += layer.current;
    total += layer.total;
  }
  return `${(current / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB in ${layers.size} layers`;
}
