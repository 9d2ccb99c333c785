import type Docker from 'dockerode';
import { engineError } from './errors.ts';

export type EngineFacts = {
  /** Of its host. */
  memoryBytes: number;
  /** Where it keeps its volumes, on its host. */
  rootDir: string;
};

const known = new WeakMap<Docker, EngineFacts>();

/**
 * What is so for as long as an engine runs: asked once.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function engineFacts(docker: Docker): Promise<EngineFacts> {
  let facts = known.get(docker);
  if (!facts) {
    const info = (await docker.info().catch((error: unknown) => {
      throw engineError(error, 'ask for its memory and its disk');
    })) as { MemTotal: number; DockerRootDir: string };
    facts = { memoryBytes: info.MemTotal, rootDir: info.DockerRootDir };
    known.set(docker, facts);
  }
  return facts;
}
