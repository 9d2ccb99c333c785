// Runs the pinned Node with the given arguments, with DOCKER_HOST and CONTAINER_IMAGE set to an engine that answers
// and an image it has. What was started for it is stopped afterwards, also after a failure or Ctrl-C.
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_IMAGE } from '../src/config-schema.ts';
import { connectDocker } from '../src/containers/client.ts';
import { ensureImage } from '../src/containers/image.ts';
import { defaultEngineDir, ensureEngine } from '../src/embedded/engine.ts';
import { startPostgres } from '../src/embedded/postgres.ts';
import { createLog } from '../src/log.ts';
import { detachLoops, endLeftovers, makeTemporaryDir, runMark, watchEngine } from './leftovers.mjs';

const stopping = new AbortController();
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => stopping.abort());
}

const image = process.env['CONTAINER_IMAGE'] || DEFAULT_IMAGE;
const engineDir = defaultEngineDir();
try {
  process.exitCode = await withEngine();
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
// The build of an image that was interrupted ends with this process.
if (stopping.signal.aborted) process.exit(130);

async function withEngine() {
  const dockerHost = process.env['DOCKER_HOST'] || null;
  const engine = await ensureEngine({ dockerHost, engineDir, log: createLog('info') });
  try {
    const ready = ensureImage(connectDocker(engine.dockerHost), {
      image,
      engineDir,
      onProgress: console.log,
    });
    await Promise.race([ready, stopped()]);
    return stopping.signal.aborted ? 130 : await run(engine.dockerHost);
  } finally {
    await engine.close();
  }
}

/** @param {string} dockerHost */
async function run(dockerHost) {
  const dir = makeTemporaryDir();
  const removeFromEngine = await watchEngine(connectDocker(dockerHost), dir);
  const own = { DOCKER_HOST: dockerHost, CONTAINER_IMAGE: image, TMPDIR: dir, [runMark.name]: runMark.value };
  // Test files and bots in processes of their own compile the same sources. Not for the bench: users have none.
  const isForTests = process.argv.some((word) => word === '--test' || word.endsWith('/run-tests.mjs'));
  const shared = isForTests
    ? { NODE_COMPILE_CACHE: join(dir, 'compiled'), TEST_POSTGRES: await makePostgres(join(dir, 'postgres')) }
    : {};
  const child = spawn(process.execPath, process.argv.slice(2), {
    stdio: 'inherit',
    env: { ...process.env, ...own, ...shared },
  });
  // Whoever pressed Ctrl-C has told the child as well; whoever sent a signal to us alone has not.
  stopping.signal.addEventListener('abort', () => child.kill('SIGTERM'));
  /** @type {number | null} */
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', resolve);
  });
  const leftovers = [...(await endLeftovers(dir)), ...(await removeFromEngine()), ...detachLoops(dir)];
  // Not into anything that is still mounted there.
  const { status } = spawnSync('rm', ['-rf', '--one-file-system', dir], { stdio: 'inherit' });
  if (status !== 0) leftovers.push(`directory ${dir}`);
  if (stopping.signal.aborted) return 130;
  for (const leftover of leftovers) process.stderr.write(`Left behind by the run: ${leftover}\n`);
  return leftovers.length > 0 ? 1 : (code ?? 1);
}

/**
 * An empty PostgreSQL that all tests begin with a copy of, each on a port of its own.
 *
 * @param {string} dir
 */
async function makePostgres(dir) {
  const postgres = await startPostgres({ dir, log: createLog('silent') });
  const { password } = new URL(postgres.url);
  await postgres.close();
  writeFileSync(join(dir, 'access.json'), JSON.stringify({ port: null, password }), { mode: 0o600 });
  return dir;
}

/** @returns {Promise<void>} */
function stopped() {
  return new Promise((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve());
  });
}
