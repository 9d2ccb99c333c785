import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, rename, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { AllowProxy, Refused, ServedList } from '../containers/allow-lists.ts';
import type { Log } from '../log.ts';
import { SYSTEM_PATH } from '../root.ts';
import { freePort, PORT_TAKEN, recall, remember } from './access.ts';
import { keepRunning, type Kept } from './keep-running.ts';
import { Refusals } from './refusals.ts';
import { chooseUser, makePartDir, type RunAs } from './run-as.ts';
import { isInstalled, startServer, type Server } from './server-process.ts';
import { faultIn, probeHost, readLine, squidConfig, type SquidSettings } from './squid-config.ts';
import { throwawayCertificate } from './throwaway-certificate.ts';

const NAME = 'the proxy';
export const PROXY_PACKAGE = { program: 'squid', packages: 'squid-openssl', isOnDemand: true };

export type ProxySettings = Pick<SquidSettings, 'nameservers' | 'mayReach'> & { dir: string; log: Log };

type Place = { runAs: RunAs; lockPath: string; config: string; certificate: string };

/** A configuration is in force a tenth of a second after it was told of. */
const SERVES_WITHIN_MS = 15_000;
const CHECK_LIMIT_MS = 10_000;
const ASK_AGAIN_MS = 20;
const PROBE_TIMEOUT_MS = 2_000;
/** What was asked for before is in the log by then. */
const LOG_WITHIN_MS = 1_000;

/** For another user to read, whatever the umask. */
async function writeReadable(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await chmod(path, 0o644);
}

/** Debian's Squid as the proxy of allow-lists, as another user than root; it ends with `close` or with this process. */
export class SquidProxy implements AllowProxy {
  readonly #settings: ProxySettings;
  readonly #refusals = new Refusals();
  readonly #seen = new Map<string, () => void>();
  #place: Place | null = null;
  #port: number | null = null;
  #kept: Kept | null = null;
  #server: Server | null = null;
  #isClosed = false;

  constructor(settings: ProxySettings) {
    this.#settings = settings;
  }

  /** The one it had before, so that what runs in containers finds it again after a restart. */
  async port(): Promise<number> {
    this.#port ??= (await recall<{ port: number }>(this.#portFile))?.port ?? null;
    if (this.#port === null) await this.#takePort(await freePort());
    return this.#port as number;
  }

  isServing(): boolean {
    return this.#server !== null;
  }

  async serve(lists: readonly ServedList[], from: string): Promise<void> {
    const { nameservers, mayReach } = this.#settings;
    this.#place ??= await this.#prepare();
    const { config, certificate } = this.#place;
    const port = await this.port();
    const { text, mark } = squidConfig({ lists, port, from, nameservers, mayReach, certificate });
    await writeReadable(`${config}.new`, text);
    await this.#check(`${config}.new`, this.#place.runAs);
    await rename(`${config}.new`, config);
    if (this.#kept) this.#server?.reload();
    else await this.#start(this.#place);
    const last = lists.at(-1);
    if (last) await this.#untilServing(last, mark);
  }

  /** A configuration that it cannot read would end it, and with it what all other lists have. */
  async #check(config: string, runAs: RunAs): Promise<void> {
    // Of that `startServer` tells.
    if (!isInstalled(PROXY_PACKAGE.program)) return;
    const [setpriv, ...options] = runAs.command('SIGKILL') as [string, ...string[]];
    const args = [...options, 'squid', '-k', 'parse', '-f', config];
    const limits = { timeout: CHECK_LIMIT_MS, killSignal: 'SIGKILL' as const, maxBuffer: 8 << 20 };
    const env = { PATH: SYSTEM_PATH, LC_ALL: 'C', TZ: 'UTC' };
    try {
      await promisify(execFile)(setpriv, args, { ...limits, cwd: '/', env });
    } catch (error) {
      const { stderr = '', message } = error as Error & { stderr?: string };
      throw new Error(`the proxy does not take its configuration: ${faultIn(stderr) ?? message}`, {
        cause: error,
      });
    }
  }

  async refusedSince(client: string, sinceMs: number, { gateway }: ServedList): Promise<Refused[]> {
    const host = probeHost(randomBytes(8).toString('hex'));
    const seen = Promise.withResolvers<void>();
    this.#seen.set(host, seen.resolve);
    const late = setTimeout(seen.resolve, LOG_WITHIN_MS);
    // Its line is written after those of all requests that were answered before.
    await this.#probe(gateway, host).then(
      () => seen.promise,
      (error: unknown) => this.#settings.log.debug({ err: error }, 'the proxy says nothing'),
    );
    clearTimeout(late);
    this.#seen.delete(host);
    return this.#refusals.since(client, sinceMs);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#kept?.close();
  }

  get #portFile(): string {
    return join(this.#settings.dir, 'port.json');
  }

  async #takePort(port: number): Promise<void> {
    await makePartDir(this.#settings.dir);
    await remember(this.#portFile, { port });
    this.#port = port;
  }

  async #prepare(): Promise<Place> {
    const { dir } = this.#settings;
    if (/[\s"'\\#]/.test(dir)) throw new Error(`Expected a DATA_DIR without blanks and quotes, got ${dir}`);
    // Ours, for its user to read: who has broken into the proxy has nothing in it that we would write through.
    const { lockPath } = await makePartDir(dir);
    const runAs = await chooseUser([dir]);
    const certificate = join(dir, 'certificate.pem');
    await writeReadable(certificate, throwawayCertificate());
    return { runAs, lockPath, config: join(dir, 'squid.conf'), certificate };
  }

  async #start({ runAs, lockPath, config }: Place): Promise<void> {
    const { log } = this.#settings;
    // What it shares in memory has the name of its service, and stays there when it is killed: another's is in the way.
    const service = `threadbox${await this.port()}`;
    // It opens its log by name: a pipe of ours is not for its user to open, one of its own is.
    const piped = ['bash', '-c', 'exec "$@" > >(exec cat)', 'bash'];
    const program = {
      name: NAME,
      command: [...piped, 'squid', '-N', '-d1', '-n', service, '-f', config],
      debian: PROXY_PACKAGE,
      runAs,
      onOutput: (line: string): void => this.#read(line),
      isReadyLine: (line: string): boolean => line.includes('Accepting SSL bumped HTTP Socket connections'),
      stopSignal: 'SIGTERM' as const,
      lockPath,
    };
    const start = async (signal: AbortSignal): Promise<Server> => {
      const server = await startServer(program, log, signal);
      this.#server = server;
      void server.ended.then(() => {
        if (this.#server === server) this.#server = null;
      });
      return server;
    };
    try {
      this.#kept = await keepRunning(NAME, start, log);
    } catch (error) {
      // The rules of the network guard name the port as well: all of it is done once more, with another.
      if ((error as NodeJS.ErrnoException).code === PORT_TAKEN) await this.#takePort(await freePort());
      throw error;
    }
    if (this.#isClosed) await this.#kept.close();
  }

  async #untilServing({ gateway }: ServedList, mark: string): Promise<void> {
    const deadlineAt = performance.now() + SERVES_WITHIN_MS;
    for (;;) {
      const said = await this.#probe(gateway, probeHost('which')).catch((error: Error) => error);
      if (said === mark) return;
      if (performance.now() > deadlineAt || this.#isClosed) {
        const cause = said instanceof Error ? said : new Error(`it is still ${said ?? 'another'}`);
        throw new Error(`the proxy does not serve ${gateway}: ${cause.message}`, { cause });
      }
      await pause(ASK_AGAIN_MS);
    }
  }

  /** @returns what the proxy calls itself */
  async #probe(gateway: string, host: string): Promise<string | null> {
    const port = await this.port();
    const options = { host: gateway, port, path: `http://${host}/`, headers: { host }, agent: false };
    return new Promise((resolve, reject) => {
      const request = get({ ...options, timeout: PROBE_TIMEOUT_MS }, (response) => {
        response.resume();
        response.once('error', reject);
        const cache = response.headers['x-cache'];
        response.once('end', () => resolve(String(cache).split(' ').at(-1) ?? null));
      });
      request.once('timeout', () => request.destroy(new Error('it does not answer')));
      request.once('error', reject);
    });
  }

  #read(line: string): void {
    const read = readLine(line);
    if (read === null) return;
    const seen = this.#seen.get(read.host);
    if (seen) seen();
    else if (read.isRefused) this.#refusals.note(read.client, read.what, performance.now());
  }
}
