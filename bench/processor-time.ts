import { readdir, readFile } from 'node:fs/promises';

/** Of a process and all that it has waited for, in milliseconds (proc(5): clock ticks are hundredths of a second). */
const TICK_MS = 10;

/** Whose work it was: the bot's own, that of PostgreSQL, and that of the mail server. */
export type ProcessorTime = Record<'bot' | 'postgres' | 'mail', number>;

/** What the bot and the servers of the bench have used up until now, in milliseconds of one core. */
export async function processorTime(botPid: number): Promise<ProcessorTime> {
  const processes = new Map<number, { parent: number; name: string; usedMs: number }>();
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    // It may have ended meanwhile.
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    const [, name = '', rest = ''] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? [];
    const fields = rest.split(' ').map(Number);
    const usedTicks = fields.slice(11, 15).reduce((sum, ticks) => sum + ticks, 0);
    if (name !== '')
      processes.set(Number(entry), { parent: fields[1] ?? 0, name, usedMs: usedTicks * TICK_MS });
  }
  const used: ProcessorTime = { bot: 0, postgres: 0, mail: 0 };
  for (const [pid, { name, usedMs }] of processes) {
    const whose = pid === botPid ? 'bot' : serverOf(name);
    if (whose !== null && isBelow(processes, pid, process.pid)) used[whose] += usedMs;
  }
  return used;
}

function serverOf(name: string): 'postgres' | 'mail' | null {
  if (name.startsWith('postgres')) return 'postgres';
  return /^(?:dovecot|imap|imap-login|auth|anvil|stats|log|lmtp|config)$/.test(name) ? 'mail' : null;
}

function isBelow(processes: ReadonlyMap<number, { parent: number }>, pid: number, above: number): boolean {
  for (let at = pid; at > 1; at = processes.get(at)?.parent ?? 0) if (at === above) return true;
  return false;
}
