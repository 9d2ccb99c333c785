import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ContainersError } from '../../src/containers/errors.ts';
import { nextSaveTry } from '../../src/lifecycle/next-save-try.ts';

describe('work that could not be saved is tried again', () => {
  const now = new Date('2024-01-20T10:30:00Z');
  const failed = (code: ContainersError['code']) => new ContainersError(code, 'x');
  const tooLarge = failed('SAVE_FAILED');
  const tries: [error: Error, failures: number, minutes: number][] = [
    [tooLarge, 0, 1],
    [tooLarge, 1, 2],
    [tooLarge, 2, 4],
    [tooLarge, 5, 32],
    [tooLarge, 6, 60],
    [tooLarge, 5_000, 60],
    [new Error('nobody foresaw it'), 3, 8],
    [failed('DOCKER_UNREACHABLE'), 0, 1],
    [failed('DOCKER_UNREACHABLE'), 9, 1],
    [failed('NETWORK_GUARD'), 9, 1],
    [failed('REPOSITORY_MISSING'), 0, 24 * 60],
    [failed('REPOSITORY_MISSING'), 9, 24 * 60],
  ];
  for (const [error, failures, minutes] of tries) {
    const code = (error as Partial<ContainersError>).code ?? 'another fault';
    it(`${code}, after ${failures} failures before: in ${minutes} min`, () => {
      assert.equal(nextSaveTry(error, failures, now).getTime() - now.getTime(), minutes * 60_000);
    });
  }
});
