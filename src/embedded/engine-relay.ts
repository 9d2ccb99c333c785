// Run as root by engine-keeper.sh: lets the user who may become root, but is not in the group docker, use the
// machine's own Docker Engine. usage: engine-relay.ts LISTEN_PATH ENGINE_PATH OWNER_UID
import { chownSync } from 'node:fs';
import { connect, createServer } from 'node:net';

const [listenPath, enginePath, ownerUid] = process.argv.slice(2);
if (!listenPath || !enginePath || !ownerUid) {
  throw new Error('Expected three arguments: LISTEN_PATH ENGINE_PATH OWNER_UID');
}

// Half-open, as `docker exec` ends its input and goes on reading the output.
const server = createServer({ allowHalfOpen: true }, (user) => {
  const engine = connect({ path: enginePath, allowHalfOpen: true });
  user.pipe(engine);
  engine.pipe(user);
  user.on('error', () => engine.destroy());
  engine.on('error', () => user.destroy());
  user.on('close', () => engine.destroy());
  engine.on('close', () => user.destroy());
});
server.listen(listenPath, () => {
  chownSync(listenPath, Number(ownerUid), -1);
});
process.on('SIGTERM', () => process.exit(0));
