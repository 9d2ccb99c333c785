import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMessage } from '../../src/mail/parse.ts';
import { readTyped } from '../../src/mail/reply-text.ts';
import {
  BARE,
  check,
  checkAttribution,
  COMMAND,
  html,
  PAGE,
  plain,
  PREFIXED,
  readBoth,
  TYPED_PAGE,
} from './client-mails.ts';

// Answers in languages, and by programs, beside those that most people write in and with.

const GMAIL = [
  'su 22. marrask. 2026 klo 10.00 Threadbox (bot@example.com) kirjoitti:',
  'niedz., 22 lis 2026 o 10:00 Threadbox <bot@example.com> napisał(a):',
  'вс, 22 нояб. 2026 г. в 10:00, Threadbox <bot@example.com>:',
  'Threadbox <bot@example.com>, 22 Kas 2026 Paz, 10:00 tarihinde şunu yazdı:',
  '2026년 11월 22일 (일) 오전 10:00, Threadbox <bot@example.com>님이 작성:',
  'ne 22. 11. 2026 v 10:00 odesílatel Threadbox <bot@example.com> napsal:',
  'Στις Κυρ 22 Νοε 2026 στις 10:00 π.μ., ο/η Threadbox <bot@example.com> έγραψε:',
  'Den søn. 22. nov. 2026 kl. 10.00 skrev Threadbox <bot@example.com>:',
  'нд, 22 лист. 2026 р. о 10:00 Threadbox <bot@example.com> пише:',
  'Vào CN, 22 thg 11, 2026 vào lúc 10:00 Threadbox <bot@example.com> đã viết:',
  'Threadbox <bot@example.com> ezt írta (időpont: 2026. nov. 22., V, 10:00):',
  'ในวันที่ อา. 22 พ.ย. 2026 เวลา 10:00 Threadbox <bot@example.com> เขียนว่า:',
  '\u202bבתאריך יום א׳, 22 בנוב׳ 2026 ב-10:00 מאת \u202aThreadbox\u202c\u200f <\u202abot@example.com\u202c\u200f>:\u202c',
  'في الأحد، ٢٢ نوفمبر ٢٠٢٦ في ١٠:٠٠ ص تمت كتابة ما يلي بواسطة \u202aThreadbox\u202c\u200f <\u202abot@example.com\u202c\u200f>:',
  'در تاریخ یکشنبه ۲۲ نوامبر ۲۰۲۶،\u200f ۱۰:۰۰ Threadbox <bot@example.com> نوشت:',
  'रवि, 22 नव॰ 2026 को 10:00 am बजे को Threadbox <bot@example.com> ने लिखा:',
];
const APPLE = [
  '22 нояб. 2026 г., в 10:00, Threadbox <bot@example.com> написал(а):',
  'Threadbox <bot@example.com> kirjoitti 22.11.2026 kello 10.00:',
  'Wiadomość napisana przez Threadbox <bot@example.com> w dniu 22 lis 2026, o godz. 10:00:',
  'Threadbox <bot@example.com> şunları yazdı (22 Kas 2026 10:00):',
  '2026. 11. 22. 오전 10:00, Threadbox <bot@example.com> 작성:',
  'ב‑22 בנוב׳ 2026, בשעה 10:00, \u200fThreadbox <bot@example.com> כתב/ה:',
];
/** These name no address. */
const THUNDERBIRD = [
  'W dniu 22.11.2026 o 10:00, Threadbox pisze:',
  '2026. 11. 22. 10:00 keltezéssel, Threadbox írta:',
  '26. 11. 22. 10:00에 Threadbox 이(가) 쓴 글:',
  'El 22/11/26 a les 10:00, Threadbox ha escrit:',
  'Dňa 22. 11. 2026 o 10:00 Threadbox napísal(a):',
  'Dne 22. 11. 26 ob 10:00 je Threadbox napisal(a):',
  'Dana 22. 11. 2026. u 10:00, Threadbox je napisao/la:',
  '2026-11-22 10:00, Threadbox rašė:',
  'O 22/11/26 ás 10:00, Threadbox escribiu:',
  'Pe 22.11.2026 10:00, Threadbox a scris:',
];
const OTHERS = [
  // Claws Mail and Sylpheed: the date on a line of its own.
  'On Sun, 22 Nov 2026 10:00:00 +0000\nThreadbox <bot@example.com> wrote:',
  'Am Sun, 22 Nov 2026 10:00:00 +0000\nschrieb Threadbox <bot@example.com>:',
  // Gnus, KMail, Evolution, Alpine, Roundcube, K-9 Mail, Spark.
  'Threadbox <bot@example.com> writes:',
  'On Sunday, 22 November 2026 10:00:00 CET Threadbox wrote:',
  'On Sun, 2026-11-22 at 10:00 +0000, Threadbox wrote:',
  'On Sun, 22 Nov 2026, Threadbox wrote:',
  'Am 22.11.2026 10:00 schrieb Threadbox:',
  'On November 22, 2026 10:00:00 AM UTC, Threadbox <bot@example.com> wrote:',
  'On 22 Nov 2026 at 10:00 +0000, Threadbox <bot@example.com>, wrote:',
  // Zoho.
  '---- On Sun, 22 Nov 2026 10:00:00 +0000 Threadbox <bot@example.com> wrote ----',
];
for (const line of [...GMAIL, ...APPLE, ...THUNDERBIRD, ...OTHERS]) checkAttribution(line);

const TABBED = `Threadbox <bot@example.com> wrote:\n\n${BARE.replaceAll(/^/gm, '\t')}`;
check(
  's-nail, which quotes with tabs, above and below',
  plain(`${COMMAND}\n\n${TABBED}\n`),
  plain(`${TABBED}\n${COMMAND}\n`),
  plain(`${COMMAND}\n\n${TABBED.replaceAll('\t', '> ')}\n`),
);
test('s-nail, between the lines', () =>
  readBoth(plain(`${TABBED.replace('\n\t$ ls', '\ngit log\n\t$ ls')}\npwd\n`), {
    text: 'git log\npwd',
    doubt: 'between-quoted-lines',
  }));

/** Labels of From, Sent, To and Subject above the quoted mail, in their order. */
const HEADERS: Readonly<Record<string, readonly [string, string, string, string]>> = {
  Danish: ['Fra:', 'Sendt:', 'Til:', 'Emne:'],
  Finnish: ['Lähettäjä:', 'Lähetetty:', 'Vastaanottaja:', 'Aihe:'],
  Polish: ['Od:', 'Wysłano:', 'Do:', 'Temat:'],
  Czech: ['Od:', 'Odesláno:', 'Komu:', 'Předmět:'],
  Russian: ['От:', 'Отправлено:', 'Кому:', 'Тема:'],
  Turkish: ['Kimden:', 'Gönderildi:', 'Kime:', 'Konu:'],
  Greek: ['Από:', 'Στάλθηκε:', 'Προς:', 'Θέμα:'],
  Hungarian: ['Feladó:', 'Elküldve:', 'Címzett:', 'Tárgy:'],
  Korean: ['보낸 사람:', '보낸 날짜:', '받는 사람:', '제목:'],
  Catalan: ['De:', 'Enviat:', 'Per a:', 'Assumpte:'],
  Slovak: ['Od:', 'Odoslané:', 'Komu:', 'Predmet:'],
  Hebrew: ['מאת:', 'נשלח:', 'אל:', 'נושא:'],
  Arabic: ['من:', 'تم الإرسال:', 'إلى:', 'الموضوع:'],
  Vietnamese: ['Từ:', 'Đã gửi:', 'Đến:', 'Chủ đề:'],
};
const blockOf = (labels: readonly [string, string, string, string]) =>
  ['Threadbox <bot@example.com>', '22 Nov 2026 10:00', 'John <john@example.com>', 'Re: [app] test']
    .map((value, at) => `${labels[at]} ${value}`)
    .join('\n');
for (const [language, labels] of Object.entries(HEADERS)) {
  const block = blockOf(labels);
  check(
    `Outlook in ${language}, above and below`,
    plain(`${COMMAND}\n\n${block}\n\n${BARE}\n`),
    plain(`${COMMAND}\n\n${'_'.repeat(32)}\n${block}\n\n${BARE}\n`),
    plain(`${block}\n\n${BARE}\n\n${COMMAND}\n`),
  );
}

const SENT_FIRST =
  'Gesendet: Sonntag, 22. November 2026 um 10:00 Uhr\nVon: "Threadbox" <bot@example.com>\nAn: john@example.com\nBetreff: Re: [app] test';
check(
  'GMX and WEB.DE, which tell the time first',
  plain(`${COMMAND}\n\n${SENT_FIRST}\n\n${BARE}\n`),
  plain(`${COMMAND}\n\n${SENT_FIRST.replaceAll(/^/gm, '> ')}\n> \n${PREFIXED}\n`),
  html(
    `<div style="font-family: Verdana;">${TYPED_PAGE}<div>&nbsp;<div name="quote" style="margin:10px"><div style="margin:0 0 10px 0;">${SENT_FIRST.replaceAll('<', '&lt;').replaceAll('\n', '<br>')}</div><div name="quoted-content">${PAGE}</div></div></div></div>`,
  ),
);

const NOTES =
  '-----Threadbox <bot@example.com> wrote: -----\nTo: john@example.com\nFrom: Threadbox <bot@example.com>\nDate: 11/22/2026 10:00AM\nSubject: Re: [app] test';
check('Notes', plain(`${COMMAND}\n\n${NOTES}\n\n${BARE}\n`), plain(`${NOTES}\n\n${BARE}\n\n${COMMAND}\n`));

const MESSAGE_HEAD =
  'From: Threadbox <bot@example.com>\nDate: 22/11/2026 10:00\nTo: John <john@example.com>\nSubject: Re: [app] test';
for (const line of [
  '-------- Original message --------',
  '-------- Ursprüngliche Nachricht --------',
  "-------- Message d'origine --------",
  '------ Originalnachricht ------',
  '---- Replied Message ----',
  '------------------ 原始邮件 ------------------',
])
  check(
    `a phone's or an older program's line: ${line}`,
    plain(`${COMMAND}\n\nSent from my Galaxy\n\n\n${line}\n${MESSAGE_HEAD}\n\n${BARE}\n`),
    plain(`${line}\n${MESSAGE_HEAD}\n\n${BARE}\n\n${COMMAND}\n`),
  );

const head = MESSAGE_HEAD.replaceAll('<', '&lt;')
  .replaceAll(/^(\w+:)/gm, '<b>$1</b>')
  .replaceAll('\n', '<br>');
const WORD = COMMAND.split('\n')
  .map((line) => `<p class=MsoNormal>${line.replaceAll('>', '&gt;')}<o:p></o:p></p>`)
  .join('\n');
/** The marks that say where a quote begins are not those of the large web clients. */
const PAGES: Readonly<Record<string, string>> = {
  'Outlook for Windows': `<div class=WordSection1>${WORD}<p class=MsoNormal><o:p>&nbsp;</o:p></p><div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0in 0in 0in'><p class=MsoNormal>${head}<o:p></o:p></p></div><p class=MsoNormal><o:p>&nbsp;</o:p></p>${PAGE}</div>`,
  Spark: `<div name="messageBodySection">${TYPED_PAGE}</div><div name="messageSignatureSection"><br>Kind regards</div><div name="messageReplySection">Vor 3 Tagen, Threadbox<blockquote type="cite">${PAGE}</blockquote></div>`,
  Roundcube: `${TYPED_PAGE}<p id="reply-intro">Jonkun mielestä 22.11.</p><blockquote type="cite">${PAGE}</blockquote>`,
  Zimbra: `<div>${TYPED_PAGE}</div><hr id="zwchr" data-marker="__DIVIDER__"><div data-marker="__HEADERS__"><blockquote><b>Tundmatu: </b>Threadbox</blockquote></div><div data-marker="__QUOTED_TEXT__"><blockquote>${PAGE}</blockquote></div>`,
  Zoho: `${TYPED_PAGE}<br><div class="zmail_extra"><div>---- Keegi ----</div><blockquote>${PAGE}</blockquote></div>`,
  'Outlook for Windows, new': `${TYPED_PAGE}<div id="mail-editor-reference-message-container"><hr>${head}<br><br>${PAGE}</div>`,
};
for (const [client, page] of Object.entries(PAGES)) check(`only a page, ${client}`, html(page));

test('a line above a quoted answer of ours that seems to announce it is not run, in whatever language', async () => {
  const line = 'Kolmantena päivänä 22.11. robotti tuumasi näin:';
  await readBoth(plain(`${COMMAND}\n\n${line}\n${PREFIXED}\n`), {
    text: `${COMMAND}\n\n${line}`,
    doubt: 'open-quote',
  });
  // A command that ends so, and nothing of ours below it.
  const { text } = await parseMessage(Buffer.from(plain('echo step 1:\n> file')));
  assert.deepEqual(readTyped(text), { text: 'echo step 1:\n> file', doubt: null });
});
