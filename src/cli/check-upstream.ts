import { hostGit, splitCredentials } from '../containers/host-git.ts';
import { nearestName } from '../mail/nearest-name.ts';
import { shownUrl } from '../store/repositories.ts';
import { CliError, interrupted } from './command.ts';
import { untilSignal } from './signals.ts';

const TIMEOUT_MS = 30_000;
/** What is about to be done with a repository. */
type Deed = 'register' | 'set';
const DONE = { register: 'registered', set: 'set' } as const;

/**
 * Asks git whether the upstream can be read, and has the branch.
 *
 * @returns whether it has no commit yet
 * @throws {CliError} with git's own words and what to do
 */
export async function checkUpstream(
  fullUrl: string,
  branch: string | null,
  deed: Deed = 'register',
): Promise<{ isEmpty: boolean }> {
  const { url, credentials } = splitCredentials(fullUrl);
  const stop = untilSignal();
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const signal = AbortSignal.any([stop.signal, limit]);
  const listHeads = async (...patterns: string[]): Promise<string[]> => {
    try {
      const listed = await hostGit(['ls-remote', '--heads', '--', url, ...patterns], { credentials, signal });
      return [...listed.matchAll(/^\S+\trefs\/heads\/(.+)$/gm)].map(([, name = '']) => name);
    } catch (error) {
      if (stop.signal.aborted) throw interrupted(`nothing was ${DONE[deed]}`);
      const words = limit.aborted ? `no answer within ${TIMEOUT_MS / 1000} s` : (error as Error).message;
      throw new CliError(unreachable(shownUrl(fullUrl), words, deed), 1, { cause: error });
    }
  };
  if (branch === null) return { isEmpty: (await listHeads()).length === 0 };
  if ((await listHeads(`refs/heads/${branch}`)).length > 0) return { isEmpty: false };
  const branches = await listHeads();
  if (branches.length === 0) return { isEmpty: true };
  throw new CliError(noBranch(shownUrl(fullUrl), branch, branches, deed));
}

function unreachable(url: string, words: string, deed: Deed): string {
  return [
    `git cannot read ${url}. It says:`,
    ...words.split('\n').map((line) => `  ${line}`),
    ...hintsFor(words),
    `Nothing was ${DONE[deed]}. Correct the URL, or ${deed} it as it is with --no-check.`,
  ].join('\n');
}

/** What git's words mean for somebody who registers a repository here. */
function hintsFor(words: string): string[] {
  if (/could not read Username|Authentication failed|terminal prompts disabled/i.test(words)) {
    return ['If it is a private one, put credentials into the URL: https://user:token@host/repository.git'];
  }
  if (/Permission denied \(/.test(words)) {
    return ['The SSH key of the user who runs Threadbox must be allowed there, and need no passphrase.'];
  }
  if (/Host key verification failed/.test(words)) {
    return ['Connect once by hand as the user who runs Threadbox, so that ssh knows the host: ssh git@HOST'];
  }
  return [];
}

const MOST_NAMED = 8;

function noBranch(url: string, branch: string, branches: readonly string[], deed: Deed): string {
  const nearest = nearestName(branch, branches);
  const named = branches.slice(0, MOST_NAMED).join(', ');
  const more = branches.length > MOST_NAMED ? `, and ${branches.length - MOST_NAMED} more` : '';
  return [
    `${url} has no branch ${branch}.${nearest === null ? '' : ` Did you mean ${nearest}?`}`,
    `Its branches: ${named}${more}`,
    `Nothing was ${DONE[deed]}. Correct the branch, or ${deed} it as it is with --no-check.`,
  ].join('\n');
}
