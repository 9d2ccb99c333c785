// npm test [-- FILE...]: sets up what is missing, then runs all tests, or those of the files named.
import { testPackages } from './debian-packages.mjs';
import { handOver, projectRoot, runScript, setUp } from './setup.mjs';

await runScript(async () => {
  await setUp(await testPackages());
  const given = process.argv.slice(2);
  const namesFiles = given.some((word) => word.endsWith('.ts'));
  const tests =
    given.length === 0
      ? [`${projectRoot}scripts/run-tests.mjs`]
      : [
          '--test',
          '--test-concurrency=4',
          '--test-reporter=spec',
          ...given,
          ...(namesFiles ? [] : ['test/**/*.test.ts']),
        ];
  return await handOver([`${projectRoot}scripts/with-engine.mjs`, ...tests]);
});
