import { parentPort } from 'node:worker_threads';
import { parseEach } from './parser.ts';

// What src/mail/parser.ts starts: parses portions of mails beside the bot's own thread.

parentPort?.on('message', ({ id, raws }: { id: number; raws: readonly Uint8Array[] }) => {
  // What was sent over has become plain bytes.
  const mails = raws.map(({ buffer, byteOffset, length }) => Buffer.from(buffer, byteOffset, length));
  void parseEach(mails).then((parsed) => parentPort?.postMessage({ id, parsed }));
});
