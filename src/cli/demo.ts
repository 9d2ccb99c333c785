import type { CliCommand } from './command.ts';

export const demoCommand: CliCommand = {
  usage: 'demo',
  summary: 'runs the whole of it on the embedded parts, and plays a conversation',
  options: {
    once: { summary: 'stop after the play; the exit code is 0 if every answer was as it should be' },
    dir: { value: 'DIR', summary: 'where its data lies, made anew at each start (default: .threadbox/demo)' },
  },
  notes: 'Of your settings it uses DOCKER_HOST, CONTAINER_IMAGE and LOG_LEVEL, and leaves all else alone.',
  run: async (_, options) => (await import('./demo-run.ts')).runDemo(options),
};
