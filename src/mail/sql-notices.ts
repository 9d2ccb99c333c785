import { durationInWords, plural, sizeInWords } from './amounts.ts';
import { csvLeftOutWords, csvWords } from './attachment-words.ts';
import { faultLine } from './fault-line.ts';
import { momentInWords } from './moments.ts';
import { DOUBTS } from './notice-reasons.ts';
import {
  fine,
  quote,
  renderTold,
  reply,
  words,
  type Block,
  type RenderedNotice,
  type Tellers,
  type Told,
} from './notice-blocks.ts';
import type { Doubt } from './reply-text.ts';
import type { SqlFault, SqlResult, SqlRows } from './sql-results.ts';
import { shownCell, tableWidth, textTable } from './text-table.ts';
import { visibleLine, visibleText } from './visible-text.ts';

/** `isAttached`: false where it would make the mail too large. */
type CsvFile = { name: string; sizeBytes: number; isAttached: boolean };

/** What is answered to an admin who mails SQL. */
export type SqlNotice =
  | {
      kind: 'sql-answer';
      /** `csv`: the file with all its rows. */
      results: readonly (SqlResult & { csv: CsvFile | null })[];
      trustedUntil: Date;
      limits: { rows: number; bytes: number };
      now: Date;
    }
  | { kind: 'sql-confirm'; queries: readonly string[]; why: 'first' | 'over' | 'late' | 'unclear' }
  | { kind: 'sql-declined' }
  | { kind: 'sql-nothing-waits'; isTrusted: boolean }
  | { kind: 'sql-empty' }
  | { kind: 'sql-unsure'; understood: string; doubt: Doubt }
  | { kind: 'sql-fault'; fault: string }
  | { kind: 'sql-no-sender-check' }
  | { kind: 'sql-no-token' };

export function renderSqlNotice(notice: SqlNotice): RenderedNotice {
  const tell = TELLERS[notice.kind] as (notice: SqlNotice) => Told;
  const isRefusal = notice.kind !== 'sql-answer' && notice.kind !== 'sql-confirm';
  return renderTold(tell(notice), isRefusal ? 'refused' : 'notice');
}

const SHOWN_ROWS = 50;
/** Mail programs cut a mail that is longer than about 100 KB. */
const SHOWN_CHARACTERS = 30_000;
/** Of one row: of a thousand long values there is the beginning. */
const SHOWN_OF_ROW = 10_000;
const SHOWN_CELL = 300;
/** Wider, no window of a mail program shows a table whole. */
const WIDEST_TABLE = 84;
/** PostgreSQL's own types: int8, int2, int4, oid, float4, float8, numeric. */
const NUMBERS: ReadonlySet<number> = new Set([20, 21, 23, 26, 700, 701, 1700]);

const WHY = {
  first: 'A query by mail is run when its sender has shown that they read their mail.',
  over: 'This conversation was confirmed more than 12 hours ago.',
  late: 'What you answer was asked more than an hour ago; a question is good for an hour.',
  unclear: 'What you wrote is neither yes nor a query.',
};

const TELLERS: Tellers<SqlNotice> = {
  'sql-answer': answer,
  'sql-confirm': ({ queries, why }) => ({
    title: 'Reply to this mail to confirm that you asked',
    blocks: [
      words(`Nothing was run yet. ${WHY[why]} This is what would be run:`),
      ...queries.slice(0, 5).map((query) => quote(query)),
      ...(queries.length > 5 ? [fine(`and ${queries.length - 5} more`)] : []),
      words(
        `Within an hour${why === 'unclear' ? ' of asking it' : ''}, reply with this one word, and leave the address that your mail program fills in:`,
      ),
      reply('yes'),
      words(
        'For 12 hours from then on, what you write in this conversation is run at once. If you did not ask this, do not reply: somebody writes in your name.',
      ),
    ],
  }),
  'sql-declined': () => ({
    title: 'Nothing was run, and nothing waits any more',
    blocks: [
      words(
        'If you did not ask it, somebody can write in your name: look at how senders are verified (docs/sender-verification.md), and at threadbox inbox.',
      ),
    ],
  }),
  'sql-nothing-waits': ({ isTrusted }) => ({
    title: 'Nothing waits to be confirmed here',
    blocks: [
      words(
        isTrusted
          ? 'Nothing was run. This conversation is confirmed: write your query, and it is run at once.'
          : 'Nothing was run. If a newer mail asks you to confirm, answer that one; else write your query.',
      ),
    ],
  }),
  'sql-empty': () => ({
    title: 'There was no query in this mail',
    blocks: [
      words('Nothing was run. Write one or more queries into the mail, with semicolons between them:'),
      {
        kind: 'mail',
        subject: '[sql] Who is active',
        body: 'SELECT * FROM container_sessions\nWHERE is_active = true;',
      },
      words('Or one word: queries lists those that have a name, such as active or failures.'),
    ],
  }),
  'sql-unsure': ({ understood, doubt }) => ({
    title: 'Which part of this mail is the query?',
    blocks: [
      words(`Nothing was run. ${DOUBTS[doubt]}`),
      ...(understood.trim() === '' ? [] : [words('This is what was understood:'), quote(understood)]),
      words('Write the query alone, above anything quoted, between two lines like these:'),
      reply('```\nSELECT 42;\n```'),
    ],
  }),
  'sql-fault': ({ fault }) => ({ title: 'No query was run', blocks: [words(visibleLine(fault, 500))] }),
  'sql-no-sender-check': () => ({
    title: 'No SQL by mail while nobody is verified',
    blocks: [
      words(
        'Nothing was run. With SENDER_AUTH=none anybody can write in the name of an admin, and an admin can read everything.',
      ),
      words(
        'Set SENDER_AUTH: npx threadbox doctor --mail proposes the lines. On the machine itself there is:',
      ),
      quote('npx threadbox sql'),
    ],
  }),
  'sql-no-token': () => ({
    title: 'SQL by mail needs REPLY_TOKEN=on',
    blocks: [
      words(
        'Nothing was run. Queries are confirmed by the token in Reply-To, and REPLY_TOKEN=off leaves it out. On the machine itself there is:',
      ),
      quote('npx threadbox sql'),
    ],
  }),
};

function answer({ results, trustedUntil, limits, now }: Extract<SqlNotice, { kind: 'sql-answer' }>): Told {
  const blocks = results.flatMap((result, index) => [
    ...(results.length > 1 ? [heading(result, index)] : []),
    ...blocksOf(result, limits, results.length),
  ]);
  const [only] = results;
  const failed = results.filter(({ kind }) => kind === 'fault').length;
  const title =
    results.length === 1 && only
      ? titleOf(only)
      : `${plural(results.length, 'query').replace('querys', 'queries')}${failed > 0 ? `, ${failed} with an error` : ''}`;
  return {
    title,
    preheader: [title, ...results.map((result) => (results.length > 1 ? titleOf(result) : ''))]
      .filter(Boolean)
      .join(' · '),
    blocks: [
      ...blocks,
      fine(
        `Reply with your next query. This conversation is trusted until ${momentInWords(trustedUntil, now)}. The word queries lists those that have a name.`,
      ),
    ],
  };
}

const heading = ({ name, query }: SqlResult, index: number): Block => ({
  kind: 'heading',
  text: `${index + 1}. ${name ?? visibleLine(query.replace(/\s+/g, ' '), 80)}`,
});

function titleOf(result: SqlResult): string {
  const took = ` in ${durationInWords(result.durationMs)}`;
  if (result.kind === 'saved') return `Saved as ${result.savedAs}`;
  if (result.kind === 'fault') return faultTitle(result);
  return `${result.cut === null ? '' : 'More than '}${plural(result.rows.length, 'row')}${took}`;
}

const faultTitle = ({ isTimeout, isRefused = false }: SqlFault): string =>
  isTimeout ? 'Ended at the time limit' : `This query ${isRefused ? 'was not' : 'could not be'} run`;

function blocksOf(
  result: SqlResult & { csv: CsvFile | null },
  limits: { rows: number; bytes: number },
  count: number,
): Block[] {
  if (result.kind === 'saved') {
    return [
      words(
        `From now on, the word ${result.savedAs} asks it: as a mail in this conversation, or behind [sql] in a subject.`,
      ),
    ];
  }
  const told = count > 1 ? [fine(titleOf(result))] : [];
  return result.kind === 'fault'
    ? [...told, ...faultBlocks(result)]
    : [...told, ...rowBlocks(result, limits, SHOWN_CHARACTERS / count)];
}

function rowBlocks(
  result: SqlRows & { csv: CsvFile | null },
  limits: { rows: number; bytes: number },
  share: number,
): Block[] {
  const { rows, cut, csv } = result;
  const all = result.columns.map(({ name, typeId }) => ({ name, isNumber: NUMBERS.has(typeId) }));
  if (rows.length === 0) {
    return cut === 'bytes'
      ? [tooLarge(limits.bytes)]
      : [words(`No rows. The columns: ${visibleLine(all.map(({ name }) => name).join(', '), SHOWN_OF_ROW)}`)];
  }
  const columns = firstColumns(all, rows[0] ?? []);
  const beginnings = rows.slice(0, SHOWN_ROWS).map((row) => row.slice(0, columns.length));
  const shown = firstRows(beginnings, share);
  const more = [
    ...(columns.length < all.length
      ? [`These are the first ${columns.length} of ${all.length} columns.`]
      : []),
    ...(rows.length > shown.length ? [`These are the first ${shown.length} of ${rows.length} rows.`] : []),
    ...(cut === 'rows' ? [`No more than ${limits.rows} are read.`] : []),
    ...(csv === null
      ? []
      : [
          csv.isAttached
            ? csvWords(csv.name, {
                hasMore: rows.length > shown.length || columns.length < all.length,
              })
            : csvLeftOutWords(csv.name, csv.sizeBytes),
        ]),
  ].join(' ');
  return [
    {
      kind: 'rows',
      isTable: tableWidth(columns, shown) <= WIDEST_TABLE,
      columns: columns.map(({ name, isNumber }) => ({ name: shownCell(name, 100), isNumber })),
      rows: shown,
      text: textTable(columns, shown),
    },
    ...(cut === 'bytes' ? [tooLarge(limits.bytes)] : []),
    ...(more === '' ? [] : [fine(more)]),
  ];
}

/** As many as one row may show. */
function firstColumns<T extends { name: string }>(columns: readonly T[], row: SqlRows['rows'][number]): T[] {
  let characters = 0;
  return columns.filter(({ name }, at) => {
    characters += shownCell(name, SHOWN_CELL).length + shownCell(row[at] ?? null, SHOWN_CELL).length + 4;
    return at === 0 || characters <= SHOWN_OF_ROW;
  });
}

/** Cut as they are shown, until there are enough of them for one mail; the first one in any case. */
function firstRows(rows: SqlRows['rows'], mostCharacters: number): (string | null)[][] {
  const shown: (string | null)[][] = [];
  let characters = 0;
  for (const row of rows) {
    const cut = row.map((cell) => (cell === null ? null : shownCell(cell, SHOWN_CELL)));
    characters += cut.reduce((sum, cell) => sum + (cell ?? '').length + 4, 0);
    if (characters > mostCharacters && shown.length > 0) break;
    shown.push(cut);
  }
  return shown;
}

const tooLarge = (limitBytes: number): Block =>
  words(
    `There is more: no more than ${sizeInWords(limitBytes)} of a result is read. Ask for fewer columns, or cut long texts with left(text, 200).`,
  );

function faultBlocks(fault: SqlFault): Block[] {
  const pointed = faultLine(fault);
  return [
    words(`${capital(visibleText(fault.message))}${/[.!?]$/.test(fault.message) ? '' : '.'}`),
    ...(pointed === null ? [] : [quote(pointed)]),
    ...(fault.hint === null ? [] : [words(visibleText(fault.hint))]),
  ];
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
