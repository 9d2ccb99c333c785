import { runWords } from './cli/run-words.ts';

// Whoever read our output has gone (`| head`): there is nobody to tell it to.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

// An image build that was interrupted ends only with this process.
process.exit(await runWords(process.argv.slice(2)));
