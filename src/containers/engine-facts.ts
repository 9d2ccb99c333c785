import type Docker from 'dockerode';
import { engineError } from './errors.ts';

export type EngineFacts = {
  /** Of its host. */
  memoryBytes: number;
  /** Where it keeps its volumes, on its host. */
  rootDir: string;
  /** What it can run containers with. */
  runtimes: string[];
  /** The numbers that root of a container has on its host: 0, or with `userns-remap` the first of a range. */
  root: UserNumbers;
};

export type UserNumbers = { uid: number; gid: number };

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
      SecurityOptions?: string[] | null;
    };
    facts = {
      memoryBytes: info.MemTotal,
      rootDir: info.DockerRootDir,
      runtimes: Object.keys(info.Runtimes ?? {}),
      root: rootOf(info),
    };
    known.set(docker, facts);
  }
  return facts;
}

/** An engine that maps users says to whom only by the name of the directory that it keeps for them. */
export function rootOf({
  DockerRootDir,
  SecurityOptions,
}: {
  DockerRootDir: string;
  SecurityOptions?: readonly string[] | null;
}): UserNumbers {
  const isMapped = (SecurityOptions ?? []).some((option) => /^name=userns\b/.test(option));
  const [, uid, gid] = (isMapped && /\/(\d+)\.(\d+)$/.exec(DockerRootDir)) || [];
  return { uid: Number(uid ?? 0), gid: Number(gid ?? 0) };
}

/** @returns what is wrong with CONTAINER_RUNTIME, and what to do; `null`: the engine has it */
export function runtimeFault(wanted: string, runtimes: readonly string[]): string | null {
  if (runtimes.includes(wanted)) return null;
  const known = runtimes.join(', ') || 'none that it names';
  return `CONTAINER_RUNTIME: the Docker Engine has no runtime ${wanted}, but ${known}. Add it to "runtimes" in the engine's daemon.json and restart the engine, or leave the setting out`;
}
