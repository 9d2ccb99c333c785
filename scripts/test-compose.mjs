// npm run test:compose: docker-compose.yml on an engine of its own, with images built here from Debian's packages; some
// minutes. It needs root, docker-compose, a Debian mirror and the npm registry, and is therefore no part of npm test.
process.argv.push('test/compose/up.compose.ts');
await import('./test.mjs');
