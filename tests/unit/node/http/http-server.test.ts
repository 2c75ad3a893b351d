/** Goal: the public port serves the app as browsers need it, and nothing else. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHttpServer, type HttpServer } from '#node/http/http-server.ts';
import { findFreePort } from '#node/peers/listen-ports.ts';
import { openStaticFiles, routesIn } from '#node/http/static-files.ts';
import { Problem } from '#storage/node/problem.ts';

let folder: string;
let front: HttpServer;
let upstream: Server;
let port: number;
let wsPort: number;
let origin: string;
let seenByUpstream = '';
/** Requests for `/slow` that reached their handler. */
let started = 0;

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
  port = await findFreePort(taken);
  wsPort = await findFreePort(taken);
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
  front = await startHttpServer({
    port,
    files: openStaticFiles(join(folder, 'build'), routesIn(join(folder, 'routes'))),
    networkFile: () => '{"format":1}',
    wsPort: () => wsPort,
    metrics: async () => 'safe_up 1\n',
    posts: {
      '/faucet': async (body) => ({ status: 200, body: { got: body } }),
      '/slow': async () => {
        started += 1;
        await new Promise((go) => setTimeout(go, 40));
        return { status: 200, body: { text: 'x'.repeat(100_000) } };
      },
    },
    hostNames: ['safe.example'],
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

test('a second visit transfers no bytes', async () => {
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

test('paths of the worker answer 404 as JSON without its mark', async () => {
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

test('a post must be JSON, small and for a known path', async () => {
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
    `GET / HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
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

const upgrade = (path: string, headers = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\n${headers}` +
  'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** The status line and the body of a handwritten request. */
async function raw(request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(request);
  let received = '';
  for await (const data of socket) {
    received += String(data);
    if (received.includes('hello')) break;
  }
  return received;
}

test('an upgrade on another path is refused', async () => {
  expect(await raw(upgrade('/x'))).toContain('404');
});

test.each([
  ['on another path', '/x', ''],
  ['on the WebSocket’s path', '/', ''],
  ['of a page of another site', '/', 'Origin: http://evil.example\r\n'],
])('connections reset during an upgrade %s end nothing else', async (_, path, headers) => {
  const uncaught: unknown[] = [];
  const note = (error: unknown): void => void uncaught.push(error);
  process.on('uncaughtException', note);
  for (let round = 0; round < 50; round++) {
    await new Promise<void>((done) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(upgrade(path, headers), () => {
          setTimeout(() => socket.resetAndDestroy(), round % 3);
        });
      });
      socket.on('error', () => undefined);
      socket.on('close', () => done());
    });
  }
  expect((await get('/metrics')).status).toBe(200);
  process.off('uncaughtException', note);
  expect(uncaught).toEqual([]);
});

test('a client that resets before its answer is ready affects no other connection', async () => {
  const uncaught: unknown[] = [];
  const note = (error: unknown): void => void uncaught.push(error);
  process.on('uncaughtException', note);
  const began = started;
  for (let round = 0; round < 20; round++) {
    await new Promise<void>((done) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(
          `POST /slow HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Type: application/json\r\n` +
            'Content-Length: 2\r\n\r\n{}',
        );
      });
      socket.on('error', () => undefined);
      socket.on('close', () => done());
      setTimeout(() => socket.resetAndDestroy(), 10);
    });
  }
  expect(started - began).toBeGreaterThan(0);
  await new Promise((go) => setTimeout(go, 100));
  process.off('uncaughtException', note);
  expect(uncaught).toEqual([]);
});

test.each(['evil.example', 'evil.example:PORT', 'localhost:1', 'localhost.evil.example:PORT', ''])(
  'a request for the host "%s" is answered 421 with a sentence, whatever it asks for',
  async (host) => {
    const named = host.replace('PORT', String(port));
    const body = '{"a":1}';
    const post =
      `POST /faucet HTTP/1.1\r\nHost: ${named}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
    const page = `GET /metrics HTTP/1.1\r\nHost: ${named}\r\nConnection: close\r\n\r\n`;
    const socket = `GET / HTTP/1.1\r\nHost: ${named}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
    for (const request of [post, page, socket]) {
      const answer = await raw(request);
      expect(answer.split('\r\n')[0]).toContain('421');
      expect(answer).toContain('--host-names');
    }
  },
);

test.each([
  ['localhost:PORT', 200],
  ['127.0.0.1:PORT', 200],
  ['[::1]:PORT', 200],
  ['LOCALHOST:PORT', 200],
  ['safe.example', 200],
  ['safe.example:8443', 200],
  ['other.safe.example', 421],
])('the front answers for the host %s with %i', async (host, status) => {
  const named = host.replace('PORT', String(port));
  const answer = await raw(`GET /metrics HTTP/1.1\r\nHost: ${named}\r\nConnection: close\r\n\r\n`);
  expect(answer.split('\r\n')[0]).toContain(String(status));
});

test('pages of other sites may neither post nor open a WebSocket; our pages and programs may', async () => {
  const json = { 'content-type': 'application/json' };
  const post = async (from?: string): Promise<number> => {
    const headers = from === undefined ? json : { ...json, origin: from };
    return (await get('/faucet', { method: 'POST', body: '{}', headers })).status;
  };
  expect(await post()).toBe(200);
  expect(await post(origin)).toBe(200);
  expect(await post('https://safe.example')).toBe(200);
  const foreign = ['http://evil.example', 'null', `http://localhost:${wsPort}`, 'file://'];
  for (const from of foreign) {
    expect(await post(from)).toBe(403);
    expect(await raw(upgrade('/', `Origin: ${from}\r\n`))).toMatch(/403[^]*other sites/);
  }
  expect(await raw(upgrade('/'))).toContain('101');
  expect(await raw(upgrade('/', `Origin: http://localhost:${port}\r\n`))).toContain('101');
});

test('each of the two loopback addresses accepts a limited number of connections', async () => {
  const taken = await findFreePort(new Set());
  const full = await startHttpServer({
    ...{ port: taken, files: openStaticFiles(join(folder, 'build'), []), posts: {} },
    ...{
      networkFile: () => '',
      wsPort: () => null,
      metrics: async () => '',
      count: () => undefined,
    },
  });
  const sockets: Socket[] = [];
  /** @returns whether the connection is still open after the server has handled it. */
  const open = async (host: string): Promise<boolean> => {
    const socket = connect(taken, host);
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.write('GET /network.json HTTP/1.1\r\nHost: localhost:1\r\n\r\n');
    return new Promise((done) => {
      socket.once('data', () => done(true));
      socket.once('close', () => done(false));
    });
  };
  try {
    let accepted = 0;
    for (let n = 0; n < 514; n++) accepted += Number(await open('127.0.0.1'));
    expect(accepted).toBe(512);
    expect(await open('::1')).toBe(
      Object.values(networkInterfaces())
        .flat()
        .some((each) => each?.address === '::1'),
    );
  } finally {
    for (const socket of sockets) socket.destroy();
    await full.close();
  }
});

test('a taken port is reported in one line with the next step', async () => {
  const second = startHttpServer({
    port,
    files: openStaticFiles(folder, []),
    networkFile: () => '',
    wsPort: () => wsPort,
    metrics: async () => '',
    posts: {},
    count: () => undefined,
  });
  await expect(second).rejects.toThrow(Problem);
  await expect(second).rejects.toThrow(`Port ${port} is taken`);
});
