import type { Config } from '../config.ts';
import type { Docker } from '../containers/client.ts';
import { ContainersError } from '../containers/errors.ts';
import { inboxPath, placeFiles } from '../containers/inbox.ts';
import { collectOutbox, outboxEnv, outboxPath } from '../containers/outbox.ts';
import type { Log } from '../log.ts';
import { listed, readAttachedFiles, type AttachedFiles } from '../mail/attached-files.ts';
import type { OutboxFacts } from '../mail/outbox-files.ts';
import { plural } from '../mail/amounts.ts';
import { rawOfCommand } from '../store/command-files.ts';
import type { Command } from '../store/commands.ts';
import type { Db } from '../store/database.ts';

export type FileParts = {
  db: Db;
  docker: Docker;
  config: Pick<Config, 'inboxFileMaxBytes' | 'inboxMaxBytes' | 'outboxFileMaxBytes' | 'outboxMaxBytes'>;
  signal: AbortSignal;
  log: Log;
};

/** The files that come with a command. */
export type Inbox = {
  /** For the command's environment. */
  env: Record<string, string>;
  /** What its answer says of them. */
  notes: string[];
  /**
   * Puts them into the container; before each attempt, as one that never began may have left them half there.
   *
   * @throws what `placeFiles` throws; or the reason of `cancelled`, when its sender does not want it any more
   */
  place: (containerId: string, cancelled: AbortSignal) => Promise<void>;
};

/** Reads them from the stored message: never again from the mailbox, which may have changed. */
export async function inboxOf(parts: FileParts, command: Pick<Command, 'id' | 'hasFiles'>): Promise<Inbox> {
  const env = outboxEnv(command.id);
  if (!command.hasFiles) return { env, notes: [], place: () => Promise.resolve() };
  const { db, docker, config, signal } = parts;
  const limits = { fileBytes: config.inboxFileMaxBytes, totalBytes: config.inboxMaxBytes };
  const attached = await readAttachedFiles(await rawOfCommand(db, command.id), limits);
  if (attached.files.length === 0) return { env, notes: attached.leftOut, place: () => Promise.resolve() };
  const path = inboxPath(command.id);
  return {
    env: { ...env, THREADBOX_INBOX: path },
    notes: [placedInWords(attached, path), ...attached.leftOut],
    place: (containerId, cancelled) =>
      placeFiles(docker, containerId, {
        commandId: command.id,
        files: attached.files,
        signal: AbortSignal.any([signal, cancelled]),
      }),
  };
}

function placedInWords({ files }: AttachedFiles, path: string): string {
  const names = listed(files.map(({ name }) => name));
  return `${plural(files.length, 'file')} of your mail ${files.length === 1 ? 'is' : 'are'} in ${path}: ${names}.`;
}

/** What a command has left to be mailed. A container that is gone keeps nobody from the answer. */
export async function outboxOf(
  parts: FileParts,
  containerId: string,
  commandId: number,
): Promise<OutboxFacts> {
  const { docker, config, signal, log } = parts;
  const limits = { fileBytes: config.outboxFileMaxBytes, totalBytes: config.outboxMaxBytes };
  const path = outboxPath(commandId);
  try {
    return { ...(await collectOutbox(docker, containerId, { commandId, limits, signal })), path };
  } catch (error) {
    if (!(error instanceof ContainersError) || error.code === 'DOCKER_UNREACHABLE') throw error;
    log.warn({ err: error, command: commandId }, 'the outbox of a command cannot be read');
    return { files: [], left: [], oddCount: 0, isWhole: false, path };
  }
}
