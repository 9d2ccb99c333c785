import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, beforeEach, it } from 'node:test';
import { AllowLists, type AllowListParts } from '../../src/containers/allow-lists.ts';
import { listedBridgeName, listedNetworkName } from '../../src/containers/names.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { collectedLog } from '../support/collected-log.ts';
import { docker, image } from './rig.ts';

// With the networks of a real engine; what the guard and the proxy are told is written down.

const instance = `test-${randomBytes(5).toString('hex')}`;
after(() => removeInstallation(docker, instance));

let closed: string[];
/** All that were ever closed: what is named once goes with its rules when it is named no more. */
let known: Set<string>;
let served: string[][];
let isProxyThere: boolean;
let withList: number[];
beforeEach(() => {
  closed = [];
  known = new Set();
  served = [];
  isProxyThere = true;
  withList = [];
});

function newLists(): AllowLists {
  const guard: AllowListParts['guard'] = {
    expectInPlace: () => Promise.resolve(),
    closeListed: (bridges) => {
      closed = bridges.map(({ bridge }) => bridge).toSorted();
      for (const bridge of closed) known.add(bridge);
      return Promise.resolve();
    },
  };
  const proxy: AllowListParts['proxy'] = {
    port: () => Promise.resolve(15_432),
    serve: (lists) => {
      if (!isProxyThere) return Promise.reject(new Error('squid is not installed'));
      served.push(lists.map(({ repositoryId, hosts }) => `${repositoryId} ${hosts.join()}`));
      return Promise.resolve();
    },
    isServing: () => true,
    refusedSince: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  };
  const repositories = () =>
    Promise.resolve(withList.map((id) => ({ id, network: 'allow:x.example' as const, hasContainer: false })));
  return new AllowLists({ docker, instance, guard, proxy, repositories, log: collectedLog().log });
}

/** The engine lists networks in no order. */
const bridges = (...ids: number[]): string[] => ids.map((id) => listedBridgeName(instance, id)).toSorted();
const remove = (id: number) => docker.getNetwork(listedNetworkName(instance, id)).remove();
const isThere = (id: number): Promise<boolean> =>
  docker
    .getNetwork(listedNetworkName(instance, id))
    .inspect()
    .then(
      () => true,
      () => false,
    );

it('a network that was pruned holds up no other list, and is made again when its own is asked for', async () => {
  withList = [1, 2];
  const lists = newLists();
  await lists.ensure({ id: 1, network: 'allow:one.example' });
  await lists.ensure({ id: 2, network: 'allow:two.example' });
  assert.deepEqual([served.at(-1), closed], [['1 one.example', '2 two.example'], bridges(1, 2)]);
  await remove(1);
  await lists.ensure({ id: 2, network: 'allow:other.example' });
  assert.deepEqual([served.at(-1), closed], [['2 other.example'], bridges(2)]);
  await lists.ensure({ id: 1, network: 'allow:one.example' });
  assert.deepEqual([served.at(-1), closed], [['2 other.example', '1 one.example'], bridges(1, 2)]);
  const times = served.length;
  await lists.ensure({ id: 1, network: 'allow:one.example' }, { looks: true });
  assert.equal(served.length, times);
  await lists.close();
});

it('before a container is started for a save its network is closed, with all others there are; no proxy is needed', async () => {
  withList = [1, 2, 3];
  isProxyThere = false;
  const lists = newLists();
  await lists.ensureRules(3);
  assert.deepEqual([served, closed], [[], bridges(1, 2, 3)]);
  const waiting = lists.ensure({ id: 3, network: 'allow:three.example' });
  await assert.rejects(waiting, { code: 'NETWORK_GUARD', message: /squid is not installed/ });
  await lists.close();
});

it('the network of a repository goes when that has neither a list nor a container, running or not', async () => {
  const Labels = { 'threadbox.instance': instance };
  const HostConfig = { NetworkMode: listedNetworkName(instance, 2) };
  const container = await docker.createContainer({ Image: image, Labels, HostConfig, Cmd: ['true'] });
  await container.start();
  await container.wait();
  withList = [3, 4];
  const lists = newLists();
  lists.begin();
  await lists.ensure({ id: 3, network: 'allow:three.example' });
  assert.deepEqual([await isThere(1), await isThere(2), await isThere(3)], [false, true, true]);
  assert.deepEqual([served.at(-1), closed], [['3 three.example'], bridges(2, 3)]);
  assert.deepEqual([...known].toSorted(), bridges(1, 2, 3), 'the rules of the one that went are known');

  await lists.ensure({ id: 4, network: 'allow:four.example' });
  withList = [4];
  await lists.tidy();
  assert.deepEqual([await isThere(2), await isThere(3), await isThere(4)], [true, false, true]);
  assert.deepEqual([served.at(-1), closed], [['4 four.example'], bridges(2, 4)]);
  await container.remove();
  withList = [];
  await lists.tidy();
  assert.deepEqual([await isThere(2), await isThere(4), closed], [false, false, []]);
  await lists.close();
});
