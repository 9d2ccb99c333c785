import { watchedIn } from '../../src/commands/watched-size.ts';
import { connectDocker } from '../../src/containers/client.ts';
import { dockerHost, never, silent, type Rig } from '../containers/rig.ts';

/** With which ways for new volumes this one is watched, by a bot that has just been started. */
export async function watchedWith({ container }: Rig): Promise<string[]> {
  const watched: string[] = [];
  for (const way of ['image', 'quota', 'measured', 'off'] as const) {
    const parts = {
      docker: connectDocker(dockerHost),
      signal: never,
      config: { workspaceSizeBytes: 40 * 2 ** 20 },
    };
    const limit = { way, imagesDir: '', log: silent };
    const { run } = watchedIn({ ...parts, workspaceLimit: limit }, { workspaceBytes: null });
    const session = { containerId: container.id, volumeName: container.volumeName };
    if (await run(session, never, (stopped) => Promise.resolve(stopped !== never))) watched.push(way);
  }
  return watched;
}
