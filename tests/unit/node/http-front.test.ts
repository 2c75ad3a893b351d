/** Goal: the public port serves the app as browsers need it and nothing else. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFront, type Front } from '#node/http-front.ts';
import { takePort } from '#node/ports.ts';
import { openStaticFiles, routesIn } from '#node/static-files.ts';
import { Problem } from '#storage/node/problem.ts';

let folder: string;
let front: Front;
let upstream: Server;
let port: number;
let wsPort: number;
let origin: string;
let seenByUpstream = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'safe-front-'));
  mkdirSync(join(folder, 'build/_app/immutable'), { recursive: true });
  mkdirSync(join(folder, 'routes/files'), { recursive: true });
  writeFileSync(join(folder, 'routes/+page.svelte'), '');
  writeFileSync(join(folder, 'routes/files/+page.svelte'), '');
  writeFileSync(join(folder, 'secret.txt'), 'secret');
  writeFileSync(join(folder, 'build/index.html'), '<!doctype html>app');
  writeFileSync(join(folder, 'build/service-worker.js'), '1');
  writeFileSync(join(folder, 'build/.stamp'), 'stamp');
  writeFileSync(join(folder, 'build/manifest.webmanifest'), '{}');
  writeFileSync(join(folder, 'build/_app/immutable/a.1234.js'), '2');
  const taken = new Set<number>();
  port = await takePort(taken);
  wsPort = await takePort(taken);
  origin = `http://127.0.0.1:${port}`;
  upstream = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      seenByUpstream += data.toString('latin1');
      if (seenByUpstream.includes('\r\n\r\n'))
        socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\nhello');
    });
  });
  await new Promise<void>((done) => upstream.listen(wsPort, '127.0.0.1', done));
  front = await startFront({
    port,
    files: openStaticFiles(join(folder, 'build'), routesIn(join(folder, 'routes'))),
    networkFile: () => '{"format":1}',
    wsPort: () => wsPort,
    metrics: () => 'safe_up 1\n',
    posts: { '/faucet': async (body) => ({ status: 200, body: { got: body } }) },
    count: () => undefined,
  });
});
afterAll(async () => {
  await front.close();
  upstream.close();
  rmSync(folder, { recursive: true });
});

const get = (path: string, init?: RequestInit): Promise<Response> => fetch(origin + path, init);

test.each(['/', '/files', '/files/'])(
  'the page %s opens the app and is asked for again each time',
  async (path) => {
    const answer = await get(path);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain('app');
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-cache');
    const headers = [
      'cross-origin-opener-policy',
      'x-content-type-options',
      'referrer-policy',
      'permissions-policy',
      'content-security-policy',
      'cross-origin-resource-policy',
    ];
    expect(headers.map((name) => answer.headers.get(name))).toEqual([
      'same-origin',
      'nosniff',
      'no-referrer',
      expect.stringContaining('camera=(self)'),
      "frame-ancestors 'none'",
      'same-origin',
    ]);
  },
);

test('a second visit costs no bytes', async () => {
  const tag = (await get('/')).headers.get('etag') ?? '';
  expect((await get('/', { headers: { 'if-none-match': tag } })).status).toBe(304);
});

test('the worker is never cached and hashed assets always are', async () => {
  expect((await get('/service-worker.js')).headers.get('cache-control')).toBe('no-cache');
  const asset = await get('/_app/immutable/a.1234.js');
  expect(asset.headers.get('cache-control')).toContain('immutable');
  expect(asset.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
  expect((await get('/manifest.webmanifest')).headers.get('content-type')).toContain(
    'manifest+json',
  );
});

test.each([
  '/_app/immutable/missing.js',
  '/nowhere',
  '/.stamp',
  '/%2e%2e/secret.txt',
  '/..%2fsecret.txt',
  '/%',
  '/files/x',
  '/index.html/',
  '//etc/passwd',
])('%s is a real 404', async (path) => {
  const answer = await get(path);
  expect(answer.status).toBe(404);
  expect(await answer.text()).not.toContain('app');
});

test('addresses of the worker answer 404 as JSON without its mark', async () => {
  const answer = await get('/safe/rpc/status', { method: 'POST' });
  expect(answer.status).toBe(404);
  expect(answer.headers.get('x-safe-worker')).toBeNull();
  expect(await answer.json()).toEqual({ error: 'noWorker' });
});

test('the network file is never stored', async () => {
  const answer = await get('/network.json');
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(await answer.json()).toEqual({ format: 1 });
});

test('a post must be JSON, small and sent to a known place', async () => {
  const json = { 'content-type': 'application/json' };
  const post = async (path: string, body: string, headers: Record<string, string> = json) =>
    (await get(path, { method: 'POST', body, headers })).status;
  expect(await post('/faucet', '{"a":1}')).toBe(200);
  expect(await post('/faucet', '{')).toBe(400);
  expect(await post('/faucet', '{}', { 'content-type': 'text/plain' })).toBe(415);
  expect(await post('/faucet', JSON.stringify('x'.repeat(9000)))).toBe(413);
  expect(await post('/', '{}')).toBe(405);
  expect((await get('/faucet')).status).toBe(405);
});

test('a WebSocket on / reaches the bootstrap node with the bytes sent right behind the request', async () => {
  seenByUpstream = '';
  const socket = connect(port, '127.0.0.1');
  socket.write(
    'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Key: abc\r\n\r\nEARLY',
  );
  let received = '';
  for await (const data of socket) {
    received += String(data);
    if (received.includes('hello')) break;
  }
  expect(seenByUpstream).toContain('Sec-WebSocket-Key: abc');
  expect(seenByUpstream).toContain('\r\n\r\nEARLY');
});

test('an upgrade elsewhere is refused', async () => {
  const socket = connect(port, '127.0.0.1');
  socket.write('GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  let received = '';
  for await (const data of socket) received += String(data);
  expect(received).toContain('404');
});

test('a taken port is one line that says what to do', async () => {
  const second = startFront({
    port,
    files: openStaticFiles(folder, []),
    networkFile: () => '',
    wsPort: () => wsPort,
    metrics: () => '',
    posts: {},
    count: () => undefined,
  });
  await expect(second).rejects.toThrow(Problem);
  await expect(second).rejects.toThrow(`Port ${port} is taken`);
});
