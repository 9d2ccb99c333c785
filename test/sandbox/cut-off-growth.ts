import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import type { DiskTools } from '../../src/containers/disk-tools.ts';
import { ContainersError } from '../../src/containers/errors.ts';
import { until } from '../support/until.ts';
import { docker } from '../containers/rig.ts';

/** As resize2fs leaves a disk when it is killed between two parts of its superblock: the byte at 1082 is written before the checksum. */
const HALF = `printf '\\3' | dd of="$device" bs=1 seek=1082 conv=notrunc,fsync 2>/dev/null; sleep 1000`;

/** Tools whose helper is killed while a disk grows, and the bot with it: it mends nothing. */
export function cutOffWhileItGrows(instance: string, image: string, tools: DiskTools): DiskTools {
  async function isHalf(): Promise<boolean> {
    const file = await open(image, 'r');
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 1082);
    await file.close();
    return buffer[0] === 3;
  }
  let isCutOff = false;
  return {
    way: 'helper',
    async run(script, ...rest) {
      if (isCutOff) throw new ContainersError('DOCKER_UNREACHABLE', 'the bot was killed');
      if (!script.includes('resize2fs')) return tools.run(script, ...rest);
      const growing = tools.run(script.replace(/^words=\$\(resize2fs .*$/m, HALF), ...rest);
      const ended = assert.rejects(growing, { code: 'CUT_OFF' });
      await until(isHalf);
      isCutOff = true;
      const filters = JSON.stringify({ label: [`threadbox.instance=${instance}`] });
      const [helper] = await docker.listContainers({ filters });
      await docker.getContainer(helper?.Id ?? '').kill();
      await ended;
      return growing;
    },
  };
}
