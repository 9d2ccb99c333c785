const MAKES =
  'iP(?:hone|ad|od)|Mac|Android|Galaxy|Samsung|Pixel|BlackBerry|Windows|Huawei|Xiaomi|Redmi|OnePlus|Nokia|mobile|phone|' +
  'Outlook|Mail|Yahoo|AOL|Gmail|Proton ?Mail|Proton|Spark|Fastmail|Thunderbird|K-9|Mailspring|Superhuman|FairEmail|Tuta|GMX|WEB\\.DE';

/** By language. Each is a whole line, and none is a command. */
const PHONE_SIGNATURE = new RegExp(
  '^(?:' +
    [
      `Sent (?:from|with|via|using) (?:my |the |a )?\\[?(?:${MAKES})\\b.*`,
      `(?:Get|Download) (?:\\[?Outlook|\\[?Yahoo Mail|BlueMail) for (?:iOS|Android|Mac|Windows|Desktop)\\b.*`,
      'Yahoo Mail: Search, Organize, Conquer.*',
      '(?:Von meinem|Von meiner|Gesendet von (?:meinem|meiner|mobil|Mail|Outlook|Yahoo)|Gesendet mit) ?.{0,80}',
      '(?:Holen Sie sich|Laden Sie) Outlook für .{1,60}',
      'Diese Nachricht wurde von meinem .{1,60} gesendet\\.?',
      "(?:Envoyé (?:de mon|depuis|à partir d[eu']|avec)|Provenance : Courrier|(?:Obtenir|Télécharger) Outlook pour) ?.{0,80}",
      '(?:Enviado|Obtener Outlook|Obtén Outlook|Descargar? Outlook|Obter o Outlook|Baixar o Outlook) (?:desde|do|da|de|para|a partir do|via|con|com|pelo) ?.{1,80}',
      '(?:Inviato (?:da|dal|con)|(?:Ottieni|Scarica) Outlook per) .{1,80}',
      '(?:Verstuurd|Verzonden) (?:vanaf?|via|met|vanuit) .{1,80}',
      '(?:Outlook voor .{1,20} (?:downloaden|ophalen)|Download Outlook voor .{1,60})',
      '(?:Skickat (?:från|med|via)|Hämta Outlook för) .{1,80}',
      '(?:Sendt (?:fra|med)|Hent Outlook (?:til|for|til)) .{1,80}',
      'Lähetetty .{1,60}|Hanki Outlook .{1,60}',
      '(?:Wysłan[eoay] z|Pobierz (?:aplikację )?Outlook) .{1,60}|Odesláno z .{1,60}|Отправлено (?:с|из) .{1,60}',
      '(?:iPhone|iPad|Android|スマートフォン|Yahoo!メール|Outlook).{0,20}から送信.{0,20}|.{0,20}Outlook.{0,12}を(?:入手|取得)(?:する)?.{0,60}',
      '(?:发自|發自|来自|從|从)我的.{1,40}|从我的.{1,30}发送|(?:发送自|傳送自|寄件自|通过|使用).{1,30}(?:发送|傳送)?|(?:获取|下载|取得|下載) ?.{0,12}Outlook.{0,60}',
      '나의 .{1,20}에서 보냄|.{0,20}에서 보냄',
    ].join('|') +
    ')$',
  'iu',
);

/** "Sent from my iPhone" and its kin, which come without the dashes of a signature. */
export function isPhoneSignature(line: string): boolean {
  return PHONE_SIGNATURE.test(line.trim());
}
