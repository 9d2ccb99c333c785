import type Docker from 'dockerode';
import { engineError } from './errors.ts';

export type EngineFacts = {
  /** Of its host. */
  memoryBytes: number;
  /** Where it keeps its volumes, on its host. */
  rootDir: string;
  /** What it can run containers with. */
  runtimes: string[];
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
    })) as {
      MemTotal: number;
      DockerRootDir: string;
      Runtimes?: Record<string, unknown>;
    };
    facts = {
      memoryBytes: info.MemTotal,
      rootDir: info.DockerRootDir,
      runtimes: Object.keys(info.Runtimes ?? {}),
    };
    known.set(docker, facts);
  }
  return facts;
}

/** @returns what is wrong with CONTAINER_RUNTIME, and what to do; `null`: the engine has it */
export function runtimeFault(wanted: string, runtimes: readonly string[]): string | null {
  if (runtimes.includes(wanted)) return null;
  const known = runtimes.join(', ') || 'none that it names';
  return `CONTAINER_RUNTIME: the Docker Engine has no runtime ${wanted}, but ${known}. Add it to "runtimes" in the engine's daemon.json and restart the engine, or leave the setting out`;
}
