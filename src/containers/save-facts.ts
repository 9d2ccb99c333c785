import type { Duplex, Writable } from 'node:stream';
import { readFrames } from './exec.ts';

/** What the script of a save says before the pack. */
export type SaveFacts = {
  snapshot: string;
  isUnchanged: boolean;
  commit: string | null;
  branch: string | null;
  filesModified: number;
  unpushedCommits: number;
  hasCommitted: boolean;
  leftOut: string[];
  /** What all of the workspace takes; null where that was too much to be counted. */
  workspaceUsedBytes: number | null;
};

const MAX_FACTS_BYTES = 1024 * 1024;
const MAX_WORDS = 16 * 1024;
const MOST_LEFT_OUT = 1000;

/** @returns null for anything but whole facts: they come out of a container */
export function parseSaveFacts(text: string): SaveFacts | null {
  const lines = text.split('\n');
  if (lines[0] !== 'threadbox-save 1') return null;
  const values = (name: string) =>
    lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
  const value = (name: string) => values(name)[0] ?? '';
  const snapshot = hash(value('save'));
  if (snapshot === null) return null;
  return {
    snapshot,
    isUnchanged: value('unchanged') === 'yes',
    commit: hash(value('commit')),
    branch: inWords(value('branch')) || null,
    filesModified: count(value('modified')),
    unpushedCommits: count(value('unpushed')),
    hasCommitted: value('committed') === 'yes',
    leftOut: [...new Set(values('left').map(inWords))].slice(0, MOST_LEFT_OUT),
    workspaceUsedBytes: /^\d{1,15}$/.test(value('disk')) ? Number(value('disk')) : null,
  };
}

function hash(text: string): string | null {
  return /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(text) ? text : null;
}

function count(text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : 0;
}

function inWords(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '').slice(0, 300);
}

export type IncomingSave = {
  /** null: it ended without. */
  facts: Promise<SaveFacts | null>;
  /** Settles when nothing more comes; `isWhole` when the script reached its end. Never rejects. */
  ended: Promise<{ isWhole: boolean; broken: unknown }>;
  words: () => string;
  carriedBytes: () => number;
};

/**
 * Reads what the script of a save says.
 *
 * @param openSink called with the facts; what follows them is written there, no faster than it is taken
 */
export function readSave(stream: Duplex, openSink: (facts: SaveFacts) => Writable | null): IncomingSave {
  const { promise: facts, resolve: tell } = Promise.withResolvers<SaveFacts | null>();
  let words = '';
  let carriedBytes = 0;
  let tail = '';
  const pump = async (): Promise<{ isWhole: boolean; broken: unknown }> => {
    let head: Buffer | null = Buffer.alloc(0);
    let sink: Writable | null = null;
    let broken: unknown = null;
    try {
      for await (const { isError, data } of readFrames(stream)) {
        if (isError) {
          words = (words + data.toString()).slice(-MAX_WORDS);
          continue;
        }
        let rest = data;
        if (head) {
          const all: Buffer = Buffer.concat([head, data]);
          const at = all.indexOf(0);
          if (at === -1 && all.length > MAX_FACTS_BYTES) break;
          head = at === -1 ? all : null;
          if (at === -1) continue;
          const found = parseSaveFacts(all.subarray(0, at).toString());
          tell(found);
          if (!found) break;
          sink = openSink(found);
          rest = all.subarray(at + 1);
        }
        tail = (tail + rest.subarray(-4).toString('latin1')).slice(-4);
        if (sink && !sink.destroyed) {
          carriedBytes += rest.length;
          await written(sink, rest);
        }
      }
    } catch (error) {
      broken = error;
    }
    sink?.end();
    tell(null);
    return { isWhole: tail === 'done', broken };
  };
  return { facts, ended: pump(), words: () => words, carriedBytes: () => carriedBytes };
}

/** A sink that has closed takes nothing more; that is told elsewhere. */
function written(sink: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    sink.write(bytes, () => resolve());
  });
}
