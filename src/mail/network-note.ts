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
