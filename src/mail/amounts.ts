/** A duration for a person: `0.04 s`, `1.2 s`, `2 min 5 s`, `1 h 3 min`. */
export function durationInWords(durationMs: number): string {
  const seconds = Math.max(0, durationMs) / 1000;
  if (seconds < 0.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return withRest(Math.floor(whole / 60), 'min', whole % 60, 's');
  const minutes = Math.round(seconds / 60);
  return withRest(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
}

/** The same as it is typed in a mail: `2h`, `90m`, `45s`. */
export function durationToType(durationMs: number): string {
  const seconds = Math.round(durationMs / 1000);
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

/** A size for a person, in powers of 1024: `512 bytes`, `24 KB`, `3.1 MB`. */
export function sizeInWords(sizeBytes: number): string {
  if (sizeBytes < 1024) return plural(sizeBytes, 'byte');
  const units = ['KB', 'MB', 'GB', 'TB'];
  let value = sizeBytes / 1024;
  let unit = 0;
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 9.95 ? value.toFixed(1).replace(/\.0$/, '') : Math.round(value)} ${units[unit]}`;
}

/** `1 file`, `3 files`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function withRest(count: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${count} ${unit}` : `${count} ${unit} ${rest} ${restUnit}`;
}
