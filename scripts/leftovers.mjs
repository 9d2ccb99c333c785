// Finds and removes what a run of the tests has left behind: processes, whatever their parents are by now, things on the
// engine, and loop devices. What others do at the same time, on this machine or on the same engine, is left alone.
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeInstallation } from '../src/containers/remove-installation.ts';

/** Given to all processes of the run in their environment, which nothing inside is likely to change. */
export const runMark = { name: 'THREADBOX_TEST_RUN', value: randomUUID() };

/** What a process may take to end by itself after its parent has. */
const GRACE_MS = 10_000;

/** A directory for the temporary files of a run, as open as /tmp. Its name is short, for the sockets in it. */
export function makeTemporaryDir() {
  const dir = mkdtempSync(join(tmpdir(), 'tb-'));
  chmodSync(dir, 0o1777);
  return dir;
}

/**
 * Waits a moment for the processes of this run to end by themselves, then kills those that do not.
 *
 * @param {string} dir the temporary directory of the run
 * @returns {Promise<string[]>} a line for each that had to be killed
 */
export async function endLeftovers(dir) {
  const deadline = Date.now() + GRACE_MS;
  while (processesOfRun(dir).length > 0 && Date.now() < deadline) await sleep(50);
  const left = processesOfRun(dir);
  for (const { pid } of left) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended in this very moment.
    }
  }
  return left.map(({ pid, command }) => `process ${pid}: ${command}`);
}

/**
 * By their environment, by where they are, or by what their command line names: servers have environments of their own.
 *
 * @param {string} dir
 * @returns {{ pid: number, command: string }[]}
 */
function processesOfRun(dir) {
  const mark = `${runMark.name}=${runMark.value}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const command = ifReadable(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
      const cwd = ifReadable(() => readlinkSync(`/proc/${pid}/cwd`));
      const environment = ifReadable(() => readFileSync(`/proc/${pid}/environ`, 'utf8')).split('\0');
      const isOurs =
        environment.includes(mark) || command.includes(`${dir}/`) || `${cwd}/`.startsWith(`${dir}/`);
      return isOurs ? [{ pid: Number(pid), command: command.replaceAll('\0', ' ').trim() }] : [];
    });
}

/**
 * Other users' processes cannot be read, and any may end while we look.
 *
 * @param {() => string} read
 */
function ifReadable(read) {
  try {
    return read();
  } catch {
    return '';
  }
}

/**
 * Notes the installations whose containers are made from now on with something of `dir` in them: those of this run.
 * Another bot or run of tests on the same engine has its data elsewhere, and keeps its workspaces.
 *
 * @param {import('../src/containers/client.ts').Docker} docker
 * @param {string} dir the temporary directory of the run
 * @returns {Promise<() => Promise<string[]>>} removes what is left of them, with a line for each thing
 */
export async function watchEngine(docker, dir) {
  /** @type {Set<string>} */
  const installations = new Set();
  /** @param {string} id */
  const note = async (id) => {
    try {
      const { Config, Mounts } = await docker.getContainer(id).inspect();
      const installation = Config.Labels['threadbox.instance'];
      if (installation && Mounts.some(({ Source }) => Source?.startsWith(`${dir}/`)))
        installations.add(installation);
    } catch {
      // It went as fast as it came.
    }
  };
  const filters = JSON.stringify({ type: ['container'], event: ['create'], label: ['threadbox.instance'] });
  const events = /** @type {import('node:stream').Readable} */ (await docker.getEvents({ filters }));
  events.on('error', () => undefined);
  createInterface({ input: events })
    .on('line', (line) => void note(JSON.parse(line).id))
    .on('error', () => undefined);
  return async () => {
    events.destroy();
    /** @type {string[]} */
    const left = [];
    for (const installation of installations) {
      const of = { filters: JSON.stringify({ label: [`threadbox.instance=${installation}`] }) };
      const containers = await docker.listContainers({ all: true, ...of });
      const { Volumes: volumes } = await docker.listVolumes(of);
      const networks = await docker.listNetworks(of);
      left.push(
        ...containers.map(({ Names }) => `container ${Names.join(' ')}`),
        ...volumes.map(({ Name }) => `volume ${Name}`),
        ...networks.map(({ Name }) => `network ${Name}`),
      );
      await removeInstallation(docker, installation);
    }
    return left;
  };
}

/**
 * Detaches the loop devices whose files are in `dir`. Their containers must have gone: one that is still mounted stays until
 * it is not.
 *
 * @param {string} dir the temporary directory of the run
 * @returns {string[]} a line for each
 */
export function detachLoops(dir) {
  const { stdout } = spawnSync('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'], {
    encoding: 'utf8',
  });
  // No losetup, no loop devices of ours.
  const devices = (stdout ?? '').split('\n').filter((line) => line.includes(`${dir}/`));
  for (const line of devices) spawnSync('losetup', ['--detach', line.split(/\s/)[0] ?? '']);
  return devices.map((line) => `loop device ${line.replaceAll(/\s+/g, ' ')}`);
}
