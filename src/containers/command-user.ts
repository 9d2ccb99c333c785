import type Docker from 'dockerode';

/** On every container whose commands are root's. */
export const ROOT_LABEL = 'threadbox.root';

/** Ordinary ones: PID 1 is root's, so that nothing they send it can end the container. */
const ORDINARY = '1000:1000';
const ROOT = '0:0';

/** A container keeps its kind as long as it lives, so each is looked at once. */
const usersOf = new WeakMap<Docker, Map<string, string>>();

const userFor = (isRoot: boolean): string => (isRoot ? ROOT : ORDINARY);

export const isRootContainer = (labels: Readonly<Record<string, string>> | undefined): boolean =>
  labels?.[ROOT_LABEL] === 'yes';

/** So that nobody has to ask the engine. */
export function rememberUser(docker: Docker, containerId: string, isRoot: boolean): void {
  let users = usersOf.get(docker);
  if (!users) usersOf.set(docker, (users = new Map()));
  users.set(containerId, userFor(isRoot));
}

export function forgetUser(docker: Docker, containerId: string): void {
  usersOf.get(docker)?.delete(containerId);
}

/**
 * Who the commands of a container run as, and with them all that looks after its workspace: what one of the two makes, the
 * other can read.
 *
 * @throws what the engine says
 */
export async function commandUser(
  docker: Docker,
  containerId: string,
  options: { abortSignal?: AbortSignal } = {},
): Promise<string> {
  const known = usersOf.get(docker)?.get(containerId);
  if (known !== undefined) return known;
  const { Id, Config } = await docker.getContainer(containerId).inspect(options);
  const isRoot = isRootContainer(Config.Labels);
  rememberUser(docker, Id, isRoot);
  return userFor(isRoot);
}
