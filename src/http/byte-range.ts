/** Bytes of something, both ends included. */
export type ByteRange = { first: number; last: number };

/**
 * What a Range header asks for (RFC 9110, 14.1.2), of one range of bytes.
 *
 * @returns `whole` for none, several, or one that is not understood; `unsatisfiable` for one that lies behind the end
 */
export function readRange(
  header: string | undefined,
  sizeBytes: number,
): ByteRange | 'whole' | 'unsatisfiable' {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec((header ?? '').trim()) ?? [];
  if (first === '' && last === '') return 'whole';
  if (first === '') {
    const suffix = Number(last);
    if (suffix === 0 || sizeBytes === 0) return 'unsatisfiable';
    return { first: Math.max(0, sizeBytes - suffix), last: sizeBytes - 1 };
  }
  if (last !== '' && Number(last) < Number(first)) return 'whole';
  if (Number(first) >= sizeBytes) return 'unsatisfiable';
  return { first: Number(first), last: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) };
}

const CHUNK_BYTES = 64 << 10;

/** @param isDone is called when all was taken, or whoever asked has gone */
function streamed(bytes: Buffer, isDone: () => void): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        controller.enqueue(new Uint8Array(bytes.subarray(at, at + CHUNK_BYTES)));
        at += CHUNK_BYTES;
        if (at < bytes.length) return;
        controller.close();
        isDone();
      },
      cancel: isDone,
    },
    { highWaterMark: 1 },
  );
}

/** Bytes as an answer, whole or the range that is asked for. @param isDone is called once they are needed no more */
export function rangedResponse(
  bytes: Buffer,
  range: string | undefined,
  headers: Readonly<Record<string, string>>,
  isDone = (): void => undefined,
): Response {
  const asked = readRange(range, bytes.length);
  const all = { 'Accept-Ranges': 'bytes', ...headers };
  if (asked === 'unsatisfiable') {
    isDone();
    return new Response(null, {
      status: 416,
      headers: { ...all, 'Content-Range': `bytes */${bytes.length}` },
    });
  }
  if (asked === 'whole') {
    const length = { 'Content-Length': String(bytes.length) };
    return new Response(streamed(bytes, isDone), { headers: { ...all, ...length } });
  }
  const { first, last } = asked;
  const part = bytes.subarray(first, last + 1);
  return new Response(streamed(part, isDone), {
    status: 206,
    headers: {
      ...all,
      'Content-Length': String(part.length),
      'Content-Range': `bytes ${first}-${last}/${bytes.length}`,
    },
  });
}
