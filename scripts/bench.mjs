// npm run bench [-- --json FILE]: sets up what is missing, then measures. See bench/main.ts.
import { botPackages } from './debian-packages.mjs';
import { handOver, projectRoot, runScript, setUp } from './setup.mjs';

await runScript(async () => {
  await setUp(await botPackages());
  const script = `${projectRoot}bench/main.ts`;
  return await handOver([`${projectRoot}scripts/with-engine.mjs`, script, ...process.argv.slice(2)]);
});
