import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium, type Browser, type Page } from 'playwright-core';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { openStage, type Stage } from '../lifecycle/stage.ts';
import { ALICE, BOB } from '../support/app.ts';
import { openClient, type Client } from './client.ts';

const MARKUP = '<img src=x onerror="document.title=1">';
/** Where pictures of what is looked at go; nowhere when it is not set. */
const PICTURES = process.env['MONITOR_PICTURES'];

let stage: Stage;
let client: Client;
let browser: Browser;
let page: Page;
const faults: string[] = [];

before(async () => {
  stage = await openStage({ HTTP_LISTEN: '127.0.0.1:0' });
  client = await openClient(stage);
  browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-sync',
    ],
  });
  page = await open({ width: 1280, height: 860 }, 'light');
});
after(async () => {
  await browser?.close();
  await stage.close();
});

/** A window of its own. What it complains of, or loads from elsewhere, is a fault. */
async function open(
  viewport: { width: number; height: number },
  colorScheme: 'light' | 'dark',
): Promise<Page> {
  const context = await browser.newContext({ viewport, colorScheme, locale: 'en-GB', timezoneId: 'UTC' });
  const opened = await context.newPage();
  opened.on('pageerror', (error) => faults.push(error.message));
  opened.on('console', (message) => {
    if (message.type() === 'error' && !/status of (?:401|409|503)/.test(message.text()))
      faults.push(message.text());
  });
  opened.on('request', (request) => {
    if (!request.url().startsWith(client.base)) faults.push(`loaded from elsewhere: ${request.url()}`);
  });
  return opened;
}

async function logIn(on: Page, token: string): Promise<void> {
  await on.goto(client.base);
  await on.getByLabel('Token').fill(token);
  await on.getByRole('button', { name: 'Log in' }).click();
  await on.getByRole('link', { name: 'Containers' }).waitFor();
}

async function picture(on: Page, name: string): Promise<void> {
  if (PICTURES === undefined) return;
  await mkdir(PICTURES, { recursive: true });
  await on.screenshot({ path: join(PICTURES, `${name}.png`) });
}

const threadOf = (label: string) => `alice@example.com-sample#${label}`;
const send = (label: string, body: string, from = ALICE) =>
  sendToBot(stage.bot.userAt(from), { to: stage.bot.botAddress, subject: `[sample#${label}] Work`, body });
const card = (label: string) => page.getByRole('article', { name: threadOf(label) });
const toast = (words: RegExp) => page.locator('#toast', { hasText: words }).waitFor();

test('a wrong token is refused in words, the right one shows what is there', async () => {
  await stage.ask(`echo '${MARKUP}' > work.txt; cat work.txt; ls; seq 40`, {
    subject: '[sample#login] Work',
  });
  await page.goto(client.base);
  await page.getByLabel('Token').fill('tbx_1_wrong');
  await page.keyboard.press('Enter');
  await page.getByText(/Send a token that holds/).waitFor();
  await picture(page, 'login-light-1280');
  await logIn(page, client.admin);
  await card('login')
    .getByText(/^Clean-up in 4\d:\d\d$/)
    .waitFor();
  await card('login')
    .getByText(/ of 2\.0 GB$/)
    .waitFor();
});

test('a command that begins is seen without asking, and cancelled by the button', async () => {
  await send('run', `echo '${MARKUP}'; echo working on it; while :; do sleep 0.05; done`);
  await card('run').getByRole('button', { name: 'Cancel' }).waitFor();
  await send('run', 'npm test');
  await card('run').getByText('runs, 1 waiting').waitFor();
  await stage.ask('true', { from: BOB, subject: '[sample#dark] Work' });
  for (const [width, height] of [
    [1280, 860],
    [390, 844],
  ] as const) {
    for (const scheme of ['light', 'dark'] as const) {
      const other = await open({ width, height }, scheme);
      await logIn(other, client.reader);
      await other
        .getByText(/ of 2\.0 GB$/)
        .first()
        .waitFor();
      assert.equal(
        await other.getByRole('button', { name: 'Extend' }).count(),
        0,
        'who may only read has no buttons',
      );
      await picture(other, `containers-${scheme}-${width}`);
      const overflow = 'document.documentElement.scrollWidth > document.documentElement.clientWidth';
      for (const view of ['Threads', 'Saved', 'Refused', 'Figures']) {
        await other.getByRole('link', { name: view, exact: true }).click();
        await other.locator('#main :is(table, .empty, .tiles)').first().waitFor();
        assert.equal(await other.evaluate(overflow), false, `${view} is too wide at ${width}`);
        await picture(other, `${view.toLowerCase()}-${scheme}-${width}`);
      }
      await other.goto(`${client.base}/#/threads/${encodeURIComponent(threadOf('login'))}`);
      await other.locator('summary').first().click();
      await other.getByText(MARKUP).last().waitFor();
      await picture(other, `thread-${scheme}-${width}`);
      assert.equal(await other.evaluate(overflow), false, `a thread is too wide at ${width}`);
      await other.context().close();
    }
  }
  await picture(page, 'admin-light-1280');
  await card('run').getByRole('button', { name: 'Cancel' }).click();
  await picture(page, 'dialog-light-1280');
  await page.getByRole('button', { name: 'Cancel the command' }).click();
  await toast(/It is being ended/);
  await stage.mailLike(/An operator of Threadbox has ended it/);
});

test('extend, save and clean up ask first, and tell what came of it', async () => {
  await card('login').getByRole('button', { name: 'Extend' }).click();
  await page.keyboard.press('Escape');
  await card('login').getByRole('button', { name: 'Extend' }).click();
  await page.getByLabel('For').selectOption('2 hours');
  await page.locator('#dialog-yes').click();
  await toast(/^Kept until /);
  await card('login')
    .getByText(/^Clean-up in 1:59:\d\d$/)
    .waitFor();
  await card('login').getByRole('button', { name: 'Save' }).click();
  await page.locator('#dialog-yes').click();
  await toast(/^Saved: 1 file changed/);
  await card('login').getByRole('button', { name: 'Clean up' }).click();
  await page.locator('#dialog-yes').click();
  await toast(/^Saved, and removed/);
  await card('login').waitFor({ state: 'detached' });
  assert.equal((await stage.session(threadOf('login')))?.end_reason, 'stopped');
  await page.getByRole('link', { name: 'Saved' }).click();
  await page.getByRole('link', { name: threadOf('login') }).waitFor();
});

test('search finds, pause and resume are for all to see, and a token that is taken back ends the page', async () => {
  await page.getByRole('link', { name: 'Threads' }).click();
  await page.getByRole('link', { name: threadOf('run') }).waitFor();
  await page.getByLabel('Search in this view').fill('#login');
  await page.getByRole('link', { name: threadOf('run') }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByLabel('Reason').fill(MARKUP);
  await page.locator('#dialog-yes').click();
  await page.getByText(`Reason: ${MARKUP}`).waitFor();
  await page.getByRole('button', { name: 'Resume' }).click();
  await page.locator('#dialog-yes').click();
  await toast(/goes on/);
  await page.locator('#paused').waitFor({ state: 'hidden' });
  await stage.bot.app.db('api_tokens').update({ revoked_at: stage.bot.app.db.fn.now() });
  await page.getByRole('link', { name: 'Figures' }).click();
  await page.getByLabel('Token').waitFor();
  assert.equal(await page.title(), 'Threadbox');
  assert.deepEqual(faults, []);
});
