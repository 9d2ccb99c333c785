import type { Config, Secrets } from '../config.ts';
import { visibleLine } from '../mail/visible-text.ts';
import { withCauses } from './explain.ts';
import { printJson } from './table.ts';

/** `warn`: it works, and somebody should know; `bad`: it does not. */
type Level = 'ok' | 'warn' | 'bad';

export type Finding = { level: Level; part: string; says: string; todo: string | null };

/** What a check may look at. */
export type Surroundings = { config: Config; secrets: Secrets; now: () => Date };

/** One thing to look at. What it throws is a finding, too: bad. */
export type Check = {
  part: string;
  /** What helps when it cannot be done at all. */
  todo: string;
  look: (surroundings: Surroundings) => Promise<Finding[]>;
};

export const ok = (part: string, says: string): Finding => ({ level: 'ok', part, says, todo: null });
export const warn = (part: string, says: string, todo: string): Finding => ({
  level: 'warn',
  part,
  says,
  todo,
});
export const bad = (part: string, says: string, todo: string): Finding => ({
  level: 'bad',
  part,
  says,
  todo,
});

const MOST_MS = 60_000;

/** Does all checks side by side, none for longer than a minute. In the order of the checks. */
export async function lookAtAll(checks: readonly Check[], surroundings: Surroundings): Promise<Finding[]> {
  const findings = await Promise.all(
    checks.map(async ({ part, todo, look }) => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${MOST_MS / 1000} s`)), MOST_MS);
      });
      try {
        return await Promise.race([look(surroundings), late]);
      } catch (error) {
        return [bad(part, withCauses(error), todo)];
      } finally {
        clearTimeout(timer);
      }
    }),
  );
  return findings.flat();
}

/** @returns the exit code: 1 where something is bad */
export function tell(findings: readonly Finding[], asJson: boolean): number {
  const isGood = findings.every(({ level }) => level !== 'bad');
  if (asJson) printJson({ isGood, findings });
  else console.log(inWords(findings));
  return isGood ? 0 : 1;
}

/** A line for each finding, and below it what to do. */
function inWords(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ part }) => part.length));
  const indent = ' '.repeat(width + 8);
  const lines = findings.flatMap(({ level, part, says, todo }) => [
    `${level.padEnd(4)}  ${part.padEnd(width)}  ${shown(says, indent)}`,
    ...(todo === null ? [] : [`${indent}-> ${shown(todo, `${indent}   `)}`]),
  ]);
  return [...lines, '', summary(findings)].join('\n');
}

const shown = (text: string, indent: string): string =>
  text
    .split('\n')
    .map((line) => visibleLine(line, 500))
    .join(`\n${indent}`);

function summary(findings: readonly Finding[]): string {
  const count = (wanted: Level): number => findings.filter(({ level }) => level === wanted).length;
  const [wrong, doubted] = [count('bad'), count('warn')];
  if (wrong === 0 && doubted === 0) return 'All is well.';
  const parts = [
    ...(wrong > 0 ? [`${wrong} to be put right`] : []),
    ...(doubted > 0 ? [`${doubted} to think about`] : []),
  ];
  return `${parts.join(', ')}.`;
}
