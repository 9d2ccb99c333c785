import { readdir } from 'node:fs/promises';
import { until } from './until.ts';

/** All that lies below a directory. One in it that git takes away meanwhile has it looked for anew. */
export const namesBelow = (dir: string): Promise<string[]> =>
  until(() =>
    readdir(dir, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    }),
  );
