// npm run test:browser: the Container Monitor in a real browser, each of its buttons. Needs Chromium (Debian: chromium;
// CHROMIUM names another), and is therefore no part of npm test. MONITOR_PICTURES=DIR keeps what was seen.
process.argv.push('test/http/monitor.browser.ts');
await import('./test.mjs');
