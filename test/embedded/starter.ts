// A process of its own for embedded.test.ts: starts what it is told to, says so in a line of JSON, and stays.
import { startEmbedded } from '../../src/embedded/embedded.ts';
import { silent } from './data-dir.ts';

const [dataDir, role, ...wanted] = process.argv.slice(2) as [string, 'bot' | 'command', ...string[]];
try {
  const embedded = await startEmbedded({
    dataDir,
    want: {
      postgres: wanted.includes('postgres'),
      redis: wanted.includes('redis'),
      mail: wanted.includes('mail'),
    },
    log: silent,
    role,
  });
  process.once('SIGTERM', () => void embedded.close());
  process.stdout.write(`${JSON.stringify(embedded)}\n`);
} catch (error) {
  process.stdout.write(`${JSON.stringify({ fault: (error as Error).message })}\n`);
}
