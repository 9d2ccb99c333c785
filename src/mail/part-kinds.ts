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
