// npm run demo [-- --once]: sets up what is missing, then plays the main job. See src/cli/demo.ts.
import { botPackages } from './debian-packages.mjs';
import { handOver, projectRoot, runScript, setUp } from './setup.mjs';

await runScript(async () => {
  try {
    // The demo takes DOCKER_HOST and CONTAINER_IMAGE from here as well.
    process.loadEnvFile(`${projectRoot}.env`);
  } catch {
    // Without the file, the environment is all there is.
  }
  await setUp(await botPackages());
  return await handOver([`${projectRoot}src/main.ts`, 'demo', ...process.argv.slice(2)]);
});
