import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { openStage, type Stage } from '../lifecycle/stage.ts';
import { ALICE, BOB } from '../support/app.ts';
import { openBrowser, type TestBrowser } from './browser.ts';
import { buttonTests, MARKUP } from './buttons.ts';
import { openClient, type Client } from './client.ts';

/** Where pictures of what is looked at go; nowhere when it is not set. */
const PICTURES = process.env['MONITOR_PICTURES'];

let stage: Stage;
let client: Client;
let browser: TestBrowser;

before(async () => {
  stage = await openStage({ HTTP_LISTEN: '127.0.0.1:0', ADMIN_ADDRESSES: BOB });
  client = await openClient(stage);
  browser = await openBrowser(client.base);
});
after(async () => {
  await browser?.close();
  await stage.close();
});

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

test('a wrong token is refused in words', async () => {
  const page = await browser.open({ width: 1280, height: 860, scheme: 'light' });
  await page.goto(client.base);
  await page.getByLabel('Token').fill('tbx_1_wrong');
  await page.keyboard.press('Enter');
  await page.getByText(/Send a token that holds/).waitFor();
  await picture(page, 'login-light-1280');
  await page.context().close();
});

test('each view fits into a phone and a desk, light and dark; who may only read has no buttons', async () => {
  await stage.ask(`echo '${MARKUP}' > work.txt; cat work.txt; ls; seq 40`, {
    subject: '[sample#login] Work',
  });
  for (const body of [`echo '${MARKUP}'; while :; do sleep 0.05; done`, 'npm test']) {
    const mail = { to: stage.bot.botAddress, subject: '[sample#run] Work', body };
    await sendToBot(stage.bot.userAt(ALICE), mail);
  }
  await stage.untilRuns('sleep 0.05', threadOf('run'));
  await stage.ask('true', { from: BOB, subject: '[sample#dark] Work' });
  for (const [width, height] of [
    [1280, 860],
    [360, 760],
  ] as const) {
    for (const scheme of ['light', 'dark'] as const) {
      const page = await browser.open({ width, height, scheme });
      const look = async (name: string) => {
        const overflow = 'document.documentElement.scrollWidth > document.documentElement.clientWidth';
        assert.equal(await page.evaluate(overflow), false, `${name} is too wide at ${width}`);
        await picture(page, `${name}-${scheme}-${width}`);
      };
      await logIn(page, client.reader);
      await page.getByText('runs, 1 waiting').waitFor();
      // Only what is seen is measured: all three at a desk, two on a phone.
      await page
        .getByText(/ of 2\.0 GB$/)
        .nth(width < 400 ? 1 : 2)
        .waitFor();
      assert.equal(await page.getByRole('button', { name: 'Extend' }).count(), 0);
      await look('containers');
      for (const view of ['Threads', 'Saved', 'Refused', 'Figures']) {
        await page.getByRole('link', { name: view, exact: true }).click();
        await page.locator('#main :is(table, .empty, .tiles)').first().waitFor();
        await look(view.toLowerCase());
      }
      await page.goto(`${client.base}/#/threads/${encodeURIComponent(threadOf('login'))}`);
      await page.locator('summary').first().click();
      await page.getByText(MARKUP).last().waitFor();
      await look('thread');
      await page.getByRole('link', { name: 'Mails' }).click();
      await page.locator('table').waitFor();
      await look('mails');
      await page.context().close();
    }
  }
  const page = await browser.open({ width: 1280, height: 860, scheme: 'light' });
  await logIn(page, client.admin);
  await page
    .getByText(/ of 2\.0 GB$/)
    .first()
    .waitFor();
  await picture(page, 'admin-light-1280');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await picture(page, 'dialog-light-1280');
  await page.context().close();
});

buttonTests(() => ({ ...client, stage }));

test('a token that is taken back ends the page', async () => {
  const page = await browser.open({ width: 1280, height: 860, scheme: 'light' });
  await logIn(page, client.admin);
  await stage.bot.app.db('api_tokens').update({ revoked_at: stage.bot.app.db.fn.now() });
  // It may have come to know it by itself, and have no link there to press.
  await page.evaluate('location.hash = "#/figures"');
  await page.getByLabel('Token').waitFor();
  assert.deepEqual(browser.faults, []);
});
