import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { Docker } from '../containers/client.ts';
import { freeForImages } from '../containers/disk-room.ts';
import { directObstacle, helperObstacle, helperTools, TOOLS_WORDS } from '../containers/disk-tools.ts';
import { isPresent } from '../containers/image.ts';
import { LIMIT_WORDS, tryQuota } from '../containers/workspace-limit.ts';
import { readLimitNote, type LimitNote } from '../limit-note.ts';
import { bad, ok, warn, type Finding } from './doctor-findings.ts';

/**
 * In which way workspaces are kept to their size: as far as it can be seen without making a disk, and as the bot has found that
 * was started last.
 */
export async function lookAtWorkspaces(docker: Docker, config: Config, now: () => Date): Promise<Finding> {
  const found = await lookForWay(docker, config, now);
  if (found.level !== 'ok') return found;
  const note = config.workspaceLimit === 'auto' ? await readLimitNote(config.dataDir) : null;
  // Without an obstacle it was what had been set then.
  if (note?.way === 'measured' && Object.keys(note.obstacles).length > 0) return weakerFinding(found, note);
  const imagesDir = join(config.dataDir, 'workspaces', 'any');
  // What is another user's cannot be looked into.
  const freeBytes = await freeForImages({ way: 'image', imagesDir }).catch(() => null);
  return roomFinding(found, config.workspaceSizeBytes, freeBytes);
}

/** A start has tried more than can be seen from here. */
export function weakerFinding(found: Finding, { obstacles, at }: LimitNote): Finding {
  const why = Object.values(obstacles).join('; ');
  const says = `${found.says}, as it looks from here; but the bot that was started on ${at.toISOString().slice(0, 16)}Z only looks at them: ${why}`;
  return warn(
    found.part,
    says,
    'See to that, then start the bot again. See docs/security.md, "The size of a workspace".',
  );
}

/** @param freeBytes on the disk of DATA_DIR; null: it cannot be found out */
export function roomFinding(found: Finding, sizeBytes: number, freeBytes: number | null): Finding {
  if (freeBytes === null || freeBytes >= sizeBytes || !found.says.includes(LIMIT_WORDS.image)) return found;
  const says = `${found.says}; but only ${Math.floor(freeBytes / 2 ** 20)} MB are free for all of them`;
  return warn(found.part, says, 'Make room below DATA_DIR/workspaces, or set WORKSPACE_SIZE_BYTES lower.');
}

async function lookForWay(
  docker: Docker,
  { workspaceLimit: wanted, workspaceSizeBytes, guardImage: image }: Config,
  now: () => Date,
): Promise<Finding> {
  const size = `${Math.floor(workspaceSizeBytes / 2 ** 20)} MB each`;
  const wants = (way: string): boolean => wanted === way || wanted === 'auto';
  const obstacles: string[] = [];
  const instance = `doctor-${randomUUID()}`;
  if (wants('quota')) {
    const obstacle = await tryQuota(docker, { instance, now });
    if (obstacle === null) return ok('workspaces', `${size}, ${LIMIT_WORDS.quota}`);
    obstacles.push(obstacle);
  }
  if (wants('image')) {
    const obstacle = await directObstacle(docker);
    if (obstacle === null) return ok('workspaces', `${size}, ${LIMIT_WORDS.image}, ${TOOLS_WORDS.direct}`);
    obstacles.push(obstacle);
    const byHelper = `${size}, ${LIMIT_WORDS.image}, ${TOOLS_WORDS.helper} of ${image}`;
    if (!(await isPresent(docker, image))) {
      const without = wanted === 'image' ? 'no command is run' : 'workspaces are only looked at';
      const todo = `Where the start does not bring it (GUARD_IMAGE), ${without}.`;
      return warn('workspaces', `${byHelper}, which is not there yet`, todo);
    }
    const lacks = await helperObstacle(helperTools(docker, { image, instance }));
    if (lacks === null) return ok('workspaces', byHelper);
    obstacles.push(`a helper container of ${image}: ${lacks}`);
  }
  if (wanted === 'quota' || wanted === 'image') {
    const todo = 'The bot does not start before. WORKSPACE_LIMIT=auto takes what can be had.';
    return bad('workspaces', `WORKSPACE_LIMIT=${wanted}: ${obstacles.join('; ')}`, todo);
  }
  if (wanted === 'off') {
    const todo = "One command can fill the engine's disk. WORKSPACE_LIMIT=auto; see docs/security.md.";
    return warn('workspaces', 'not limited (WORKSPACE_LIMIT=off)', todo);
  }
  const why = obstacles.length > 0 ? ` (${obstacles.join('; ')})` : '';
  const todo =
    'A hard limit needs XFS with project quotas under the engine, or loop devices on its machine and a DATA_DIR that it sees.';
  return warn('workspaces', `${size}, ${LIMIT_WORDS.measured}${why}`, todo);
}
