// Whether the bot in this container is ready, for Docker's health check; `docker inspect` shows what this prints.
const listen = process.env['HTTP_LISTEN'] || '127.0.0.1:8330';
const [, host = '', port] = /^(.*):(\d+)$/.exec(listen) ?? [];
const isAnywhere = ['', '0.0.0.0', '[::]'].includes(host);

if (port === undefined) {
  console.log(`HTTP_LISTEN=${listen}: nobody can be asked`);
} else {
  try {
    const url = `http://${isAnywhere ? '127.0.0.1' : host}:${port}/readyz`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(8_000) });
    console.log((await answer.text()).slice(0, 2_000));
    if (!answer.ok) process.exitCode = 1;
  } catch (error) {
    console.log(`${listen} does not answer: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
