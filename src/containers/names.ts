import { createHash } from 'node:crypto';

const SLUG_LENGTH = 40;

/**
 * The name of a thread's container: a person recognises the thread in it, and the hash keeps apart what reads alike,
 * and two installations on one engine.
 */
export function containerName(instance: string, threadId: string): string {
  const slug = threadId
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .slice(0, SLUG_LENGTH)
    .replaceAll(/^[-.]+|[-.]+$/g, '');
  return `ai-dev-${slug === '' ? '' : `${slug}-`}${shortHash(`${instance}\n${threadId}`)}`;
}

export function volumeName(instance: string, threadId: string): string {
  return `${containerName(instance, threadId)}-workspace`;
}

export function networkName(instance: string): string {
  return `threadbox-${instance}`;
}

/** The interface of that network on the host: at most 15 characters, so that firewall rules can name it. */
export function bridgeName(instance: string): string {
  return `tb-${shortHash(instance)}`;
}

/** The network of a repository whose containers reach some hosts by name: of its own, so that none has another's list. */
export function listedNetworkName(instance: string, repositoryId: string | number): string {
  return `${networkName(instance)}-allow-${repositoryId}`;
}

/** The interface of that network on the host. */
export function listedBridgeName(instance: string, repositoryId: string | number): string {
  return `tb-${shortHash(`${instance}\nallow ${repositoryId}`)}`;
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 10);
}
