import { ContainersError } from './errors.ts';

const NOTHING_TO_SAVE =
  'There is nothing to save here: the workspace is not prepared. What was saved before stands';

/** What inside/save.sh says when there is no work that it could take. */
const REFUSALS = {
  'not ready': () => new ContainersError('WORKSPACE_NOT_READY', NOTHING_TO_SAVE),
  'the repository is missing': (name: string) =>
    new ContainersError(
      'REPOSITORY_MISSING',
      `The directory ${name} is not in the workspace any more: it was moved, or removed. So nothing of it can be saved; what was saved before stands. A command can move it back to /workspace/${name}`,
    ),
  'too large': () => saveTooLarge(),
} as const;

/** The error for the last words of a save that ended without facts. @param broken what became of the connection */
export function saveRefused(words: string, repositoryName: string, broken: unknown): ContainersError {
  const refusal = REFUSALS[words as keyof typeof REFUSALS] as ((name: string) => ContainersError) | undefined;
  return refusal?.(repositoryName) ?? saveFailed(words || 'the connection broke', broken);
}

/** @param cause where that was seen no earlier than while it came */
export function saveTooLarge(cause?: unknown): ContainersError {
  return saveFailed(
    'what is new in it is more than a save can carry (4 GB). Remove what need not be kept, or put it into .gitignore',
    cause,
  );
}

export function saveFailed(words: string, cause?: unknown): ContainersError {
  return new ContainersError('SAVE_FAILED', `The work could not be saved: ${words}`, { cause });
}
