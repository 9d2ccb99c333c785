import type { Readiness } from '../readiness.ts';
import type { Figures } from '../store/figures.ts';
import type { Histogram, MetricFigures } from '../store/metric-figures.ts';

/** Seconds: a warm command takes less than one, a test suite minutes. */
export const BOUNDS_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 1800] as const;
const MOST_REASONS = 40;

type Sample = { labels?: Readonly<Record<string, string>>; value: number };
type Kind = 'counter' | 'gauge' | 'histogram';

export type MetricFacts = {
  figures: Figures;
  since: MetricFigures;
  readiness: Readiness;
  /** How often each part was lost since the start. */
  losses: Readonly<Record<string, number>>;
  isPaused: boolean;
  watchers: number;
  version: string;
};

/** All of it in the text format of Prometheus (version 0.0.4). */
export function metricsText(facts: MetricFacts): string {
  const { figures, since, readiness, losses } = facts;
  const { containers, commands, saves, outbox } = figures;
  const families: (string | string[])[] = [
    family(
      'messages_total',
      'counter',
      'Mails by direction and what became of them',
      by(since.messages, ['direction', 'outcome']),
    ),
    family('message_bytes_total', 'counter', 'Bytes of mails by direction', bytesOf(since.messages)),
    family(
      'refusals_total',
      'counter',
      'Mails of which nothing was run or answered, by reason',
      refusalsOf(since.refusals),
    ),
    family('commands_total', 'counter', 'Commands by state', by(since.commands, ['state'])),
    family('output_bytes_total', 'counter', 'Bytes that commands have written', [
      { value: since.outputBytes },
    ]),
    family('commands_open', 'gauge', 'Commands that run, and that wait', [
      { labels: { state: 'queued' }, value: commands.queued },
      { labels: { state: 'running' }, value: commands.running },
    ]),
    histogram('command_duration_seconds', 'How long commands ran', since.run),
    histogram('command_wait_seconds', 'From a command to its start', since.wait),
    histogram('answer_seconds', 'From a command to its answer, sent', since.answer),
    family('containers', 'gauge', 'Container sessions that are not over', [
      { labels: { state: 'busy' }, value: containers.busy },
      { labels: { state: 'idle' }, value: containers.active - containers.busy - containers.saveFailed },
      { labels: { state: 'save_failed' }, value: containers.saveFailed },
    ]),
    family('containers_opened_total', 'counter', 'Container sessions ever begun', [
      { value: since.sessionsOpened },
    ]),
    family('saved_states', 'gauge', 'Saved states by state', by(since.savedStates, ['state'])),
    family('saved_states_kept', 'gauge', 'Saved states that are kept', [{ value: saves.kept }]),
    family('outbox_mails', 'gauge', 'Mails that wait to be sent, and that were given up', [
      { labels: { state: 'waiting' }, value: outbox.waiting },
      { labels: { state: 'failed' }, value: outbox.failed },
    ]),
    family('part_up', 'gauge', 'Whether a part is as it should be', partsOf(readiness)),
    family('part_losses_total', 'counter', 'How often a part was lost since the start', lossesOf(losses)),
    family('ready', 'gauge', 'Whether /readyz says so', [{ value: readiness.isReady ? 1 : 0 }]),
    family('paused', 'gauge', 'Whether Threadbox is paused', [{ value: facts.isPaused ? 1 : 0 }]),
    family('watchers', 'gauge', 'Pages and programs that watch events', [{ value: facts.watchers }]),
    family('info', 'gauge', 'The version', [{ labels: { version: facts.version }, value: 1 }]),
  ];
  return `${families.flat().join('\n')}\n`;
}

/** What comes before the first colon, as one word: what follows names addresses and servers, of which there is no end. */
export function reasonKey(reason: string): string {
  const [kind = ''] = reason.split(':');
  const word = kind
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_|_$/g, '');
  return word.slice(0, 60) || 'unknown';
}

function refusalsOf(refusals: MetricFigures['refusals']): Sample[] {
  const counts = new Map<string, number>();
  for (const { reason, count } of refusals) {
    const key = reasonKey(reason);
    const kept = counts.has(key) || counts.size < MOST_REASONS ? key : 'other';
    counts.set(kept, (counts.get(kept) ?? 0) + count);
  }
  return [...counts].map(([reason, value]) => ({ labels: { reason }, value }));
}

function bytesOf(messages: MetricFigures['messages']): Sample[] {
  return ['in', 'out'].map((direction) => ({
    labels: { direction },
    value: messages.filter((one) => one.direction === direction).reduce((sum, { bytes }) => sum + bytes, 0),
  }));
}

const by = <Row extends { count: number }>(
  rows: readonly Row[],
  names: readonly (keyof Row & string)[],
): Sample[] =>
  rows.map((row) => ({
    labels: Object.fromEntries(names.map((name) => [name, String(row[name])])),
    value: row.count,
  }));

const partsOf = ({ parts }: Readiness): Sample[] =>
  Object.entries(parts).map(([part, { isReady }]) => ({ labels: { part }, value: isReady ? 1 : 0 }));

const lossesOf = (losses: MetricFacts['losses']): Sample[] =>
  Object.entries(losses).map(([part, value]) => ({ labels: { part }, value }));

function family(name: string, kind: Kind, help: string, samples: readonly Sample[]): string[] {
  return [...heading(name, kind, help), ...samples.map((sample) => line(name, sample))];
}

function histogram(name: string, help: string, { counts, total, sumSeconds }: Histogram): string[] {
  const buckets = BOUNDS_SECONDS.map((bound, index) => ({
    labels: { le: String(bound) },
    value: counts[index] ?? 0,
  }));
  return [
    ...heading(name, 'histogram', help),
    ...[...buckets, { labels: { le: '+Inf' }, value: total }].map((one) => line(`${name}_bucket`, one)),
    line(`${name}_sum`, { value: sumSeconds }),
    line(`${name}_count`, { value: total }),
  ];
}

const heading = (name: string, kind: Kind, help: string): string[] => [
  `# HELP threadbox_${name} ${help}`,
  `# TYPE threadbox_${name} ${kind}`,
];

function line(name: string, { labels = {}, value }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `threadbox_${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`;
}

const escaped = (text: string): string =>
  text
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', String.raw`\n`);
