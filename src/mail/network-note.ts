/** What the answer says of a command that failed where its container reaches nothing. */
export function closedNote(addresses: readonly string[]): string {
  const [many, they] = addresses.length > 1 ? ['are', 'they are'] : ['is', 'it is'];
  return (
    `${addresses.join(', ')} ${many} out of reach, if ${they} not the container itself: commands reach the internet, but neither ` +
    'the machine they run on nor private networks. If yours needs it, ask whoever runs this Threadbox.'
  );
}

/** The same in a repository without a network. */
export const noNetworkNote = (repositoryName: string): string =>
  `Commands in ${repositoryName} have no network. If yours needs one, ask whoever runs this Threadbox.`;

/** Where the repository's network was changed since its last command. */
export const otherNetworkNote = (repositoryName: string): string =>
  `The network of ${repositoryName} was changed, so your container was made anew. Your files are as they were; what ran in ` +
  'the background has ended, and /tmp is empty.';

/** So many hosts are named; a longer list is for those who keep it. */
const MOST_HOSTS = 6;
const MOST_REFUSED = 10;

/** What commands reach in a repository with an allow-list, and what this one was refused. */
export function allowListNote(
  repositoryName: string,
  hosts: readonly string[],
  refused: readonly { what: string; times: number }[],
): string {
  const reach =
    hosts.length > MOST_HOSTS
      ? `the ${hosts.length} hosts that whoever runs this Threadbox has allowed`
      : hosts.join(', ');
  const shown = refused.slice(0, MOST_REFUSED).map(({ what, times }) => `${what}${counted(times)}`);
  const more = refused.length > MOST_REFUSED ? `, and ${refused.length - MOST_REFUSED} more` : '';
  return (
    `Commands in ${repositoryName} reach ${reach}, by http and https, and nothing else` +
    `${shown.length === 0 ? '' : `; refused: ${shown.join(', ')}${more}`}. ` +
    'If yours needs more, ask whoever runs this Threadbox.'
  );
}

const counted = (times: number): string => (times === 1 ? '' : ` (${times} times)`);
