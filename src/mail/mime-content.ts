/** A part of a mail that is not its text. Measured; only what may hold the mail itself is kept. */
export type MimePart = {
  fileName: string;
  contentType: string;
  sizeBytes: number;
  sha256: string;
  /** Something that the sender has attached: no signature, and none of its pictures. */
  isFile: boolean;
};

/** Why a mail cannot be read, though its headers can. `deadly`: each process that read it has ended over it. */
export type Obstacle =
  | 'encrypted'
  | 'odd-encoding'
  | 'too-many-parts'
  | 'headers-too-large'
  | 'text-too-long'
  | 'too-slow'
  | 'deadly';

/** What a mail's MIME structure holds. */
export type MimeContent = {
  headers: Map<string, string[]>;
  subject: string;
  text: string;
  html: string;
  attachments: MimePart[];
  obstacle: Obstacle | null;
};

/** A field of a header as it came, folded, one character a byte; `key` is its name in lower case. */
export type HeaderLine = { key: string; line: string };

export function unfold(lines: Iterable<HeaderLine>): Map<string, string[]> {
  const headers = new Map<string, string[]>();
  for (const { key, line } of lines) {
    const value = Buffer.from(line.slice(line.indexOf(':') + 1), 'latin1')
      .toString()
      .replace(/[\r\n\0]+/g, '')
      .trim();
    const values = headers.get(key);
    if (key === '') continue;
    if (values) values.push(value);
    else headers.set(key, [value]);
  }
  return headers;
}
