import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Config } from '../config.ts';
import { isAllowedSender } from '../mail/sender.ts';
import { clockReport } from '../readiness.ts';
import { schemaState, serverFacts, type Db } from '../store/database.ts';
import { readPause } from '../store/pause.ts';
import { listRepositories, type Repository } from '../store/repositories.ts';
import { redisVersion } from '../store/shared-state.ts';
import { listUsers } from '../store/users.ts';
import { checkUpstream } from './check-upstream.ts';
import { withDatabase } from './database.ts';
import { bad, ok, warn, type Check, type Finding, type Surroundings } from './doctor-findings.ts';

/** What the SQL is written for: generated identities, `clock_timestamp`, `jsonb`; 14 is the oldest that is maintained. */
const OLDEST_POSTGRES = 14;

export const storeChecks: readonly Check[] = [
  {
    part: 'PostgreSQL',
    todo: 'Correct DATABASE_URL, or see why the server does not answer.',
    look: lookAtStore,
  },
  {
    part: 'Redis',
    todo: 'Correct REDIS_URL, or see why the server does not answer. Without it commands run all the same.',
    look: async ({ config, secrets }) => {
      if (secrets.redisUrl === null)
        return [embedded('Redis', '/usr/bin/redis-server', join(config.dataDir, 'redis'))];
      return [ok('Redis', `answers, version ${await redisVersion(secrets.redisUrl)}`)];
    },
  },
];

/** @param program that the operating system has to bring */
export function embedded(part: string, program: string, dir: string): Finding {
  const says = `embedded, in ${dir}`;
  if (existsSync(program)) return ok(part, says);
  return bad(
    part,
    `${says}, but ${program} is not there`,
    'Install what is missing: npm run demo does, or scripts/install-debian-packages.sh',
  );
}

async function lookAtStore({ config, now }: Surroundings): Promise<Finding[]> {
  if (config.usesEmbeddedPostgres && !existsSync(join(config.dataDir, 'postgres'))) {
    const says = `embedded, in ${join(config.dataDir, 'postgres')}: made at the first start`;
    return [ok('PostgreSQL', says), noRepositories(), ...userFindings(config, [])];
  }
  return withDatabase(
    async (db) => {
      const facts = await serverFacts(db);
      const findings: Finding[] = [versionFinding(facts.version, config.usesEmbeddedPostgres)];
      const { isReady, detail } = clockReport(facts.now, now());
      findings.push(
        isReady
          ? ok('clock', detail)
          : bad(
              'clock',
              detail,
              'Let both machines follow a time server: idle times are counted by these clocks.',
            ),
      );
      const schema = await schemaState(db);
      findings.push(schemaFinding(schema));
      if (schema.unknown.length > 0 || schema.missing.length > 0) return findings;
      findings.push(...(await lookAtWork(db, config)));
      return findings;
    },
    { migrates: false },
  );
}

export function versionFinding(version: string, isEmbedded: boolean): Finding {
  const says = `${isEmbedded ? 'embedded, ' : ''}answers, version ${version}`;
  if (Number.parseInt(version, 10) >= OLDEST_POSTGRES) return ok('PostgreSQL', says);
  return warn('PostgreSQL', says, `Threadbox is made for ${OLDEST_POSTGRES} and newer: update the server.`);
}

export function schemaFinding(schema: { applied: string[]; missing: string[]; unknown: string[] }): Finding {
  const { applied, missing, unknown } = schema;
  if (unknown.length > 0) {
    const says = `made by a newer Threadbox: ${unknown.join(', ')} are unknown to this one`;
    return bad('tables', says, 'Update this Threadbox, or restore a backup made before.');
  }
  if (applied.length === 0) return ok('tables', 'none yet: made at the first start');
  if (missing.length > 0) {
    const todo =
      'The next start brings them up to date, and there is no way back: threadbox backup FILE before.';
    return warn('tables', `of an older Threadbox: ${missing.join(', ')} to come`, todo);
  }
  return ok('tables', `up to date (${applied.at(-1)})`);
}

async function lookAtWork(db: Db, config: LetIn): Promise<Finding[]> {
  const repositories = await listRepositories(db);
  const users = await listUsers(db);
  const pause = await readPause(db);
  return [
    ...(pause ? [warn('paused', pause.reason || 'no command is started', 'threadbox resume')] : []),
    ...userFindings(
      config,
      users.map(({ address }) => address),
    ),
    ...(repositories.length === 0 ? [noRepositories()] : []),
    ...(await Promise.all(repositories.map(lookAtUpstream))),
  ];
}

const noRepositories = (): Finding =>
  warn('repository', 'there is none to run commands in', 'threadbox repo add NAME URL');

type LetIn = Pick<Config, 'allowedSenders' | 'adminAddresses'>;

function userFindings({ allowedSenders, adminAddresses }: LetIn, registered: readonly string[]): Finding[] {
  const todo = 'threadbox user add ADDRESS, or set ALLOWED_SENDERS';
  const shutOut = adminAddresses.filter(
    (address) => !isAllowedSender(address, allowedSenders, registered.includes(address)),
  );
  const admins = shutOut.map((address) =>
    warn('users', `${address} is in ADMIN_ADDRESSES, and mail from there is dropped all the same`, todo),
  );
  if (allowedSenders.length === 0 && registered.length === 0)
    return [warn('users', 'nobody may have commands run', todo), ...admins];
  const listed = allowedSenders.length > 0 ? `; ALLOWED_SENDERS: ${allowedSenders.join(', ')}` : '';
  return [ok('users', `${registered.length} registered${listed}`), ...admins];
}

async function lookAtUpstream({ name, url, branch }: Repository): Promise<Finding> {
  try {
    const { isEmpty } = await checkUpstream(url, branch);
    return ok('repository', `${name}: can be read${isEmpty ? ', has no commit yet' : ''}`);
  } catch (error) {
    // Without its last line, which is about registering one.
    const words = (error as Error).message.split('\n').filter((line) => !line.startsWith('Nothing was '));
    const todo =
      'Until then commands run on what was fetched before; a new thread cannot begin where nothing was.';
    return bad('repository', `${name}: ${words.join('\n')}`, todo);
  }
}
