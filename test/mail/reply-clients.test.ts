import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMessage } from '../../src/mail/parse.ts';
import { readTyped } from '../../src/mail/reply-text.ts';
import {
  BARE,
  both,
  check,
  checkAttribution,
  COMMAND,
  html,
  PAGE,
  plain,
  PREFIXED,
  TYPED_PAGE,
} from './client-mails.ts';

/** Lines of attribution as clients write them; the quoted lines follow with `>`. */
const ATTRIBUTIONS: Readonly<Record<string, readonly string[]>> = {
  Gmail: [
    'On Sun, Nov 22, 2026 at 10:00 AM Threadbox <bot@example.com> wrote:',
    'On Sun, 22 Nov 2026, 10:00 Threadbox for the whole department, <\nbot@example.com> wrote:',
    'Am So., 22. Nov. 2026 um 10:00 Uhr schrieb Threadbox <bot@example.com>:',
    'Le dim. 22 nov. 2026 à 10:00, Threadbox <bot@example.com> a écrit :',
    'El dom, 22 nov 2026 a las 10:00, Threadbox (<bot@example.com>) escribió:',
    'Em dom., 22 de nov. de 2026 às 10:00, Threadbox <bot@example.com>\nescreveu:',
    'Il giorno dom 22 nov 2026 alle ore 10:00 Threadbox <bot@example.com>\nha scritto:',
    'Op zo 22 nov 2026 om 10:00 schreef Threadbox <bot@example.com>:',
    'Den sön 22 nov. 2026 kl 10:00 skrev Threadbox <bot@example.com>:',
    '2026年11月22日(日) 10:00 Threadbox <bot@example.com>:',
    'Threadbox <bot@example.com> 于2026年11月22日周日 10:00写道：',
    'Threadbox <bot@example.com> 於 2026年11月22日 週日 上午10:00寫道：',
  ],
  'Apple Mail': [
    'On 22. Nov 2026, at 10:00, Threadbox <bot@example.com> wrote:',
    'Am 22.11.2026 um 10:00 schrieb Threadbox <bot@example.com>:',
    'Le 22 nov. 2026 à 10:00, Threadbox <bot@example.com> a écrit :',
    'El 22 nov 2026, a las 10:00, Threadbox <bot@example.com> escribió:',
    'Em 22 de nov. de 2026, à(s) 10:00, Threadbox <bot@example.com> escreveu:',
    'Il giorno 22 nov 2026, alle ore 10:00, Threadbox <bot@example.com> ha scritto:',
    'Op 22 nov 2026 om 10:00 heeft Threadbox <bot@example.com> het volgende geschreven:',
    '22 nov. 2026 kl. 10:00 skrev Threadbox <bot@example.com>:',
    '2026/11/22 10:00、Threadbox <bot@example.com>のメール:',
    '2026年11月22日 10:00，Threadbox <bot@example.com> 写道：',
    'Threadbox <bot@example.com> 於 2026年11月22日 上午10:00 寫道：',
  ],
  Thunderbird: [
    'On 11/22/26 10:00, Threadbox wrote:',
    'Am 22.11.26 um 10:00 schrieb Threadbox:',
    'Le 22/11/2026 à 10:00, Threadbox a écrit :',
    'El 22/11/2026 a las 10:00, Threadbox escribió:',
    'Em 22/11/2026 10:00, Threadbox escreveu:',
    'Il 22/11/2026 10:00, Threadbox ha scritto:',
    'Op 22-11-2026 om 10:00 schreef Threadbox:',
    'Den 2026-11-22 kl. 10:00, skrev Threadbox:',
    'On 2026/11/22 10:00, Threadbox wrote:',
    '在 2026/11/22 10:00, Threadbox 写道:',
  ],
  mutt: [
    'On Sun, Nov 22, 2026 at 10:00:00AM +0000, Threadbox wrote:',
    '* Threadbox <bot@example.com> [2026-11-22 10:00]:',
  ],
  Yahoo: [
    'On Sunday, November 22, 2026 at 10:00:00 AM GMT+1, Threadbox <bot@example.com> wrote:',
    'Am Sonntag, 22. November 2026 um 10:00:00 MEZ hat Threadbox <bot@example.com> Folgendes geschrieben:',
    'Le dimanche 22 novembre 2026 à 10:00:00 UTC+1, Threadbox <bot@example.com> a écrit :',
  ],
  Proton: [
    'On Sunday, November 22nd, 2026 at 10:00 AM, Threadbox <bot@example.com> wrote:',
    '‐‐‐‐‐‐‐ Original Message ‐‐‐‐‐‐‐\nOn Sunday, November 22nd, 2026 at 10:00 AM, Threadbox <bot@example.com> wrote:',
  ],
};
for (const [client, lines] of Object.entries(ATTRIBUTIONS))
  for (const line of lines) checkAttribution(line, client);

/** Outlook's block of headers: From, Sent, To, Subject. */
const HEADER_BLOCKS: Readonly<Record<string, readonly [string, string, string, string]>> = {
  English: ['From:', 'Sent:', 'To:', 'Subject:'],
  'English, mobile': ['From:', 'Date:', 'To:', 'Subject:'],
  'English, in bold': ['*From:*', '*Sent:*', '*To:*', '*Subject:*'],
  German: ['Von:', 'Gesendet:', 'An:', 'Betreff:'],
  French: ['De :', 'Envoyé :', 'À :', 'Objet :'],
  Spanish: ['De:', 'Enviado el:', 'Para:', 'Asunto:'],
  Portuguese: ['De:', 'Enviado:', 'Para:', 'Assunto:'],
  'Portuguese of Brazil': ['De:', 'Enviada em:', 'Para:', 'Assunto:'],
  Italian: ['Da:', 'Inviato:', 'A:', 'Oggetto:'],
  Dutch: ['Van:', 'Verzonden:', 'Aan:', 'Onderwerp:'],
  Swedish: ['Från:', 'Skickat:', 'Till:', 'Ämne:'],
  Japanese: ['差出人:', '送信日時:', '宛先:', '件名:'],
  Chinese: ['发件人:', '发送时间:', '收件人:', '主题:'],
  'Chinese of Taiwan': ['寄件者:', '寄件日期:', '收件者:', '主旨:'],
};
for (const [language, [from, sent, to, subject]] of Object.entries(HEADER_BLOCKS)) {
  const block = `${from} Threadbox <bot@example.com>\n${sent} 2026-11-22 10:00\n${to} John <john@example.com>\n${subject} Re: [app] test`;
  check(
    `Outlook in ${language}, above and below`,
    plain(`${COMMAND}\n\n${block}\n\n${BARE}\n`),
    plain(`${COMMAND}\n\n${'_'.repeat(32)}\n${block}\n\n${BARE}\n`),
    plain(`${block}\n\n${BARE}\n\n${COMMAND}\n`),
  );
}

const PHONES = [
  'Sent from my iPhone',
  'Sent from my Galaxy',
  'Sent from Yahoo Mail on Android',
  'Sent from Outlook for iOS<https://aka.ms/o0ukef>',
  'Get Outlook for Android<https://aka.ms/AAb9ysg>',
  'Sent with Proton Mail secure email.',
  'Sent with [Proton Mail](https://proton.me/) secure email.',
  'Sent from Proton Mail for iOS',
  'Von meinem iPhone gesendet',
  'Gesendet von Outlook für Android',
  'Diese Nachricht wurde von meinem Android-Gerät mit K-9 Mail gesendet.',
  'Envoyé de mon iPhone',
  'Envoyé à partir de Outlook pour iOS',
  'Télécharger Outlook pour Android',
  'Enviado desde mi iPhone',
  'Obtener Outlook para iOS',
  'Enviado do meu iPhone',
  'Obter o Outlook para Android',
  'Inviato da iPhone',
  'Scarica Outlook per iOS',
  'Verstuurd vanaf mijn iPhone',
  'Outlook voor iOS downloaden',
  'Skickat från min iPhone',
  'Hämta Outlook för Android',
  'iPhoneから送信',
  'Outlook for iOS を入手する',
  '发自我的 iPhone',
  '从我的iPhone发送',
  '获取 Outlook for iOS',
  '從我的 iPhone 傳送',
];
for (const line of PHONES) {
  check(`a phone's line goes: ${line}`, plain(`${COMMAND}\n\n${line}\n`));
  check(
    `a phone's line goes above a quote: ${line}`,
    plain(
      `${COMMAND}\n\n${line}\n\nOn Sun, 22 Nov 2026 at 10:00, Bot <bot@example.com> wrote:\n\n${PREFIXED}\n`,
    ),
  );
}

const UNKNOWN = 'Sunnuntai 22. marras 2026 klo 10.00 Threadbox &lt;bot@example.com&gt; tuumasi:';
/** As web clients write pages; the line of attribution is in a language that nobody here knows. */
const PAGES: Readonly<Record<string, string>> = {
  Gmail: `<div dir="ltr">${TYPED_PAGE}</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">${UNKNOWN}<br></div><blockquote class="gmail_quote" style="margin:0">${PAGE}</blockquote></div>`,
  'Gmail with a signature': `<div dir="ltr">${TYPED_PAGE}<div><br></div><span class="gmail_signature_prefix">-- </span><br><div dir="ltr" class="gmail_signature" data-smartmail="gmail_signature">John<br>CEO</div></div><div class="gmail_quote"><div class="gmail_attr">${UNKNOWN}</div><blockquote class="gmail_quote">${PAGE}</blockquote></div>`,
  'Apple Mail': `${TYPED_PAGE}<div><br><blockquote type="cite"><div>${UNKNOWN}</div><br>${PAGE}</blockquote></div>`,
  'Outlook on the web': `<div class="elementToProof">${TYPED_PAGE}</div><div id="appendonsend"></div><hr style="display:inline-block;width:98%"><div id="divRplyFwdMsg" dir="ltr"><b>Lähettäjä Joku:</b> Threadbox<br><b>Aihe:</b> x</div>${PAGE}`,
  'Outlook for iOS': `<div>${TYPED_PAGE}</div><div id="ms-outlook-mobile-signature">John<br>CEO</div><div id="mail-editor-reference-message-container"><div>${UNKNOWN}</div>${PAGE}</div>`,
  'Outlook with its signature': `${TYPED_PAGE}<div id="Signature"><p>John Doe</p><p>Example Ltd</p></div><div id="appendonsend"></div><div id="divRplyFwdMsg">${UNKNOWN}</div>${PAGE}`,
  Yahoo: `<div class="ydp1">${TYPED_PAGE}</div><div id="yahoo_quoted_123" class="yahoo_quoted"><div>${UNKNOWN}</div><div>${PAGE}</div></div>`,
  Proton: `<div>${TYPED_PAGE}</div><div class="protonmail_signature_block">Sent from somewhere</div><div class="protonmail_quote">${UNKNOWN}<br><blockquote class="protonmail_quote" type="cite">${PAGE}</blockquote></div>`,
  Thunderbird: `<body>${TYPED_PAGE}<div class="moz-cite-prefix">${UNKNOWN}<br></div><blockquote type="cite" cite="mid:a@b">${PAGE}</blockquote>`,
};
/** How the pages' signatures stand in the text part. */
const SIGNATURES: Readonly<Record<string, string>> = {
  'Gmail with a signature': '-- \nJohn\nCEO\n\n',
  'Outlook for iOS': 'John\nCEO\n\n',
  'Outlook with its signature': 'John Doe\n\nExample Ltd\n\n',
  Proton: 'Sent from somewhere\n\n',
};
for (const [client, body] of Object.entries(PAGES)) {
  check(`only a page, ${client}`, html(body));
  const words = UNKNOWN.replaceAll('&lt;', '<').replaceAll('&gt;', '>');
  check(
    `a page beside the text tells where the quote begins, ${client}`,
    both(`${COMMAND}\n\n${SIGNATURES[client] ?? ''}${words}\n\n${BARE}\n`, body),
  );
}

check(
  'a whole mail of a page alone, typed below the quote',
  html(`<blockquote type="cite">${PAGE}</blockquote>${TYPED_PAGE}`),
);

test('a mail that is answered inline on a page is asked about', async () => {
  const body = `<div class="gmail_quote"><div class="gmail_attr">${UNKNOWN}</div><blockquote class="gmail_quote">one</blockquote></div><div>ls</div><blockquote class="gmail_quote">two</blockquote><div>pwd</div>`;
  const { text } = await parseMessage(Buffer.from(html(body)));
  assert.deepEqual(readTyped(text), { text: 'ls\npwd', doubt: 'between-quoted-lines' });
});
