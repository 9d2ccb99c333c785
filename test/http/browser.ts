import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';

type Window = { width: number; height: number; scheme: 'light' | 'dark' };
export type TestBrowser = {
  open: (window: Window) => Promise<Page>;
  /** What pages have complained of, or loaded from elsewhere. */
  faults: readonly string[];
  close: () => Promise<void>;
};

/**
 * Debian's Chromium, with no more processes than it needs; CHROMIUM names another. It is on a network of its own, where
 * `base` leads to the bot and nothing else is.
 */
export async function openBrowser(base: string): Promise<TestBrowser> {
  const door = await openDoor(Number(new URL(base).port));
  try {
    const browser = await chromium.launch({
      executablePath: fileURLToPath(new URL('apart.sh', import.meta.url)),
      env: { CHROMIUM: '/usr/bin/chromium', ...process.env, ...door.env, NODE: process.execPath },
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
    return testBrowser(browser, base, () => door.close());
  } catch (error) {
    await door.close();
    throw error;
  }
}

/** A socket that leads to the bot, from whatever network. */
async function openDoor(port: number) {
  const dir = await mkdtemp(join(tmpdir(), 'tb-browser-'));
  const socket = join(dir, 'bot');
  const server = createServer((browser) => {
    const bot = connect(port, '127.0.0.1');
    browser.pipe(bot).pipe(browser);
    browser.on('error', () => bot.destroy());
    bot.on('error', () => browser.destroy());
    browser.on('close', () => bot.destroy());
    bot.on('close', () => browser.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(socket, resolve);
  });
  return {
    env: { BOT_PORT: String(port), BOT_SOCKET: socket },
    async close(): Promise<void> {
      server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function testBrowser(browser: Browser, base: string, closeDoor: () => Promise<void>): TestBrowser {
  const faults: string[] = [];
  return {
    faults,
    async open({ width, height, scheme: colorScheme }) {
      const look = { viewport: { width, height }, colorScheme, locale: 'en-GB', timezoneId: 'UTC' };
      const page = await (await browser.newContext(look)).newPage();
      // On a machine that has much to do.
      page.setDefaultTimeout(60_000);
      page.on('pageerror', (error) => faults.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error' && !/status of (?:401|409|503)/.test(message.text()))
          faults.push(message.text());
      });
      page.on('request', (request) => {
        if (!request.url().startsWith(base)) faults.push(`loaded from elsewhere: ${request.url()}`);
      });
      return page;
    },
    async close() {
      await browser.close();
      await closeDoor();
    },
  };
}
