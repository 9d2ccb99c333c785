import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type Docker from 'dockerode';
import type { Log } from '../log.ts';
import { watchPart, type PartState } from '../part-state.ts';
import { ensureNetwork } from './container-network.ts';
import { ContainersError } from './errors.ts';
import { helperHost, isBridgeHere, ownHost, type GuardHost, type Tables } from './guard-host.ts';
import { guardChange, guardRemoval, type Family, type Guarded, type ListedBridge } from './guard-rules.ts';
import { bridgeName } from './names.ts';

export type GuardSettings = {
  docker: Docker;
  instance: string;
  /** Of the helper container, where one is needed; and what makes sure that it is there. */
  image: string;
  imageReady: () => Promise<void>;
  /** Whom containers ask for names; null: whom the engine's host asks. */
  nameservers: readonly string[] | null;
  /** What is left open: `10.1.2.3:4873`, `10.1.2.0/24:443`. */
  mayReach: readonly string[];
  log: Log;
  /** Tests alone set this. */
  lookAgainMs?: number | undefined;
};

/** Right before a container is started, a look so long ago is good enough: many are started at the same time. */
const FRESH_MS = 1_000;
/** How often it is looked whether all is in place. A look through a helper costs half a second of work. */
const LOOK_AGAIN_MS = { direct: 10_000, helper: 60_000 };
const PAUSES_AFTER_FAILURE_MS = [1_000, 2_000, 5_000, 10_000];
/** Somebody else may change the tables between a look and a change. */
const MOST_TRIES = 3;
const BRIDGES_UNSEEN =
  "the firewall of the engine's host does not see what containers send each other; run there, as root: " +
  'modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1';

/**
 * Keeps the containers of an installation from the host and its networks, by rules in the firewall of the engine's host:
 * see guard-rules.ts. They are looked at before each start of a container, and every so often.
 */
export class NetworkGuard {
  readonly #settings: GuardSettings;
  readonly #part: PartState;
  readonly #closing = new AbortController();
  #host: GuardHost | null = null;
  #lookAgainMs: number = LOOK_AGAIN_MS.direct;
  #looking: Promise<void> | null = null;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #fault: ContainersError | null = null;
  /** What is closed besides the bridge of the installation, and where the proxy of these goes out from. */
  #listed: { bridges: readonly ListedBridge[]; proxyFrom: string | null } = { bridges: [], proxyFrom: null };
  /** Bridges that were closed and are there no more: their rules go as well. */
  readonly #gone = new Set<string>();
  #hasNewRules = false;
  #watching: Promise<void> = Promise.resolve();

  constructor(settings: GuardSettings) {
    this.#settings = settings;
    this.#part = watchPart('the network guard', settings.log, {
      up: 'is in place',
      down:
        'cannot be put in place; no container is started until it can. See "Network" in docs/security.md ' +
        '(CONTAINER_NETWORK_GUARD=off does without)',
    });
  }

  /** Puts it in place, and keeps it there until `close`. */
  begin(): void {
    this.#watching = this.#watch();
  }

  /** To be awaited before a container is started. @throws {ContainersError} NETWORK_GUARD, or as the engine fails */
  async ensure(): Promise<void> {
    if (performance.now() - this.#lookedAt < FRESH_MS) return;
    this.#looking ??= this.#lookAndMend().finally(() => (this.#looking = null));
    await this.#looking;
  }

  /**
   * For containers that run: what the last look has found, which costs nothing. What was there when the bot was stopped
   * may be gone, so there has to be one look.
   *
   * @throws {ContainersError} NETWORK_GUARD, or as the engine fails
   */
  async expectInPlace(): Promise<void> {
    if (this.#fault) throw this.#fault;
    if (this.#lookedAt === Number.NEGATIVE_INFINITY) await this.ensure();
  }

  /**
   * Closes further bridges, but for the proxy of allow-lists, and what that reaches itself. It goes in the place of what was
   * said before; said once more, it costs no more than `ensure`.
   *
   * @param proxyFrom the address that the proxy goes out from
   * @throws as `ensure`
   */
  async closeListed(bridges: readonly ListedBridge[], proxyFrom: string): Promise<void> {
    if (isDeepStrictEqual(this.#listed, { bridges, proxyFrom })) return this.ensure();
    // A look that is under way does not know of it.
    while (this.#looking) await this.#looking.catch(() => undefined);
    for (const { bridge } of this.#listed.bridges) this.#gone.add(bridge);
    for (const { bridge } of bridges) this.#gone.delete(bridge);
    this.#listed = { bridges, proxyFrom };
    this.#hasNewRules = true;
    this.#lookedAt = Number.NEGATIVE_INFINITY;
    await this.ensure();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted;) {
      await this.ensure().then(
        () => (failures = 0),
        () => (failures += 1),
      );
      const whenDown = PAUSES_AFTER_FAILURE_MS[Math.min(failures, PAUSES_AFTER_FAILURE_MS.length) - 1];
      await pause(whenDown ?? this.#lookAgainMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async #lookAndMend(): Promise<void> {
    const { log } = this.#settings;
    try {
      const known = this.#host;
      const isOurChange = this.#hasNewRules;
      const isChanged = known ? await this.#put(known) : false;
      const host = known ?? (await this.#findWay());
      this.#lookedAt = performance.now();
      this.#fault = null;
      this.#part.isUp();
      if (!known) log.info({ way: host.way }, `the network guard is in place: ${host.way}`);
      if (isOurChange) this.#hasNewRules = false;
      else if (isChanged) log.warn('the network guard was gone from the firewall, or changed: put back');
    } catch (error) {
      this.#host = null;
      // An engine that is away starts no container either, and is told of by itself.
      if (error instanceof ContainersError && error.code === 'DOCKER_UNREACHABLE') throw error;
      this.#fault = guardFault(error);
      this.#part.isDown(this.#fault);
      throw this.#fault;
    }
  }

  /** Puts it in place directly where that is possible, else by a helper. From then on that is the way. */
  async #findWay(): Promise<GuardHost> {
    const { docker, instance, image, imageReady } = this.#settings;
    const { subnet } = await ensureNetwork(docker, instance);
    let refused: unknown = null;
    if (await isOnThisHost(bridgeName(instance), subnet)) {
      try {
        return await this.#take(ownHost(), 'direct');
      } catch (error) {
        refused = error;
      }
    }
    await imageReady();
    try {
      return await this.#take(helperHost(docker, { image, instance }), 'helper');
    } catch (error) {
      throw bothFailed(refused, error, image);
    }
  }

  async #take(host: GuardHost, way: keyof typeof LOOK_AGAIN_MS): Promise<GuardHost> {
    await this.#put(host);
    this.#lookAgainMs = this.#settings.lookAgainMs ?? LOOK_AGAIN_MS[way];
    this.#host = host;
    return host;
  }

  /** @returns whether anything had to be changed */
  async #put(host: GuardHost): Promise<boolean> {
    const nameservers = this.#settings.nameservers ?? (await host.nameservers());
    const { instance, mayReach: open } = this.#settings;
    const { bridges, proxyFrom } = this.#listed;
    const all: Guarded[] = [{ bridge: bridgeName(instance), nameservers, open, proxyFrom }, ...bridges];
    for (let tries = 1; ; tries += 1) {
      const found = await host.look();
      const changeOf = (family: Family): string =>
        [
          ...all.map((guarded) => guardChange(guarded, family, found[family])),
          ...[...this.#gone].map((bridge) => guardRemoval(bridge, found[family])),
        ].join('');
      // Nothing is listed on a host without IPv6.
      const change: Tables = { ipv4: changeOf('ipv4'), ipv6: found.ipv6 === '' ? '' : changeOf('ipv6') };
      if (change.ipv4 === '' && change.ipv6 === '' && found.seesBridges) return tries > 1;
      if (tries > MOST_TRIES) throw new Error('the rules do not stay in the firewall');
      // Where somebody else was faster, the next look shows what is left to do.
      const changing = host.change(change);
      await (tries < MOST_TRIES ? changing.catch(() => undefined) : changing);
      // After the rules, which are of use without it, too.
      if (!found.seesBridges) await seeBridges(host);
    }
  }
}

async function seeBridges(host: GuardHost): Promise<void> {
  await host.seeBridges().catch((error: unknown) => {
    throw new Error(BRIDGES_UNSEEN, { cause: error });
  });
}

async function isOnThisHost(bridge: string, subnet: string): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  return isBridgeHere(await readFile('/proc/self/net/route', 'utf8'), bridge, subnet);
}

function guardFault(error: unknown): ContainersError {
  if (error instanceof ContainersError && error.code === 'NETWORK_GUARD') return error;
  const words = error instanceof Error ? error.message : String(error);
  return new ContainersError(
    'NETWORK_GUARD',
    `The network guard of the containers is not in place: ${words}`,
    {
      cause: error,
    },
  );
}

function bothFailed(direct: unknown, helper: unknown, image: string): unknown {
  if (helper instanceof ContainersError && helper.code === 'DOCKER_UNREACHABLE') return helper;
  const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));
  if (words(helper) === BRIDGES_UNSEEN) return helper;
  const why = /iptables(-restore)?: not found/.test(words(helper))
    ? `the image ${image} has no iptables (GUARD_IMAGE can name one that has)`
    : `a helper container of ${image} failed: ${words(helper)}`;
  return new Error(direct === null ? why : `iptables on this machine failed: ${words(direct)}; ${why}`, {
    cause: helper,
  });
}

/** Takes the rules of these bridges out of the firewall of this machine; through a helper, of the engine's host. */
export async function removeGuard(
  docker: Docker,
  instance: string,
  bridges: readonly string[],
  image: string | null,
): Promise<void> {
  const hosts = [
    ...(process.getuid?.() === 0 ? [ownHost()] : []),
    ...(image === null ? [] : [helperHost(docker, { image, instance })]),
  ];
  for (const host of hosts) {
    // Without iptables there is nothing to remove; a helper may fail as it did when it was to set them.
    const found = await host.look().catch(() => ({ ipv4: '', ipv6: '' }));
    const without = (listed: string): string =>
      bridges.map((bridge) => guardRemoval(bridge, listed) ?? '').join('');
    const change = { ipv4: without(found.ipv4), ipv6: without(found.ipv6) };
    if (change.ipv4 === '' && change.ipv6 === '') continue;
    await host.change(change);
    return;
  }
}
