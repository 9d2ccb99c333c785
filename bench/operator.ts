import { get, type RequestOptions } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Closers } from '../src/closers.ts';
import { newSecret, tokenText } from '../src/api-token.ts';
import { pagePaths } from '../src/http/page.ts';
import { parseMessage, type ParsedMessage } from '../src/mail/parse.ts';
import { connectSmtp } from '../src/mail/transport.ts';
import { composeUserMail } from '../src/mail/user-mail.ts';
import { addToken } from '../src/store/api-tokens.ts';
import type { Db } from '../src/store/database.ts';
import { freePort } from '../test/support/git-upstream.ts';
import type { Series } from './figures.ts';
import type { Progress } from './measures.ts';
import { SENDER } from './post.ts';
import { startRig, type Rig } from './rig.ts';

// What an operator asks for, over a thousand containers and a history of fifty thousand commands.

const SESSIONS = 1_000;
const USERS = 200;
const COMMANDS = 50_000;
const WARM_UPS = 5;
/** They take milliseconds. */
const LIST_RUNS = 100;

/** In place of a mail server that writes down who sent a mail: the embedded one only sees to it that they may. */
const AUTHSERV_ID = 'bench.threadbox.test';
const RESULTS = Buffer.from(`Authentication-Results: ${AUTHSERV_ID}; dmarc=pass header.from=example.com\r\n`);

/** One of the guide's. */
const QUERY = 'SELECT * FROM container_sessions WHERE is_active = true';

/** What the page asks for when it is opened. */
const PAGE_ASKS = [
  '/session',
  '/pause',
  '/containers/sessions?limit=100',
  '/containers/stats',
  '/saves',
  '/messages',
];

type Named = { name: string; series: Series };

export async function operator(
  closers: Closers,
  { runs, signal }: { runs: number; signal: AbortSignal },
  progress: Progress,
): Promise<{ lists: Named[]; sqlMail: Series }> {
  const port = await freePort();
  const more = {
    HTTP_LISTEN: `127.0.0.1:${port}`,
    ADMIN_ADDRESSES: SENDER,
    // No query is taken where nobody is verified.
    SENDER_AUTH: 'authentication-results',
    TRUSTED_AUTHSERV_IDS: AUTHSERV_ID,
  };
  const rig = await startRig(['sample'], closers, signal, more);
  const ask = await openConversation(rig);
  await fill(rig.db);
  const { secret, hash } = newSecret();
  const token = await addToken(rig.db, { name: 'bench', role: 'read', hash });
  const fetchAll = clientOf(port, tokenText(token?.id ?? 0, secret));
  const api = (path: string): string => `/api/v1${path}`;
  const page = [...pagePaths, ...PAGE_ASKS.map(api)];
  const kinds: [string, string[]][] = [
    ['1,000 sessions listed', [api('/containers/sessions?limit=200')]],
    ['1,000 sessions searched', [api('/containers/sessions?limit=200&q=npm')]],
    ['1,000 threads listed', [api('/threads?limit=200')]],
    ['/metrics', ['/metrics']],
    [`the page opened, ${page.length} requests`, page],
  ];
  const lists: Named[] = [];
  for (const [name, paths] of kinds) {
    const floor = paths.map((path) => (path.startsWith('/api') ? api('/session') : '/healthz'));
    const series = { values: [] as number[], floors: [] as number[] };
    for (let run = -WARM_UPS; run < LIST_RUNS; run += 1) {
      signal.throwIfAborted();
      const valueMs = await fetchAll(paths);
      const floorMs = await fetchAll(floor);
      if (run < 0) continue;
      series.values.push(valueMs);
      series.floors.push(floorMs);
      progress(name, run + 1, LIST_RUNS);
    }
    lists.push({ name, series });
  }
  const sqlMail: Series & { values: number[]; floors: number[] } = { values: [], floors: [] };
  for (let run = -1; run < runs; run += 1) {
    const tookMs = await ask(QUERY);
    const { acceptedAt } = await rig.post.sendAndHear('The same', QUERY, rig.signal);
    const { rows } = await rig.db.raw<{ rows: unknown[] }>(QUERY);
    const floorMs = performance.now() - acceptedAt;
    if (rows.length !== SESSIONS) throw new Error(`Expected ${SESSIONS} sessions, got ${rows.length}`);
    if (run < 0) continue;
    sqlMail.values.push(tookMs);
    sqlMail.floors.push(floorMs);
    progress('SQL by mail', run + 1, runs);
  }
  return { lists, sqlMail };
}

/** @returns what asks for all paths at once and waits for the last answer; in ms */
function clientOf(port: number, token: string): (paths: readonly string[]) => Promise<number> {
  const headers = { Authorization: `Bearer ${token}` };
  let asked = 0;
  return async (paths) => {
    // Each time somebody else: what one address may ask for is limited.
    asked = (asked + 1) % 200;
    const localAddress = `127.0.1.${asked + 1}`;
    const startedAt = performance.now();
    await Promise.all(paths.map((path) => read({ host: '127.0.0.1', port, path, localAddress, headers })));
    return performance.now() - startedAt;
  };
}

async function read(options: RequestOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // A connection each: the server takes so many at once, and those that are kept open count.
  get({ ...options, agent: false }, (response) => {
    text(response).then((body) => {
      if (response.statusCode === 200) resolve();
      else reject(new Error(`Expected an answer, got ${response.statusCode}: ${body.slice(0, 500)}`));
    }, reject);
  }).on('error', reject);
  return promise;
}

/** A conversation that was confirmed. @returns what asks a query in it: from the mail, taken on, to the answer; in ms */
async function openConversation({ mail, sink, signal }: Rig): Promise<(query: string) => Promise<number>> {
  const { smtpPort, password, botAddress } = mail;
  const server = {
    host: '127.0.0.1',
    port: smtpPort,
    user: SENDER,
    tls: 'offered',
    verifyCertificate: false,
  } as const;
  const transport = connectSmtp(server, password);
  let last: ParsedMessage | null = null;
  const write = async (subject: string, body: string): Promise<number> => {
    const to = /<(.*)>/.exec(last?.headers.get('reply-to')?.[0] ?? '')?.[1] ?? botAddress;
    const answered = last?.messageId ? { messageId: last.messageId, references: last.references } : undefined;
    const { raw, messageId } = await composeUserMail({
      from: SENDER,
      to,
      subject,
      body,
      inReplyTo: answered,
    });
    await transport.send({ raw: Buffer.concat([RESULTS, raw]), from: SENDER, to: [to] });
    const sentAt = performance.now();
    const answer = await sink.answerTo(messageId, signal);
    last = await parseMessage(answer.raw);
    return answer.acceptedAt - sentAt;
  };
  await write('[sql] Look', QUERY);
  await write('Re: [sql] Look', 'yes');
  return async (query) => {
    const tookMs = await write('Re: [sql] Look', query);
    if (!last?.text.includes(`${SESSIONS} rows`) && !last?.text.includes('1,000 rows'))
      throw new Error(`Expected ${SESSIONS} rows, got:\n${last?.text.slice(0, 1_000)}`);
    return tookMs;
  };
}

async function fill(db: Db): Promise<void> {
  await db.raw(
    `insert into users (address) select 'user' || n || '@example.com' from generate_series(1, ?::int) n`,
    [USERS],
  );
  const of = `(select id from users where address = 'user' || (1 + n % ${USERS}) || '@example.com')`;
  const repository = `(select id from repositories where name = 'sample')`;
  await db.raw(
    `insert into threads (id, user_id, repository_id, label)
       select 't' || n, ${of}, ${repository}, '#' || n from generate_series(1, ?::int) n`,
    [SESSIONS],
  );
  await db.raw(
    `insert into messages (direction, raw, size_bytes, state, outcome, thread_id, address, subject, received_at)
       select 'in', convert_to(repeat(md5(n::text), 60), 'UTF8'), 1920, 'handled', 'command', 't' || (1 + n % ?::int),
         'user@example.com', '[sample] Work', now() - n * interval '10 seconds' from generate_series(1, ?::int) n`,
    [SESSIONS, COMMANDS],
  );
  await db.raw(
    `insert into commands (thread_id, message_id, script, state, exit_code, created_at, started_at, ended_at, duration_ms)
       select thread_id, id, 'npm test', 'finished', 0, received_at, received_at, received_at, 400
       from messages where subject = '[sample] Work'`,
  );
  await db.raw(
    `insert into messages (direction, raw, size_bytes, state, outcome, thread_id, address, in_reply_to_message)
       select 'out', raw, size_bytes, 'handled', 'answer', thread_id, address, id
       from messages where subject = '[sample] Work'`,
  );
  await db.raw(
    `insert into outbox (message_id, envelope_from, envelope_to, state, sent_at)
       select id, 'bot@example.com', array['user@example.com'], 'sent', now()
       from messages where direction = 'out' and in_reply_to_message in (select message_id from commands)`,
  );
  await db.raw(
    `insert into container_sessions
       (container_id, container_name, volume_name, image, thread_id, user_id, repository_id, check_at)
     select md5(n::text) || md5(n::text), 'c' || n, 'v' || n, 'i', 't' || n, ${of}, ${repository},
       now() + interval '1 day' from generate_series(1, ?::int) n`,
    [SESSIONS],
  );
  await db.raw('vacuum analyze');
}
