import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Addresses behind the host: what the internet has, and what a private network has. */
export const FAR = {
  /** Stands for the internet. */
  public: '198.51.100.66',
  private: '10.213.7.7',
  shared: '100.64.77.7',
  /** Where clouds have the credentials of their machines. */
  metadata: '169.254.169.254',
  nameserver: '10.213.7.53',
  open: '10.213.7.8',
  /** Of all names below web.example, by http and https. */
  web: '198.51.100.67',
} as const;

/** On the router's side of the wire. */
const NEAR = '198.51.100.65';

/**
 * At all of its addresses it greets whoever comes to port 80, but at {@link FAR}.web, where pages are; and says that every name
 * is that of {@link FAR}.public, but those below web.example.
 */
const SERVERS = `
const page = (request, response) => response.end('page of ' + request.headers.host + '\\n');
const pages = require('node:http').createServer(page);
require('node:net').createServer((socket) => {
  if (socket.localAddress.endsWith('${FAR.web}')) return pages.emit('connection', socket);
  socket.on('error', () => {}).end('far\\n');
}).listen(80);
const pem = process.env.FAR_TLS;
if (pem) require('node:https').createServer({ key: pem, cert: pem }, page).listen(443);
// Its own IPv6 address would be that of the machine that asks.
const addressOf = (name) => name === 'inner.web.example' ? '${FAR.private}'
  : name.endsWith('.web.example') ? '${FAR.web}' : '${FAR.public}';
const nameOf = (query) => {
  const labels = [];
  for (let at = 12; query[at]; at += query[at] + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
  return labels.join('.').toLowerCase();
};
const names = require('node:dgram').createSocket('udp4');
names.on('message', (query, { port, address }) => {
  const question = query.subarray(12, query.indexOf(0, 12) + 5);
  const isA = question.at(-3) === 1;
  const isSix = question.at(-3) === 28 && nameOf(query) === 'both.web.example';
  const header = Buffer.from([...query.subarray(0, 2), 0x81, 0x80, 0, 1, 0, isA || isSix ? 1 : 0, 0, 0, 0, 0]);
  const answer = isA ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, ...addressOf(nameOf(query)).split('.').map(Number)]
    : isSix ? [0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 9, 0, 16, ...Array(15).fill(0), 1] : [];
  names.send(Buffer.concat([header, question, Buffer.from(answer)]), port, address);
});
process.stdin.on('end', () => process.exit());
// It has its addresses by then, and answers from the one that was asked.
process.stdin.once('data', () => names.bind(53, '${FAR.nameserver}', () => console.log('ready')));
console.log('there');
`;

/**
 * A network behind this machine, in a network namespace of its own; it goes with the test's process at the latest.
 *
 * @param tls the key and the certificate of its pages by https: see {@link webCertificate}
 * @returns its end
 */
export async function startFarNetwork(tls = ''): Promise<() => Promise<void>> {
  const child = spawn('unshare', ['--net', process.execPath, '--eval', SERVERS], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, FAR_TLS: tls },
  });
  const ended = once(child, 'exit');
  const close = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  try {
    await once(child.stdout, 'data');
    const pid = String(child.pid);
    const wire = `tbf${randomBytes(4).toString('hex')}`;
    await run('ip', ['link', 'add', wire, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid]);
    await run('ip', ['address', 'add', `${NEAR}/26`, 'dev', wire]);
    await run('ip', ['link', 'set', wire, 'up']);
    const inside = (...words: string[]) => run('nsenter', ['--net', '--target', pid, 'ip', ...words]);
    await inside('address', 'add', `${FAR.public}/26`, 'dev', 'eth0');
    await inside('link', 'set', 'eth0', 'up');
    await inside('route', 'add', 'default', 'via', NEAR);
    for (const address of Object.values(FAR).filter((one) => one !== FAR.public)) {
      await inside('address', 'add', `${address}/32`, 'dev', 'eth0');
      await run('ip', ['route', 'add', `${address}/32`, 'via', FAR.public]);
    }
    const ready = once(child.stdout, 'data');
    child.stdin.write('begin\n');
    await ready;
  } catch (error) {
    await close();
    throw error;
  }
  return close;
}

/** A key, and a certificate for all names below web.example that nobody has signed. */
export async function webCertificate(): Promise<string> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '-'];
  const names = ['-subj', '/CN=web.example', '-addext', 'subjectAltName=DNS:*.web.example'];
  return (await run('openssl', ['req', '-x509', ...key, '-days', '2', ...names])).stdout;
}
