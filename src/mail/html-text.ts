import { QUOTE_SIGN } from './quote-signs.ts';

/** More than this is not typed by anybody. */
const LONGEST_HTML = 2 << 20;

const BLOCKS = new Set(
  (
    'address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form ' +
    'h1 h2 h3 h4 h5 h6 header html li main nav ol p pre section table tbody tfoot thead tr ul'
  ).split(' '),
);
/** Nothing closes these. */
const VOID = new Set(['br', 'col', 'hr', 'img', 'input', 'link', 'meta', 'wbr']);
const UNSEEN = new Set(['script', 'style', 'head', 'title', 'template']);
/** HTML's names for the characters 160 to 255, in their order. */
const LATIN =
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para ' +
  'middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute ' +
  'Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml ' +
  'Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml ' +
  'eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml';
const ENTITIES = new Map<string, string>([
  ...LATIN.split(' ').map((name, index) => [name, String.fromCodePoint(160 + index)] as const),
  ...Object.entries({
    amp: '&',
    lt: '<',
    gt: '>',
    quot: '"',
    apos: "'",
    ndash: '–',
    mdash: '—',
    hellip: '…',
  }),
  ...Object.entries({
    lsquo: '‘',
    rsquo: '’',
    ldquo: '“',
    rdquo: '”',
    bdquo: '„',
    bull: '•',
    euro: '€',
    zwnj: '',
  }),
]);

/**
 * The lines that somebody typed into an HTML editor: one for each paragraph, division or break, never wrapped, nothing
 * added but `> ` before quoted blocks,
 * and a line where the page itself says that a quote or a signature begins. (Converters made for reading wrap, indent and put blank lines between paragraphs;
 * each of that changes a script.)
 */
export function htmlToText(html: string): string {
  const page = new Page();
  for (const part of parts(html.slice(0, LONGEST_HTML))) {
    if (part.kind === 'text') page.text(decodeEntities(part.text));
    else page.tag(part);
  }
  return page.end();
}

type Tag = { kind: 'tag'; name: string; isClosing: boolean; keepsSpace: boolean; sign: Sign | null };
type Sign = 'quote' | 'signature';

/** How web clients mark what they quote, whatever language their line of attribution is in. */
const QUOTE_MARK =
  /\s(?:id|class|name|data-marker)\s*=\s*["']?(?:[^"'>]*\s)?(?:gmail_quote|messageReplySection|reply-intro|zwchr|__HEADERS__|gmail_attr|divRplyFwdMsg|appendonsend|mail-editor-reference-message-container|ms-outlook-mobile-reference-message|yahoo_quoted\w*|protonmail_quote|moz-cite-prefix|zmail_extra|tutanota_quote|OutlookMessageHeader|moz-forward-container|isReplyContent|ntes-mailmaster-quote)(?=["'\s>])|\sname\s*=\s*["']?quote(?=["'\s>])|^<blockquote\s[^>]*type\s*=\s*["']?cite/i;
const SIGNATURE_MARK =
  /\s(?:id|class|name|data-smartmail)\s*=\s*["']?(?:[^"'>]*\s)?(?:gmail_signature|messageSignatureSection|Signature|ms-outlook-mobile-signature|moz-signature|protonmail_signature_block|AppleMailSignature|ymail_android_signature|tutanota_signature)(?=["'\s>])/;
type Part = { kind: 'text'; text: string } | Tag;

const KEEPS_SPACE = /white-space(?:-collapse)?\s*:\s*(?:pre|break-spaces)/i;

/** Text and tags in their order, in one pass over the page: every search goes on where the last one ended. */
function* parts(html: string): Generator<Part> {
  const lower = html.toLowerCase();
  const opening = /<(?:!--|[!?]|(\/?)([a-z][^\s/>]*))/gi;
  let at = 0;
  for (;;) {
    opening.lastIndex = at;
    const found = opening.exec(html);
    const open = found?.index ?? html.length;
    if (open > at) yield { kind: 'text', text: html.slice(at, open) };
    if (!found) return;
    const [whole, slash, rawName = ''] = found;
    const name = rawName.toLowerCase();
    at = whole === '<!--' ? after(html, '-->', open) : tagEnd(html, open + whole.length);
    if (slash !== '/' && UNSEEN.has(name)) at = after(html, '>', indexOrEnd(lower, `</${name}`, at));
    else if (name !== '') {
      const tag = html.slice(open, at);
      const isVerbatim = name === 'pre' || name === 'textarea' || KEEPS_SPACE.test(tag);
      const sign = slash === '/' ? null : signOf(tag.slice(0, LONGEST_TAG));
      yield { kind: 'tag', name, isClosing: slash === '/', keepsSpace: isVerbatim && !VOID.has(name), sign };
    }
  }
}

const LONGEST_TAG = 2000;

function signOf(tag: string): Sign | null {
  if (QUOTE_MARK.test(tag)) return 'quote';
  return SIGNATURE_MARK.test(tag) ? 'signature' : null;
}

/** The place after the `>` that ends a tag; one inside a quoted attribute does not. */
function tagEnd(html: string, from: number): number {
  const next = /[>"']/g;
  for (let at = from; ;) {
    next.lastIndex = at;
    const found = next.exec(html);
    if (!found) return html.length;
    if (found[0] === '>') return found.index + 1;
    at = after(html, found[0], found.index + 1);
  }
}

const indexOrEnd = (text: string, part: string, from: number) => {
  const at = text.indexOf(part, from);
  return at === -1 ? text.length : at;
};
const after = (text: string, part: string, from: number) =>
  Math.min(indexOrEnd(text, part, from) + part.length, text.length);

function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z][a-z0-9]{1,31}));/gi,
    (whole, decimal?: string, hex?: string, name?: string) => {
      if (name !== undefined) return ENTITIES.get(name) ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
      const isCharacter = code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
      return isCharacter ? String.fromCodePoint(code) : '\u{fffd}';
    },
  );
}

class Page {
  readonly #lines: string[] = [];
  /** The line being read, in pieces: looking at the end of a string that grows copies it each time. */
  #pieces: string[] = [];
  #endsInSpace = true;
  #quotes = 0;
  readonly #signs = new Set<Sign>();
  /** The element whose spaces and line ends are kept, and how many of its name are open. */
  #verbatim: { name: string; depth: number } | null = null;

  text(text: string): void {
    if (this.#verbatim) {
      const [first = '', ...rest] = text.replace(/\r\n?/g, '\n').split('\n');
      this.#add(first);
      for (const line of rest) {
        this.#break();
        this.#add(line);
      }
      return;
    }
    const folded = text.replace(/[ \t\r\n\f]+/g, ' ');
    this.#add(this.#endsInSpace ? folded.replace(/^ /, '') : folded);
  }

  tag({ name, isClosing, keepsSpace, sign }: Tag): void {
    const step = isClosing ? -1 : 1;
    if (sign !== null) this.#sign(sign);
    if (name === 'br') {
      if (!isClosing) this.#break();
    } else if (name === 'hr') {
      this.#endLine();
      this.#add('_'.repeat(32));
      this.#break();
    } else if (name === 'td' || name === 'th') {
      if (!this.#endsInSpace) this.#add(' ');
    } else if (BLOCKS.has(name)) {
      this.#endLine();
      if (name === 'blockquote') this.#quotes = Math.max(0, this.#quotes + step);
    }
    if (this.#verbatim?.name === name) {
      this.#verbatim.depth += step;
      if (this.#verbatim.depth === 0) this.#verbatim = null;
    } else if (!this.#verbatim && keepsSpace && !isClosing) {
      this.#verbatim = { name, depth: 1 };
    }
  }

  end(): string {
    this.#endLine();
    return this.#lines.join('\n');
  }

  /** The first of each says all; one within quoted text says nothing. */
  #sign(sign: Sign): void {
    if (this.#quotes > 0 || this.#signs.has('quote') || this.#signs.has(sign)) return;
    this.#signs.add(sign);
    this.#endLine();
    const line = sign === 'quote' ? QUOTE_SIGN : '-- ';
    if (this.#lines.at(-1) !== line) this.#lines.push(line);
  }

  #add(piece: string): void {
    if (piece === '') return;
    this.#pieces.push(piece);
    this.#endsInSpace = piece.endsWith(' ');
  }

  #endLine(): void {
    if (this.#pieces.length > 0) this.#break();
  }

  /** A no-break space is how an editor keeps a space that was typed. */
  #break(): void {
    const typed = this.#pieces.join('').replaceAll('\u{a0}', ' ');
    const line = this.#verbatim || typed.trimEnd() === '--' ? typed : typed.trimEnd();
    // More than a few levels say nothing more, and a page may open any number.
    this.#lines.push(this.#quotes > 0 ? `${'>'.repeat(Math.min(this.#quotes, 5))} ${line}` : line);
    this.#pieces = [];
    this.#endsInSpace = true;
  }
}
