/** Shorter ones would be found everywhere, and be told by what is masked. */
export const LEAST_MASKED_CHARACTERS = 6;

/** How a value may stand in what a command prints. None of them has a line end in it. */
export type Forms = {
  plain: string[];
  /** base64, which programs break into lines. */
  wrapped: string[];
};

/**
 * The forms of a value that are masked: as it is, as JSON (RFC 8259, 7), shells, XML and URLs (RFC 3986, 2.1, and the
 * form encoding) write it, in base64 and its form for URLs (RFC 4648, 4 and 5) wherever in an encoded text it stands. Of
 * several lines each one, and the forms of the whole that make one line of it.
 */
export function formsOf(value: string): Forms {
  if (value.length < LEAST_MASKED_CHARACTERS) return { plain: [], wrapped: [] };
  const lines = value.split(/[\r\n]+/).map((line) => line.trim());
  const hasLines = /[\r\n]/.test(value);
  const plain = new Set(hasLines ? lines.filter(isSecretLine) : [value]);
  for (const form of [...plain].flatMap(written)) plain.add(form);
  if (hasLines) for (const form of [value, value.trimEnd()].flatMap(asOneLine)) plain.add(form);
  const long = (form: string) => form.length >= LEAST_MASKED_CHARACTERS && !/[\r\n]/.test(form);
  return { plain: [...plain].filter(long), wrapped: [...new Set(base64Forms(value))].filter(long) };
}

/** The borders of a PEM block (RFC 7468) are no secret. */
const isSecretLine = (line: string): boolean =>
  line.length >= LEAST_MASKED_CHARACTERS && !/^-----(BEGIN|END) [^-]*-----$/.test(line);

/** JSON and URLs have line ends as characters. */
function asOneLine(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1);
  return [json, json.replaceAll('/', String.raw`\/`), ...urlForms(text)];
}

function written(line: string): string[] {
  return [
    ...asOneLine(line),
    // bash: as `export -p`, `set -x` and `printf %q` write it.
    line.replaceAll(/["$`\\]/g, String.raw`\$&`),
    line.replaceAll("'", String.raw`'\''`),
    line.replaceAll(/[^\w%+,./:=@^~\-\u0080-\uffff]/g, String.raw`\$&`),
    line
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      .replaceAll("'", '&#39;'),
  ];
}

function urlForms(text: string): string[] {
  const strict = encodeURIComponent(text.toWellFormed());
  const strictest = strict.replaceAll(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  const all = [strict, strictest];
  const withSlash = all.map((form) => form.replaceAll('%2F', '/'));
  const withPlus = all.map((form) => form.replaceAll('%20', '+'));
  const upper = [...all, ...withSlash, ...withPlus];
  return [...upper, ...upper.map((form) => form.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()))];
}

/**
 * Three bytes are four letters, so there are three ways for the value to stand in them. Letters that have bits of what
 * stands before or behind it are left out.
 */
function base64Forms(value: string): string[] {
  const bytes = Buffer.from(value);
  return [0, 1, 2].flatMap((before) => {
    const all = Buffer.concat([Buffer.alloc(before), bytes]);
    const letters = all.toString('base64').replace(/=+$/, '');
    const own = letters.slice(Math.ceil((before * 8) / 6), Math.floor((all.length * 8) / 6));
    return [own, own.replaceAll('+', '-').replaceAll('/', '_')];
  });
}
