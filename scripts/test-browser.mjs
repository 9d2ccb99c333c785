// npm run test:browser: the Container Monitor in a real browser, each view as it looks and each of its buttons. Needs Chromium
// (Debian: chromium; CHROMIUM names another). No part of npm test: Chromium breaks off all requests when a network of the
// machine changes, as each container of the tests beside it changes one. MONITOR_PICTURES=DIR keeps what was seen.
process.argv.push('test/http/monitor.browser.ts');
await import('./test.mjs');
