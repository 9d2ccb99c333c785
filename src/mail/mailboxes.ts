import { parseAddressHeader } from 'mailparser';

type Mailbox = { name: string; address: string };

const ADDRESS = '[a-z0-9._+-]+@[a-z0-9.-]+';
const WORDS = '[a-z0-9]+(?: [a-z0-9]+)*';
/** As nearly all are: an address alone, or in brackets, behind a few words of ASCII. */
const PLAIN = new RegExp(`^(?:(${ADDRESS})|(?:(${WORDS}) |"(${WORDS})" |)<(${ADDRESS})>)$`, 'i');
/** Beyond that, the parser is as quick. */
const MOST_PLAIN = 20;

/**
 * Whoever is named in an address field (RFC 5322, 3.4), of groups their members. What is not written as plainly as can be
 * is left to the parser, which takes many times as long: there are three such fields in each mail.
 *
 * @param field unfolded
 */
export function mailboxesIn(field: string): Mailbox[] {
  return plainOnes(field) ?? parsed(field);
}

/** The name in a From field; '' where there is none. */
export function firstName(field: string): string {
  const plain = plainOnes(field);
  return plain ? (plain[0]?.name ?? '') : (parseAddressHeader(field).value[0]?.name ?? '');
}

/** @returns null for the parser */
export function plainOnes(field: string): Mailbox[] | null {
  const mailboxes: Mailbox[] = [];
  const parts = field.split(', ', MOST_PLAIN + 1);
  if (parts.length > MOST_PLAIN) return null;
  for (const part of parts) {
    const [, alone, words, quoted, bracketed] = PLAIN.exec(part) ?? [];
    const address = alone ?? bracketed;
    if (address === undefined) return null;
    mailboxes.push({ name: words ?? quoted ?? '', address });
  }
  return mailboxes;
}

function parsed(field: string): Mailbox[] {
  const { value } = parseAddressHeader(field, { flatten: true, decodePunycode: false });
  return value.map(({ name, address = '' }) => ({ name, address }));
}
