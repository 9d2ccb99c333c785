import { renderAnswer, type AnswerFacts, type RenderedAnswer } from '../mail/answer.ts';
import type { OutboxFacts } from '../mail/outbox-files.ts';
import type { Masks } from '../secrets/masks.ts';

/**
 * Files that a secret stands in are not mailed: with something else in its place a patch or an archive would be broken
 * without anybody's knowing. What is compressed is not looked into.
 */
export function withoutSecrets(outbox: OutboxFacts, masks: Masks): OutboxFacts {
  if (masks.isEmpty) return outbox;
  const found = outbox.files.map((file) => ({
    file,
    labels: [...masks.labelsIn(file.content), ...masks.labelsIn(Buffer.from(file.name))],
  }));
  const withheld = found.filter(({ labels }) => labels.length > 0);
  return {
    ...outbox,
    files: found.filter(({ labels }) => labels.length === 0).map(({ file }) => file),
    left: outbox.left.map((one) => ({ ...one, name: masks.text(one.name) })),
    withheld: withheld.map(({ file, labels }) => ({
      name: masks.text(file.name),
      labels: [...new Set(labels)],
    })),
  };
}

const NOTHING = { head: Buffer.alloc(0), tail: Buffer.alloc(0), totalBytes: 0, omittedBytes: 0, log: null };
const WITHHELD =
  'Its output is not shown: codes of the terminal (colours, say) stand there within the value of a secret, which is then ' +
  'not masked. Send the command again without them, as with --color=never.';

/** The mail that answers a command, as it may be sent. Its output was masked when it was read; files are as they are. */
export function renderMasked(facts: AnswerFacts, masks: Masks): RenderedAnswer {
  if (masks.isEmpty) return renderAnswer(facts);
  const { output, files = [], ...texts } = facts;
  const told = { ...masks.all(texts), files };
  const rendered = renderAnswer({ ...told, output });
  if (masks.text(rendered.text) === rendered.text) return rendered;
  const bare = renderAnswer({ ...told, output: NOTHING });
  // A value that is a word of ours is no secret.
  if (masks.text(bare.text) !== bare.text) return rendered;
  return renderAnswer({ ...told, output: NOTHING, notes: [...told.notes, WITHHELD] });
}
