// Run by apart.sh, on a network of its own: hands what comes to the bot's port there over to a socket, behind which the bot
// is; then runs the browser, until it ends.
import { spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';

const { CHROMIUM = '', BOT_PORT, BOT_SOCKET = '' } = process.env;

const server = createServer((browser) => {
  const bot = connect(BOT_SOCKET);
  browser.pipe(bot).pipe(browser);
  browser.on('error', () => bot.destroy());
  bot.on('error', () => browser.destroy());
  browser.on('close', () => bot.destroy());
  bot.on('close', () => browser.destroy());
});
server.listen(Number(BOT_PORT), '127.0.0.1', () => {
  // By the last two it is driven.
  const child = spawn(CHROMIUM, process.argv.slice(2), { stdio: [0, 1, 2, 3, 4] });
  child.on('error', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code) => process.exit(code ?? 1));
});
