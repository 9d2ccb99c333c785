import { durationInWords, plural } from './amounts.ts';
import { atMoment, momentInWords } from './moments.ts';
import {
  fine,
  quote,
  renderTold,
  words,
  type RenderedNotice,
  type Tellers,
  type Told,
} from './notice-blocks.ts';

/** What is answered to an admin who asks to be let in on the page. */
export type LoginNotice =
  | {
      kind: 'login-link';
      url: string;
      /** The address leads to the bot's own machine. */
      isHereOnly: boolean;
      until: Date;
      sessionMs: number;
      now: Date;
    }
  | { kind: 'login-no-page'; why: 'off' | 'unknown' }
  | { kind: 'login-no-sender-check' }
  | { kind: 'login-too-many'; maximum: number; againAt: Date; now: Date };

export function renderLoginNotice(notice: LoginNotice): RenderedNotice {
  const tell = TELLERS[notice.kind] as (notice: LoginNotice) => Told;
  return renderTold(tell(notice), notice.kind === 'login-link' ? 'notice' : 'refused');
}

const WITH_A_TOKEN = 'npx threadbox token create NAME --role admin';

const TELLERS: Tellers<LoginNotice> = {
  'login-link': ({ url, isHereOnly, until, sessionMs, now }) => ({
    title: 'Your link to the Container Monitor',
    // The list of a mail client shows it: the link is for who opens the mail.
    preheader: `Good once, until ${momentInWords(until, now)}`,
    blocks: [
      words(`It is good once, until ${momentInWords(until, now)}. Open it, and press the button there:`),
      { kind: 'link', url, label: 'Open the Container Monitor' },
      ...(isHereOnly ? hereOnly(url) : []),
      words(`After that you are logged in as an admin for ${durationInWords(sessionMs)} at most.`),
      fine(
        'If you did not ask for this, nothing has happened: the link has gone to you alone. But somebody can write in your name: look at how senders are verified (docs/sender-verification.md).',
      ),
    ],
  }),
  'login-no-page': ({ why }) => ({
    title: 'The Container Monitor cannot be opened by a link',
    blocks:
      why === 'off'
        ? [
            words('It is switched off: HTTP_LISTEN=off. Whoever runs this Threadbox can set these two:'),
            quote('HTTP_LISTEN=127.0.0.1:8330\nPUBLIC_URL=https://threadbox.example.com'),
            words('A proxy that speaks TLS leads from the second to the first: see docs/api.md.'),
          ]
        : [
            words(
              'The bot does not know under which address people reach it. Whoever runs this Threadbox can set it:',
            ),
            quote('PUBLIC_URL=https://threadbox.example.com'),
            words('Until then, there are tokens, made on the machine itself:'),
            quote(WITH_A_TOKEN),
          ],
  }),
  'login-no-sender-check': () => ({
    title: 'No login by mail while nobody is verified',
    blocks: [
      words('With SENDER_AUTH=none anybody can write in the name of an admin, so no link was made.'),
      words(
        'Set SENDER_AUTH: npx threadbox doctor --mail proposes the lines. On the machine itself there is:',
      ),
      quote(WITH_A_TOKEN),
    ],
  }),
  'login-too-many': ({ maximum, againAt, now }) => ({
    title: 'No more links this hour',
    blocks: [
      words(
        `You have had ${plural(maximum, 'link')} in the last hour. There is another one ${atMoment(againAt, now)}; a link that was not used is good for 10 minutes.`,
      ),
    ],
  }),
};

function hereOnly(url: string) {
  const { hostname, port } = new URL(url);
  return [
    words(
      'This address leads to the machine that the bot runs on. From another one, this opens a way first:',
    ),
    quote(`ssh -L ${port}:${hostname}:${port} HOST`),
    fine('Where the page has an address of its own, PUBLIC_URL has to say so: then links lead there.'),
  ];
}
