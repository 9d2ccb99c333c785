import { plural } from './amounts.ts';
import { CONTROL_TELLERS, type ControlNotice } from './control-notices.ts';
import { LOOK_TELLERS, type LookNotice } from './look-notices.ts';
import { momentInWords } from './moments.ts';
import { renderTold, type RenderedNotice, type Tellers, type Told } from './notice-blocks.ts';
import { UNASKED_TELLERS, type UnaskedNotice } from './unasked-notices.ts';
import type { MailKind } from './templates.ts';

/** Everything that is told about a thread's container and its saved state, unless it stands in an ordinary answer. */
export type LifecycleNotice = UnaskedNotice | ControlNotice | LookNotice;

const TELLERS: Tellers<LifecycleNotice> = { ...UNASKED_TELLERS, ...CONTROL_TELLERS, ...LOOK_TELLERS };

export function renderLifecycleNotice(notice: LifecycleNotice): RenderedNotice {
  const tell = TELLERS[notice.kind] as (notice: LifecycleNotice) => Told;
  return renderTold(tell(notice), mailKindOf(notice));
}

/** Which template each of them has; all others tell how things are. */
const MAIL_KINDS: Partial<Record<LifecycleNotice['kind'], MailKind>> = {
  'still-running': 'still-running',
  'idle-warning': 'idle-warning',
  expiring: 'idle-warning',
  restored: 'restored',
  help: 'help',
  extended: 'done',
  saved: 'done',
  stopped: 'done',
  fresh: 'done',
  keep: 'done',
  'would-lose': 'refused',
  'at-limit': 'refused',
  'operator-removes': 'refused',
  'nothing-there': 'refused',
  'not-understood': 'refused',
  'save-failed': 'error',
  'disk-short': 'error',
  lost: 'error',
  'not-done': 'error',
};

function mailKindOf(notice: LifecycleNotice): MailKind {
  if (notice.kind === 'extended' && notice.wasRestored) return 'restored';
  return MAIL_KINDS[notice.kind] ?? 'notice';
}

const WHY_IT_WENT = {
  idle: '',
  evicted: ' Its container had made room for another one.',
  stopped: '',
  lost: ' Its container was gone; what happened after that time is not in it.',
  missing:
    ' Its directory was not there any more; what happened after that time is not in it. Everything else in /workspace is as it was.',
};

/** For the first answer after a restore. */
export function restoredNote(
  savedAt: Date,
  files: number,
  reason: keyof typeof WHY_IT_WENT,
  now: Date,
): string {
  const what = files === 0 ? 'no files were changed in it' : plural(files, 'file');
  return `Your work of ${momentInWords(savedAt, now)} was restored: ${what}.${WHY_IT_WENT[reason]}`;
}

/** For the first answer after the saved state has gone. */
export function expiredNote(savedAt: Date, now: Date, keptDays = 7): string {
  return `The saved state of ${momentInWords(savedAt, now)} has expired after ${plural(keptDays, 'day')}; this started from the repository.`;
}
