// npm run test:browser: the Container Monitor in a real browser, each view as it looks and each of its buttons; npm test has
// the buttons alone. CHROMIUM names another browser than Debian's, MONITOR_PICTURES=DIR keeps what was seen.
process.argv.push('test/http/monitor.browser.ts');
await import('./test.mjs');
