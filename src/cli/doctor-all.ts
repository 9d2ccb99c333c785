import { ConfigError, loadConfig, readEnvironment } from '../config.ts';
import { engineChecks } from './doctor-engine.ts';
import { bad, lookAtAll, ok, tell, type Check, type Finding } from './doctor-findings.ts';
import { hostChecks } from './doctor-host.ts';
import { mailChecks } from './doctor-mail-servers.ts';
import { storeChecks } from './doctor-store.ts';

/** All that is looked at, in the order it is told. Another thing to check is another entry. */
const checks: readonly Check[] = [...hostChecks, ...storeChecks, ...mailChecks, ...engineChecks];

/** Looks at every part and setting, and changes nothing. @returns the exit code: 1 where something is bad */
export async function examineAll({ asJson }: { asJson: boolean }): Promise<number> {
  const settings = lookAtSettings();
  const usable = usableSettings();
  const others = usable ? await lookAtAll(checks, { ...usable, now: () => new Date() }) : [];
  return tell([...settings, ...others], asJson);
}

function lookAtSettings(): Finding[] {
  try {
    loadConfig(readEnvironment());
    return [ok('settings', 'can be used')];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const todo = 'Correct it in the environment or in .env: .env.example explains each.';
    return error.faults.map((fault) => bad('settings', fault, todo));
  }
}

/** Also before it is settled how senders are verified. @returns null where one cannot go on with them */
function usableSettings(): ReturnType<typeof loadConfig> | null {
  try {
    return loadConfig(readEnvironment(), { isForBot: false });
  } catch (error) {
    if (error instanceof ConfigError) return null;
    throw error;
  }
}
