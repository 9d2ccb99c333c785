// npm run test:compose: docker-compose.yml on an engine of its own, with images built here from Debian's packages; some ten
// minutes. It needs root, docker-compose 1.29, a Debian mirror (with Debian 13 on it, whose Compose v2 it fetches) and the npm
// registry, and is therefore no part of npm test.
process.argv.push('test/compose/up.compose.ts');
await import('./test.mjs');
