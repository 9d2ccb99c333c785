import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { LEAST_FREE_BYTES } from '../containers/disk-room.ts';
import { bad, ok, warn, type Check, type Finding } from './doctor-findings.ts';

const run = promisify(execFile);

const LITTLE_FREE_BYTES = 2 * 2 ** 30;

export const hostChecks: readonly Check[] = [
  {
    part: 'Node',
    todo: 'Install Node 24 or newer, or run npm ci, which brings one.',
    // oxlint-disable-next-line typescript/require-await -- a check is awaited, whatever it looks at
    look: async () => [ok('Node', process.versions.node)],
  },
  {
    part: 'git',
    todo: 'Install git.',
    look: async () => {
      const { stdout } = await run('git', ['--version']);
      return [gitFinding(stdout.trim())];
    },
  },
  {
    part: 'DATA_DIR',
    todo: 'Correct DATA_DIR, or let this user write there.',
    look: async ({ config }) => lookAtDataDir(resolve(config.dataDir)),
  },
  {
    part: 'API',
    todo: 'Correct HTTP_LISTEN.',
    look: async ({ config }) => lookAtApi(config.http),
  },
];

/** `git ls-remote --heads` with patterns, `init --object-format` and `--no-write-fetch-head`: 2.29, of 2020. */
export function gitFinding(said: string): Finding {
  const [, major = '0', minor = '0'] = /(\d+)\.(\d+)/.exec(said) ?? [];
  const isNewEnough = Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 29);
  return isNewEnough ? ok('git', said) : bad('git', `${said} is too old`, 'Install git 2.29 or newer.');
}

async function lookAtDataDir(dir: string): Promise<Finding[]> {
  const existing = await nearestExisting(dir);
  try {
    await access(existing, constants.W_OK | constants.X_OK);
  } catch {
    const todo = 'Let the user who runs Threadbox write there, or set DATA_DIR to another place.';
    return [bad('DATA_DIR', `${existing} cannot be written by this user`, todo)];
  }
  const isNew = existing !== dir;
  const { mode, uid } = await stat(existing);
  const findings: Finding[] = [ok('DATA_DIR', isNew ? `${dir} will be made` : dir)];
  if (!isNew && (mode & 0o022) !== 0) {
    const todo = `Nobody else should write there: chmod go-w ${dir}`;
    findings.push(warn('DATA_DIR', `${dir} can be written by others`, todo));
  }
  if (!isNew && uid !== process.getuid?.()) {
    findings.push(
      warn('DATA_DIR', `${dir} belongs to another user (${uid})`, 'Run this as the user who runs the bot.'),
    );
  }
  const { bavail, bsize } = await statfs(existing);
  findings.push(diskFinding('DATA_DIR', bavail * bsize));
  return findings;
}

export function diskFinding(of: string, freeBytes: number): Finding {
  const free = `${Math.floor(freeBytes / 2 ** 20)} MB free on the disk of ${of}`;
  if (freeBytes < LEAST_FREE_BYTES)
    return bad('disk', `only ${free}`, 'Make room: saves and answers need it.');
  if (freeBytes < LITTLE_FREE_BYTES) return warn('disk', free, 'Make room before it fills: 2 GB are little.');
  return ok('disk', free);
}

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    const isThere = await stat(at).then(
      () => true,
      () => false,
    );
    if (isThere || at === dirname(at)) return at;
  }
}

async function lookAtApi(http: { host: string; port: number } | null): Promise<Finding[]> {
  if (!http) return [ok('API', 'off (HTTP_LISTEN)')];
  const { host, port } = http;
  const isOwn = /^(127\.|::1$|localhost$)/.test(host);
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const findings: Finding[] = isOwn
    ? []
    : [
        warn(
          'API',
          `listens on ${where}, beyond this machine`,
          'Let only a proxy that speaks TLS reach it: docs/api.md.',
        ),
      ];
  const asked = /^(0\.0\.0\.0|::|)$/.test(host) ? `127.0.0.1:${port}` : where;
  const answer = await fetch(`http://${asked}/healthz`, { signal: AbortSignal.timeout(5_000) }).catch(
    () => null,
  );
  if (!answer) findings.push(ok('API', `${where}: nobody answers there; the bot does when it runs`));
  else if (answer.ok) findings.push(ok('API', `${where}: answers`));
  else {
    const todo = 'Give Threadbox another port: HTTP_LISTEN.';
    findings.push(bad('API', `${where}: another program answers there (${answer.status})`, todo));
  }
  return findings;
}
