/** How mail clients announce that quoted text begins. Each sign is narrow: a line of a command must not look like one. */

const WROTE = new RegExp(
  [
    'wrote',
    'writes',
    'schrieb',
    'geschrieben',
    'geschreven',
    'a écrit',
    'escribió',
    'ha scritto',
    'escreveu',
    'schreef',
    'skrev',
    'kirjoitti',
    'napsal',
    'napisał',
    'написал',
    'пишет',
    'пише',
    'написа',
    'yazdı',
    'έγραψε',
    'a scris',
    '写道',
    '寫道',
    'のメール',
    'さんは書きました',
    '작성',
    'ได้เขียน',
    'menulis',
    'ha escrit',
    'escribiu',
    'napísal',
    'napisal',
    'napisao',
    'napisana',
    'pisze',
    'írta',
    'rašė',
    '쓴 글',
    'เขียน',
    'כתב',
    'נכתב',
    'نوشت',
    'كتب',
    'लिखा',
    'đã viết',
    'va escriure',
  ].join('|'),
  'iu',
);
const ADDRESS = /[<([][^\s<>()[\]]+@[^\s<>()[\]]+[>)\]]/;
/** How a line of attribution begins that is long enough to have been wrapped. */
const OPENING = /^(?:\d|(?:On|At|Am|Le|El|Il|Em|A|Às|No|Op|Den|Dne|Dnia|W|Vào|Pe|På|На|在|於|El dia)\s)/u;
const WRAPPED_FROM = 40;
/** Claws Mail and Sylpheed give the date a line of its own. */
const DATE_LINE = /\d{4}\D+\d{1,2}[:.]\d{2}/;
const COLON = /[:：]$/;
/** Whom all our mails are from, but where somebody has them in an address book under another name. */
const OUR_NAME = /\bthreadbox\b/i;

/**
 * The line after a line of attribution ("On Monday, Bot wrote:") that begins at `at`, or null when none does.
 *
 * @param isOurs our marker stands further below: the attribution need not be followed by `>` lines
 */
export function attributionEnd(lines: readonly string[], at: number, isOurs: boolean): number | null {
  for (let length = 1; length <= 3; length += 1) {
    const end = at + length;
    if (end > lines.length) return null;
    if (length > 1 && !mayBeWrapped(lines, at, length)) return null;
    const line = lines
      .slice(at, end)
      .map((part) => visible(part))
      .join(' ');
    // In a script it would be a comment.
    if (line.startsWith('#') || !(COLON.test(line) || isBetweenDashes(line))) continue;
    const next = lines.slice(end, end + 5).find((later) => later.trim() !== '');
    if (isAttribution(line, { isOurs, isQuoteNext: next?.startsWith('>') ?? false })) return end;
  }
  return null;
}

/** As Zoho and Notes put them around it. */
const isBetweenDashes = (line: string) => line.startsWith('--') && line.endsWith('--');

function isAttribution(
  line: string,
  { isOurs, isQuoteNext }: { isOurs: boolean; isQuoteNext: boolean },
): boolean {
  const hasVerb = WROTE.test(line);
  const hasNumber = /\p{Nd}/u.test(line);
  const hasSource = hasNumber && ADDRESS.test(line);
  if ((isOurs || isBetweenDashes(line)) && hasVerb && ADDRESS.test(line)) return true;
  if (isQuoteNext) return hasVerb || hasSource || (hasNumber && OUR_NAME.test(line));
  return (hasVerb && hasNumber && (isOurs || hasSource)) || (isOurs && hasSource);
}

function mayBeWrapped(lines: readonly string[], at: number, length: number): boolean {
  const before = unquoted(lines[at - 1] ?? '').trim();
  const first = unquoted(lines[at] ?? '').trim();
  if (before !== '' || !OPENING.test(first)) return false;
  if (first.length < WRAPPED_FROM && !DATE_LINE.test(first)) return false;
  return lines.slice(at, at + length).every((line) => unquoted(line).trim() !== '');
}

const unquoted = (line: string) => line.replace(/^(?:>\s?)+/, '');
/** Scripts that are written from right to left bring marks along that nobody sees. */
function visible(line: string): string {
  if (line.length > LONGEST_SIGN) return '';
  const text = unquoted(line).trim();
  return ASCII.test(text) ? text : text.replaceAll(/\p{Cf}/gu, '').trim();
}
// oxlint-disable-next-line no-control-regex -- most lines have no other characters, and that is found out quickly
const ASCII = /^[\0-\x7f]*$/;
/** What is longer is none, and would be much work. */
const LONGEST_SIGN = 1000;

const FROM =
  'From|Von|De|Da|Van|Från|Fra|Lähettäjä|Od|От|От кого|Від|Gönderen|Kimden|Από|Feladó|De la|发件人|寄件者|差出人|보낸 사람';
const DATE =
  'Sent|Date|Gesendet|Datum|Envoyé|Enviado|Enviado el|Enviado em|Enviada em|Fecha|Data|Inviato|Verzonden|Skickat|Sendt|Dato|' +
  'Lähetetty|Päivämäärä|Wysłano|Odesláno|Дата|Отправлено|Надіслано|Gönderme Tarihi|Gönderildi|Tarih|Ημερομηνία|Στάλθηκε|' +
  'Elküldve|Dátum|Trimis|发送时间|日期|寄件日期|送信日時|日時|보낸 날짜|날짜';
const SUBJECT =
  'Subject|Betreff|Objet|Asunto|Assunto|Oggetto|Onderwerp|Ämne|Emne|Aihe|Temat|Předmět|Тема|Konu|Θέμα|Tárgy|Subiect|主题|主旨|件名|제목';
const header = (names: string) => new RegExp(`^\\*{0,2}(?:${names})\\*{0,2}\\s?[:：]\\*{0,2}\\s*\\S`, 'iu');
const FROM_HEADER = header(FROM);
const DATE_HEADER = header(DATE);
const SUBJECT_HEADER = header(SUBJECT);
const HEADER_BLOCK_LINES = 8;

const LABELLED = /^\*{0,2}\p{L}[\p{L}\p{M}\p{Zs}.'’-]{0,30}\*{0,2}\s?[:：]\*{0,2}\s*\S/u;

/**
 * Outlook's way: From, Sent and Subject of the quoted mail in lines on end, then its text without any prefix. GMX has them
 * in another order.
 *
 * @param isOurs our marker stands further below: their names need not be known
 */
export function isHeaderBlock(lines: readonly string[], at: number, isOurs: boolean): boolean {
  if (isOutlooksBlock(lines, at)) return true;
  if (LABELLED.test(visible(lines[at - 1] ?? ''))) return false;
  const run: string[] = [];
  for (let line = visible(lines[at] ?? ''); LABELLED.test(line) && run.length < HEADER_BLOCK_LINES;) {
    run.push(line);
    line = visible(lines[at + run.length] ?? '');
  }
  const has = (sign: RegExp) => run.some((line) => sign.test(line));
  if (has(FROM_HEADER) && has(DATE_HEADER) && has(SUBJECT_HEADER)) return true;
  return isOurs && run.length >= 4 && has(/\p{Nd}{4}/u) && (has(ADDRESS) || has(OUR_NAME));
}

function isOutlooksBlock(lines: readonly string[], at: number): boolean {
  if (!FROM_HEADER.test(unquoted(lines[at] ?? ''))) return false;
  const rest = lines.slice(at + 1, at + HEADER_BLOCK_LINES).map(unquoted);
  const blank = rest.findIndex((line) => line.trim() === '');
  const block = blank === -1 ? rest : rest.slice(0, blank);
  return block.some((line) => DATE_HEADER.test(line)) && block.some((line) => SUBJECT_HEADER.test(line));
}

const DASHES = '[-\u2010-\u2015_]{2,}';
const DIVIDER = new RegExp(
  `^${DASHES}\\s*(?:Original(?: Message| Appointment)?|Forwarded message|Repl(?:y|ied) message|` +
    'Ursprüngliche Nachricht|Originalnachricht|' +
    "Weitergeleitete Nachricht|Message d[’']origine|Message transféré|Mensaje original|Mensagem original|" +
    'Messaggio originale|Oorspronkelijk bericht|Originalmeddelande|Ursprungligt meddelande|Oprindelig meddelelse|' +
    'Opprinnelig melding|Alkuperäinen viesti|Oryginalna wiadomość|Wiadomość oryginalna|Původní zpráva|Исходное сообщение|' +
    'Orijinal Mesaj|原始邮件|原始郵件|元のメッセージ|원본 메시지|回复的原邮件|轉寄的郵件|転送メッセージ)' +
    `\\s*${DASHES}$`,
  'iu',
);

const FORWARDED =
  /^(?:Begin forwarded message|Anfang der weitergeleiteten Nachricht|Début du message (?:transféré|réexpédié)|Inicio del mensaje reenviado|Início da mensagem encaminhada|Inizio messaggio inoltrato|Begin doorgestuurd bericht|Vidarebefordrat brev|転送されたメッセージ|下面是被转发的邮件|開始轉寄的郵件)\s?[:：]$/iu;

/** What stands for the beginning of a quote that only the HTML of a mail tells: {@link isDivider} knows it. */
export const QUOTE_SIGN = '-----Original Message-----';

/** A line that names the original message, or Outlook's rule above its block of headers. */
export function isDivider(lines: readonly string[], at: number, isOurs: boolean): boolean {
  const line = unquoted(lines[at] ?? '').trim();
  if (DIVIDER.test(line) || FORWARDED.test(line)) return true;
  if (!/^_{10,}$/.test(line)) return false;
  const next = [1, 2, 3].find((distance) => (lines[at + distance] ?? '').trim() !== '');
  return next !== undefined && isHeaderBlock(lines, at + next, isOurs);
}
