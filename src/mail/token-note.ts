import { tokensIn } from '../secrets/well-known.ts';
import { visibleLine } from './visible-text.ts';

/** What is told of a mail that carries what looks like a secret; null: it does not. The secret is not repeated. */
export function tokenNote(written: string, repositoryName: string): string | null {
  const names = [...new Set(tokensIn(written).map(({ name }) => name))];
  const [first] = names;
  if (first === undefined) return null;
  const all = names.map((name) => `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`).join(' and ');
  return (
    `Your mail carries what looks like ${all}. Mails stay in mailboxes, yours and others on the way: whoever reads them has it. ` +
    'Replace it where it was issued. Whoever runs this Threadbox can give the new one to your commands, encrypted: ' +
    `threadbox secret set ${visibleLine(repositoryName, 80)} ${suggestedName(first)}`
  );
}

/** As programs look for it. */
function suggestedName(kind: string): string {
  const usual: Readonly<Record<string, string>> = {
    'AWS access key': 'AWS_ACCESS_KEY_ID',
    'AWS secret key': 'AWS_SECRET_ACCESS_KEY',
  };
  return usual[kind] ?? kind.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_');
}
