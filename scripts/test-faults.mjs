// npm run test:faults: the fault suite in its long form, which takes an hour. FAULT_SEED=... repeats a run.
process.env['FAULTS'] = 'long';
process.argv.push(
  'test/faults/kills.test.ts',
  'test/faults/parts.test.ts',
  'test/faults/disks.long.ts',
  'test/cli/demo.test.ts',
  'test/containers/restore-states.test.ts',
  'test/lifecycle/engine-restart.test.ts',
  'test/lifecycle/kill-steps.test.ts',
  'test/lifecycle/kill.long.ts',
  'test/lifecycle/outage.test.ts',
  'test/lifecycle/races.test.ts',
);
await import('./test.mjs');
