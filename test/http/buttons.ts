import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import type { Stage } from '../lifecycle/stage.ts';
import { ALICE, BOB } from '../support/app.ts';
import { openBrowser, type TestBrowser } from './browser.ts';
import type { Client } from './client.ts';

export const MARKUP = '<img src=x onerror="document.title=1">';

/** Each button of the Container Monitor in a real browser, against a bot that runs already and has BOB for an admin. */
export function buttonTests(get: () => Client & { stage: Stage }): void {
  let browser: TestBrowser | null = null;
  after(() => browser?.close());

  test('in a browser an admin comes in by a mailed link, sees what happens, and each button does what it says', async () => {
    const { base, stage } = get();
    browser = await openBrowser(base);
    const page = await browser.open({ width: 1280, height: 860, scheme: 'light' });
    const threadId = 'alice@example.com-sample#page';
    const subject = '[sample#page] Work';
    const card = page.getByRole('article', { name: threadId });
    const press = (name: string) => card.getByRole('button', { name }).click();
    const confirm = () => page.locator('#dialog-yes').click();
    // It is shown for a while, and stays in the page: no wait depends on how quickly it is looked for.
    const toast = (words: RegExp) =>
      page.locator('#toast', { hasText: words }).waitFor({ state: 'attached' });

    const { text } = await stage.ask('', { from: BOB, subject: '[login]' });
    const [link = ''] = /\/#\/login\/[\w-]{43}$/m.exec(text) ?? [];
    await page.goto(`${base}${link}`);
    await page.getByRole('button', { name: 'Open the Container Monitor' }).waitFor();
    // What looks at the links in a mail may run a page's scripts, but presses nothing.
    const used = () => stage.bot.app.db('login_links').whereNotNull('used_at').pluck('address');
    assert.deepEqual(await used(), []);
    await page.keyboard.press('Enter');
    await page.getByText(`${BOB} (admin)`).waitFor();
    assert.equal(new URL(page.url()).hash, '#/containers');
    assert.deepEqual(await used(), [BOB]);

    await stage.ask(`echo '${MARKUP}' > work.txt; cat work.txt`, { subject });
    await card.getByText(/^Clean-up in [34]\d:\d\d$/).waitFor();
    const clock = card.locator('.clock');
    await clock.filter({ hasNotText: (await clock.textContent()) ?? '' }).waitFor();
    await card.getByText(/ of 2\.0 GB$/).waitFor();
    await card.getByText(/^\d+ (?:KB|MB)$/).waitFor();
    const run = { to: stage.bot.botAddress, subject, body: 'while :; do sleep 0.05; done' };
    await sendToBot(stage.bot.userAt(ALICE), run);
    await stage.untilRuns('sleep 0.05', threadId);
    await press('Cancel');
    await page.getByRole('button', { name: 'Cancel the command' }).click();
    await toast(/It is being ended/);
    await card.getByText(/^Clean-up in [34]\d:\d\d$/).waitFor();

    await press('Extend');
    await page.keyboard.press('Escape');
    await press('Extend');
    await page.getByLabel('For').selectOption('2 hours');
    await confirm();
    await toast(/^Kept until /);
    await card.getByText(/^Clean-up in 1:5\d:\d\d$/).waitFor();
    await press('Save');
    await confirm();
    await toast(/^Saved: 1 file changed/);

    await card.getByRole('link', { name: threadId }).click();
    await page.locator('summary').last().click();
    await page.locator('pre.output', { hasText: MARKUP }).waitFor();
    await page.getByRole('link', { name: 'Mails' }).click();
    await page
      .locator('tr', { hasText: `from ${ALICE}` })
      .first()
      .waitFor();
    await page
      .locator('tr', { hasText: `to ${ALICE}` })
      .getByText('sent')
      .first()
      .waitFor();

    await page.getByRole('link', { name: 'Containers' }).click();
    await press('Clean up');
    await confirm();
    await toast(/^Saved, and removed/);
    await card.waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'Saved' }).click();
    const keptUntil = page.locator('tr', { hasText: threadId }).locator('[data-name="Kept until"] time');
    await keptUntil.waitFor();
    await page.getByLabel('Search in this view').fill('nobody');
    await page.getByText('Nothing is found.').waitFor();

    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByLabel('Reason').fill(MARKUP);
    await confirm();
    await page.getByText(`Reason: ${MARKUP}`).waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await confirm();
    await page.locator('#paused').waitFor({ state: 'hidden' });
    await page.getByRole('link', { name: 'Refused', exact: true }).click();
    const stranger = { to: stage.bot.botAddress, subject: `[sample] ${MARKUP}`, body: 'id' };
    await sendToBot(stage.bot.userAt('eve@example.net'), stranger);
    // It comes by itself.
    const refused = page.locator('tr', { hasText: 'eve@example.net' });
    await refused.filter({ hasText: MARKUP }).getByText('the sender is not allowed').waitFor();
    await page.getByRole('link', { name: 'Figures', exact: true }).click();
    await page.locator('#main .chart').nth(2).waitFor();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Token').waitFor();
    assert.equal(await page.title(), 'Threadbox');
    assert.deepEqual(browser.faults, []);
  });
}
