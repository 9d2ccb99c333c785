/**
 * git's system-wide settings in a container (git-config(1), "Syntax"): commits bear the sender's name, and what is
 * fetched from upstream comes out of the mirror, which needs no credentials.
 */
export function gitConfig({
  url,
  mirrorPath,
  author,
}: {
  url: string;
  mirrorPath: string;
  author: { name: string; address: string };
}): string {
  return [
    '[safe]',
    '\tdirectory = *',
    '[user]',
    `\tname = ${quoted(author.name)}`,
    `\temail = ${quoted(author.address)}`,
    '[checkout]',
    '\tworkers = 2',
    '[advice]',
    '\tdetachedHead = false',
    `[url ${quoted(mirrorPath)}]`,
    `\tinsteadOf = ${quoted(url)}`,
  ].join('\n');
}

// Control characters have no place in a name or an address, and a line break would begin a setting.
function quoted(text: string): string {
  // eslint-disable-next-line no-control-regex
  return `"${text.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ').replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
