import { spawn } from 'node:child_process';
import { url as inspectorUrl } from 'node:inspector';
import { SYSTEM_PATH } from './root.ts';
import type { Log } from './log.ts';

export type Watchdog = { close: () => void };

/** Whatever is done in one piece takes seconds at the most; a busy machine may make it ten times as long. */
const STILL_MS = 120_000;
/** After a machine that was asleep, or a process that was stopped and goes on, there is time for a beat. */
const SECOND_CHANCE_MS = 15_000;
const BEAT_MS = 5_000;

/**
 * $1, $2: seconds. Kills what has started it, and not when that has ended: then there is nothing more to be read; nor while
 * somebody has it stopped (proc(5): T, or t by a debugger), nor when its last beat said that a debugger of JavaScript may do so:
 * to the kernel that one looks like any other wait.
 */
const SCRIPT = `
is_held() {
  [ "$last" != inspected ] || return 0
  read -r stat <"/proc/$PPID/stat" && case "\${stat##*) }" in [Tt]*) return 0 ;; esac
  return 1
}
while :; do
  read -r -t "$1" beat && { last=$beat; continue; }
  [ $? -gt 128 ] || exit 0
  is_held && continue
  read -r -t "$2" beat && { last=$beat; continue; }
  [ $? -gt 128 ] || exit 0
  is_held && continue
  printf '{"level":60,"time":%s000,"msg":"%s"}\\n' "$EPOCHSECONDS" "$3" &
  sleep 0.2
  kill -KILL "$PPID"
  exit
done`;

/**
 * Ends this process when it has stood still for so long: when something in it goes round in circles, no mail is read, no timer
 * fires and no signal is heard, and nothing in it could tell. Whoever keeps it running starts it again, and what was in hand
 * is suspect then, as after any other end. Not while it can be debugged (`--inspect`, or SIGUSR1). A process of its own watches: a thread would cost five times the memory.
 */
export function startWatchdog(
  log: Log,
  { stillMs = STILL_MS, secondChanceMs = SECOND_CHANCE_MS, beatMs = BEAT_MS } = {},
): Watchdog {
  const words = `Threadbox stood still for ${Math.round((stillMs + secondChanceMs) / 1000)} seconds and was killed, to be started again`;
  const seconds = [stillMs, secondChanceMs].map((ms) => String(ms / 1000));
  const watcher = spawn('bash', ['-c', SCRIPT, 'threadbox-watchdog', ...seconds, words], {
    stdio: ['pipe', 'inherit', 'ignore'],
    // Not to be stopped and ended by what is typed in a terminal.
    detached: true,
    cwd: '/',
    env: { PATH: SYSTEM_PATH },
  });
  watcher.on('error', (error) => log.warn({ err: error }, 'nobody watches whether Threadbox stands still'));
  // It has ended: what was to be told of that is told, or it was somebody's wish.
  watcher.stdin.on('error', () => {});
  watcher.unref();
  (watcher.stdin as Partial<{ unref: () => void }>).unref?.();
  const beat = setInterval(
    () => watcher.stdin.write(inspectorUrl() === undefined ? '\n' : 'inspected\n'),
    beatMs,
  );
  beat.unref();
  return {
    close() {
      clearInterval(beat);
      watcher.stdin.end();
    },
  };
}
