/** What a part of a mail is, as far as its headers tell. */
export type PartKind = {
  contentType: string;
  filename?: string | undefined;
  /** Of a picture that the HTML shows. */
  cid?: string | undefined;
  /** It stands in a multipart/related. */
  related?: boolean | undefined;
  sizeBytes: number;
};

/** Pictures of a signature are smaller, screenshots larger. */
const LARGEST_ORNAMENT_BYTES = 32 * 1024;

/** S/MIME (RFC 8551, 3.2): the mail itself, signed or encrypted. */
export const isCms = (contentType: string): boolean => /^application\/(?:x-)?pkcs7-mime$/i.test(contentType);

/** They shift between character sets amid the text; the parser hands it on as it came, which would be run. */
const ODD_CHARSET = /charset\s*=\s*"?(?:utf-?7|(?:x-)?unicode-1-1-utf-7|hz-gb-2312|iso-2022-(?:kr|cn))\b/i;
/** Of before MIME. What else is none (RFC 2045, 6.1) is a slip of a program that means 8bit. */
const ODD_ENCODING = /:\s*"?(?:x-)?(?:uue(?:ncode)?|uu|yenc|binhex40)\b/i;

/** Also in parts, and in another character set (RFC 2231). */
const FILE_NAME = /\b(?:file)?name[\d*]*\s*=/i;

/**
 * True for a text, that is no attachment, in an encoding that is not read.
 *
 * @param header the lines of a part's header by their names, lower case
 * @param isRoot it is all of the mail: text then, whatever name it has
 */
export function isOddlyEncodedText(header: ReadonlyMap<string, string>, isRoot: boolean): boolean {
  const type = header.get('content-type') ?? '';
  if (type !== '' && !/^[^:]*:\s*text\/(?:plain|html)\b/i.test(type)) return false;
  const said = `${header.get('content-disposition') ?? ''}\n${type}`;
  if (/\battachment\b/i.test(said) || (!isRoot && FILE_NAME.test(said))) return false;
  return ODD_CHARSET.test(type) || ODD_ENCODING.test(header.get('content-transfer-encoding') ?? '');
}

/** Outlook's packing of a mail, for Outlook alone. */
export const isOutlookPacking = ({ contentType, filename = '' }: Omit<PartKind, 'sizeBytes'>): boolean =>
  /^application\/(?:vnd\.)?ms-tnef$/i.test(contentType) || filename.toLowerCase() === 'winmail.dat';

/** True for what the sender has attached: no signature, nothing that belongs to the look of the mail. */
export function isFile(part: PartKind): boolean {
  const { contentType, cid, related = false, sizeBytes } = part;
  if (
    isCms(contentType) ||
    /^application\/(?:x-)?(?:pkcs7|pgp)-signature$|pgp-encrypted$/i.test(contentType)
  ) {
    return false;
  }
  const isOrnament = /^image\//i.test(contentType) && related && cid !== undefined;
  return !(isOrnament && sizeBytes <= LARGEST_ORNAMENT_BYTES);
}
