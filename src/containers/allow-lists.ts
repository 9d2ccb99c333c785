import { readFile } from 'node:fs/promises';
import type Docker from 'dockerode';
import type { Log } from '../log.ts';
import { allowedHosts, type Network } from '../network-choice.ts';
import { watchPart, type PartState } from '../part-state.ts';
import { retryForEver } from '../retry.ts';
import {
  ensureListedNetwork,
  ensureNetwork,
  listedNetworks,
  removeListedNetwork,
} from './container-network.ts';
import { addressOf } from './container.ts';
import { ContainersError } from './errors.ts';
import { isBridgeHere } from './guard-host.ts';
import { listedBridgeName } from './names.ts';
import type { NetworkGuard } from './network-guard.ts';

/** What one repository's containers may ask the proxy for. */
export type ServedList = {
  repositoryId: number;
  /** As in `registry.npmjs.org` or `*.github.com`. */
  hosts: readonly string[];
  /** Where the proxy listens for them: an address of the host that they alone reach. */
  gateway: string;
};

/** Something that was asked for and refused, as in `evil.example:443`. */
export type Refused = { what: string; times: number };

/** The proxy, as its keeper uses it. */
export type AllowProxy = {
  /** Settles on a port to listen at, before it does. */
  port: () => Promise<number>;
  /**
   * Serves these lists and no others from now on; that it does is seen by the last of them. What another's network has come to
   * holds up nobody else.
   *
   * @param from the address that it goes out from
   * @throws when it cannot be started, with what to do; when it does not serve them in time
   */
  serve: (lists: readonly ServedList[], from: string) => Promise<void>;
  isServing: () => boolean;
  /** What a client was refused since a moment of `performance.now()`. Until now: what comes later is not waited for. */
  refusedSince: (client: string, sinceMs: number, list: ServedList) => Promise<Refused[]>;
  close: () => Promise<void>;
};

export type AllowListParts = {
  docker: Docker;
  instance: string;
  /** null: the operator does without. */
  guard: Pick<NetworkGuard, 'closeListed' | 'expectInPlace'> | null;
  proxy: AllowProxy;
  /** Those that have a list. */
  repositories: () => Promise<readonly (Listed & { hasContainer: boolean })[]>;
  log: Log;
};

type Listed = { id: number; network: Network };

/**
 * Repositories whose containers reach some hosts by name: each has a network of its own that leads nowhere but to the proxy,
 * and the address at which the proxy is reached there says whose list counts. A container can forge neither.
 */
export class AllowLists {
  readonly #parts: AllowListParts;
  readonly #part: PartState;
  readonly #closing = new AbortController();
  readonly #served = new Map<number, ServedList>();
  #hasClosed = false;
  #changing: Promise<unknown> = Promise.resolve();
  #resuming: Promise<void> = Promise.resolve();

  constructor(parts: AllowListParts) {
    this.#parts = parts;
    this.#part = watchPart('the proxy of allow-lists', parts.log, {
      up: 'serves',
      down: 'does not serve; commands of repositories with an allow-list wait until it does',
    });
  }

  /**
   * Closes all the networks there are, and serves the lists that have containers: what runs in one when the bot is started goes
   * on reaching its hosts.
   */
  begin(): void {
    const { signal } = this.#closing;
    const resume = async (): Promise<void> => {
      const close = async (): Promise<void> => {
        if (this.#parts.guard) await this.#inTurn(() => this.#close());
      };
      // Before and after: of a network that goes, the rules of an earlier process are known by it alone.
      await close();
      await this.#inTurn(() => this.#tidy());
      await close();
      const faults: unknown[] = [];
      for (const repository of await this.#parts.repositories()) {
        if (repository.hasContainer)
          await this.ensure(repository).catch((error: unknown) => faults.push(error));
      }
      // What fails holds up no other.
      if (faults.length > 0) throw faults[0];
    };
    // What fails was told where it failed.
    const onFailure = (error: Error): void => this.#parts.log.debug({ err: error }, 'allow-lists wait');
    this.#resuming = retryForEver(resume, { signal, onFailure }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }

  /**
   * To be awaited before anything is started in a container of that repository.
   *
   * @param looks whether to look at the engine's network as well: before a container is started
   * @returns the proxy as programs are told of it; null for a repository without a list
   * @throws {ContainersError} NETWORK_GUARD where its containers would have no network, or an open one; as the engine fails
   */
  async ensure({ id, network }: Listed, { looks = false } = {}): Promise<string | null> {
    const hosts = allowedHosts(network);
    if (hosts === null) return null;
    const { guard, proxy } = this.#parts;
    if (!guard) throw notPossible('CONTAINER_NETWORK_GUARD is off, and without it they are not kept');
    const known = looks ? null : this.#asServed(id, hosts);
    const list = known ?? (await this.#inTurn(() => this.#serve(id, hosts)));
    await guard.expectInPlace();
    return `http://${list.gateway}:${await proxy.port()}`;
  }

  /**
   * To be awaited before a container on that repository's network is started, whatever list it has by now: nothing is
   * opened, so no proxy is needed.
   *
   * @throws {ContainersError} NETWORK_GUARD; as the engine fails
   */
  async ensureRules(repositoryId: number): Promise<void> {
    const { docker, instance, guard } = this.#parts;
    if (!guard) return;
    await this.#inTurn(async () => {
      await ensureListedNetwork(docker, instance, repositoryId);
      await this.#close();
    });
  }

  /**
   * Removes the networks of repositories that have lost their list, or have been removed, once no container is on them any more.
   *
   * @throws {ContainersError} NETWORK_GUARD; as the engine fails. What the proxy throws
   */
  async tidy(): Promise<void> {
    await this.#inTurn(async () => {
      if (!(await this.#tidy())) return;
      const before = this.#served.size;
      const from = await this.#close();
      const lists = [...this.#served.values()];
      // It needs not listen any more where nobody is. Without any it would not run at all.
      if (lists.length > 0 && lists.length < before) await this.#parts.proxy.serve(lists, from);
    });
  }

  /** What a container's commands were refused since a moment of `performance.now()`. */
  async refusedSince(repositoryId: number, containerId: string, sinceMs: number): Promise<Refused[]> {
    const list = this.#served.get(repositoryId);
    const address = list ? await addressOf(this.#parts.docker, containerId) : null;
    return list && address !== null ? this.#parts.proxy.refusedSince(address, sinceMs, list) : [];
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#resuming;
    await this.#changing;
    await this.#parts.proxy.close();
  }

  /** One after the other: each says what all of them have. */
  async #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#changing.then(change);
    this.#changing = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Has the rules of all listed networks there are put in place, and forgets those lists whose network has gone. A container may
   * stand on one whose repository has another network by now.
   *
   * @returns the address that the proxy goes out from
   */
  async #close(): Promise<string> {
    const { docker, instance, guard, proxy } = this.#parts;
    const there = await listedNetworks(docker, instance);
    for (const { repositoryId: id, gateway } of this.#served.values()) {
      if (!there.some((one) => one.repositoryId === id && one.gateway === gateway)) this.#served.delete(id);
    }
    const { gateway: from } = await ensureNetwork(docker, instance);
    if (!guard || (there.length === 0 && !this.#hasClosed)) return from;
    this.#hasClosed = true;
    const port = await proxy.port();
    const bridges = there.map(({ repositoryId, gateway }) => ({
      bridge: listedBridgeName(instance, repositoryId),
      proxy: `${gateway}:${port}`,
    }));
    await guard.closeListed(bridges, from);
    return from;
  }

  /** There is only room for some thirty networks in an engine. @returns whether one has gone */
  async #tidy(): Promise<boolean> {
    const { docker, instance, repositories } = this.#parts;
    const there = await listedNetworks(docker, instance);
    if (there.length === 0) return false;
    const listed = new Set((await repositories()).map(({ id }) => id));
    let hasGone = false;
    for (const { repositoryId } of there) {
      if (listed.has(repositoryId)) continue;
      if (await removeListedNetwork(docker, instance, repositoryId)) hasGone = true;
    }
    return hasGone;
  }

  #asServed(id: number, hosts: readonly string[]): ServedList | null {
    const known = this.#served.get(id);
    return known && known.hosts.join() === hosts.join() && this.#parts.proxy.isServing() ? known : null;
  }

  async #serve(id: number, hosts: readonly string[]): Promise<ServedList> {
    const { docker, instance, proxy, log } = this.#parts;
    this.#closing.signal.throwIfAborted();
    try {
      if (!this.#asServed(id, hosts)) {
        await this.#tidy().catch((error: unknown) =>
          log.warn({ err: error }, 'networks without a list stay'),
        );
      }
      const { subnet, gateway } = await ensureListedNetwork(docker, instance, id);
      const routes = await readFile('/proc/self/net/route', 'utf8');
      if (gateway === '' || !isBridgeHere(routes, listedBridgeName(instance, id), subnet)) {
        throw notPossible('the Docker Engine is not on the machine of this bot, or either is in a container');
      }
      // First what closes, then what opens.
      const from = await this.#close();
      const known = this.#asServed(id, hosts);
      if (known) return known;
      const list = { repositoryId: id, hosts, gateway };
      const lists = [...[...this.#served.values()].filter((one) => one.repositoryId !== id), list];
      await proxy.serve(lists, from);
      this.#served.set(id, list);
      this.#part.isUp();
      return list;
    } catch (error) {
      throw this.#told(error);
    }
  }

  #told(error: unknown): unknown {
    // Of these others tell; and nothing is down when the bot stops.
    if (this.#closing.signal.aborted) return error;
    if (error instanceof ContainersError && error.code === 'DOCKER_UNREACHABLE') return error;
    this.#part.isDown(error as Error);
    if (error instanceof ContainersError && error.code === 'NETWORK_GUARD') return error;
    return notPossible((error as Error).message, error);
  }
}

function notPossible(why: string, cause?: unknown): ContainersError {
  const words = `The hosts that commands of this repository may reach cannot be opened to them: ${why}`;
  return new ContainersError('NETWORK_GUARD', words, { cause });
}

/** How programs in a container are told of the proxy. */
export function proxyEnv(url: string | null): Record<string, string> {
  if (url === null) return {};
  const own = 'localhost,127.0.0.1';
  return {
    http_proxy: url,
    https_proxy: url,
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
    no_proxy: own,
    NO_PROXY: own,
    // Node does not look at them otherwise.
    NODE_USE_ENV_PROXY: '1',
  };
}
