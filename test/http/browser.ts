import { chromium, type Page } from 'playwright-core';

type Window = { width: number; height: number; scheme: 'light' | 'dark' };
export type TestBrowser = {
  open: (window: Window) => Promise<Page>;
  /** What pages have complained of, or loaded from elsewhere. */
  faults: readonly string[];
  close: () => Promise<void>;
};

/** Debian's Chromium, with no more processes than it needs; CHROMIUM names another. */
export async function openBrowser(base: string): Promise<TestBrowser> {
  const faults: string[] = [];
  const browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--no-zygote',
      '--disable-gpu',
      '--disable-quic',
      '--disable-extensions',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  return {
    faults,
    async open({ width, height, scheme: colorScheme }) {
      const look = { viewport: { width, height }, colorScheme, locale: 'en-GB', timezoneId: 'UTC' };
      const page = await (await browser.newContext(look)).newPage();
      // On a machine that has much to do.
      page.setDefaultTimeout(60_000);
      page.on('pageerror', (error) => faults.push(error.message));
      page.on('console', (message) => {
        if (
          message.type() === 'error' &&
          !/status of (?:401|409|503)|ERR_NETWORK_CHANGED/.test(message.text())
        )
          faults.push(message.text());
      });
      page.on('request', (request) => {
        if (!request.url().startsWith(base)) faults.push(`loaded from elsewhere: ${request.url()}`);
      });
      return page;
    },
    close: () => browser.close(),
  };
}
