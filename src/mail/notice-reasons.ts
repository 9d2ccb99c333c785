import type { Obstacle } from './mime-content.ts';
import type { Doubt } from './reply-text.ts';

/** Why a mail could not be read: a title, the reason, and what to do. */
export const OBSTACLES: Readonly<
  Record<Exclude<Obstacle, 'deadly'>, [title: string, why: string, next: string]>
> = {
  encrypted: [
    'This mail is encrypted',
    'Threadbox has no key to read it with.',
    'Send it without encryption. Signed mail is fine.',
  ],
  'odd-encoding': [
    'The characters of this mail cannot be read',
    'Its text is in an encoding that is hardly used any more, such as UTF-7 or uuencode.',
    'Send it as UTF-8.',
  ],
  'too-many-parts': [
    'This mail has too many parts',
    'A mail to Threadbox can have up to 1,000 parts, attachments included, and 50 within one another.',
    'Send the command alone, and many files packed into one, for example as a .tar.gz.',
  ],
  'headers-too-large': [
    'The headers of this mail are too large',
    'They can have up to 1 MB.',
    'Send the command as a new mail, not as an answer or a forwarded one.',
  ],
  'text-too-long': [
    'The text of this mail is too long',
    'A mail to Threadbox can have up to 4 MB of text, quoted text included.',
    'Send the command as a new mail, and long text as a file attached to it.',
  ],
  'too-slow': [
    'This mail could not be read in time',
    'Its structure is too complicated: too many parts, nested too deeply.',
    'Send the command as a new, plain mail.',
  ],
};

/** Why it is not sure what the sender wants to be run. */
export const DOUBTS: Readonly<Record<Doubt | 'broken-characters', string>> = {
  'around-a-quote': 'There is text above the quoted mail and below it, and both may be meant.',
  'between-quoted-lines': 'What you wrote stands between lines that begin with > and may be quoted.',
  'cut-short': 'A quotation or a signature seems to begin in the middle of it, so it may be only half of it.',
  'open-quote': 'One of its lines reads as if a quoted mail began there.',
  'no-beginning': 'It quotes an answer of Threadbox, and nothing shows where that begins.',
  'beside-a-fence': 'There is a block between ``` lines, and more beside it.',
  'broken-lines':
    'One of its lines is as long as a line can be before Gmail, in plain text mode, or Outlook breaks it: one command may have become two. Switch that off, or end such a line with a backslash.',
  'broken-characters': 'Some of its characters arrived broken: \ufffd. Send it as UTF-8, or without them.',
};

/** Why a mail does not show that its sender can read what is sent to them. */
export const TOKEN_PROBLEMS = {
  none: 'Here, a command has to come as an answer to a mail of Threadbox.',
  expired: 'The mail that you have answered is more than a month old.',
  foreign: 'The address that you have written to was made for somebody else, or by another Threadbox.',
};
