/**
 * The one public port: serves the app, the network file, the faucet and metrics, and forwards
 * upgrades to the bootstrap node's WebSocket. It decides nothing about the network.
 */
import {
  createServer,
  STATUS_CODES,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { connect, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Problem } from '#storage/node/problem.ts';
import { rejectHost, rejectOrigin, type OwnNames, type Rejection } from './http-origin.ts';
import type { StaticFiles } from './static-files.ts';

export interface HttpServerOptions {
  readonly port: number;
  readonly files: StaticFiles;
  readonly networkFile: () => string;
  /** The host of the bootstrap's own WebSocket; loopback by default. */
  readonly wsHost?: string;
  /** Its port; null until it listens. */
  readonly wsPort: () => number | null;
  readonly metrics: () => Promise<string>;
  /** Paths that take `POST` with a JSON body. */
  readonly posts: Readonly<Record<string, JsonHandler>>;
  /** Paths that answer `GET` with a JSON body. */
  readonly jsons?: Readonly<Record<string, () => object>>;
  readonly count: (kind: string) => void;
  /** Names under which a reverse proxy offers this port, besides this machine's own. */
  readonly hostNames?: readonly string[];
}

export interface JsonAnswer {
  readonly status: number;
  readonly body: object;
  readonly retryAfterSeconds?: number;
}
/** `address`: the sender's address. */
export type JsonHandler = (body: unknown, address: string) => Promise<JsonAnswer>;

export interface HttpServer {
  readonly close: () => Promise<void>;
}

const securityHeaders: Readonly<Record<string, string>> = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'permissions-policy':
    'camera=(self), microphone=(), geolocation=(), payment=(), usb=(), serial=(), hid=()',
  // The page contains the rest of the policy; browsers take this part from a header only.
  'content-security-policy': "frame-ancestors 'none'",
  'x-frame-options': 'DENY',
};

/** Enough for an address and a few fields. */
const maxBodyBytes = 8 * 1024;
/** A browser opens a few; further connections are closed, not queued. */
const maxConnections = 512;
/** An idle connection is closed after this; upgraded ones have their own limits. */
const idleTimeoutMs = 60_000;
/** A client whose upgrade was refused has this long to close its side. */
const refusedForMs = 2_000;
const localHosts = ['127.0.0.1', '::1'];

/** Listens on this machine's two loopback addresses. Errors: throws a Problem `portTaken`. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const sockets = new Set<Duplex>();
  const servers: Server[] = [];
  for (const host of localHosts) {
    const server = createServer((request, response) => void handle(options, request, response));
    server.maxConnections = maxConnections;
    server.headersTimeout = 10_000;
    server.requestTimeout = 30_000;
    server.timeout = idleTimeoutMs;
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    });
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      options.count('upgrade');
      proxyUpgrade(request, socket, head, options, sockets);
    });
    // Failing to accept one connection (no file descriptor left) must not stop the server.
    server.on('error', () => options.count('acceptFailed'));
    try {
      if (await listen(server, host, options.port)) servers.push(server);
    } catch (error) {
      for (const other of servers) other.close();
      throw error;
    }
  }
  return {
    close: async () => {
      const closed = servers.map((server) => new Promise((done) => server.close(done)));
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };
}

/** @returns false when the computer has no such address (no IPv6). */
function listen(server: Server, host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: Error & { code?: string }) => {
      if (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT') resolve(false);
      else reject(portProblem(port, error.code));
    });
    server.listen({ host, port, exclusive: true }, () => resolve(true));
  });
}

function portProblem(port: number, code: string | undefined): Problem {
  if (code === 'EACCES') {
    return new Problem(
      'notPermitted',
      `Port ${port} needs special rights: choose one above 1023 with --port.`,
    );
  }
  return new Problem(
    'portTaken',
    `Port ${port} is taken by another program: stop it, or choose another port with --port.`,
  );
}

async function handle(
  options: HttpServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  // Writing to a connection that was reset fails; only its sender is affected.
  response.on('error', () => response.destroy());
  try {
    const rejected = rejectHost(request.headers, ownNames(options));
    if (rejected !== undefined) return sendJson(response, asJson(rejected));
    if (path === '/safe' || path.startsWith('/safe/')) {
      // Only the service worker answers these paths.
      return sendJson(response, { status: 404, body: { error: 'noWorker' } });
    }
    const post = Object.hasOwn(options.posts, path) ? options.posts[path] : undefined;
    if (post !== undefined) {
      const foreign = rejectOrigin(request.headers, ownNames(options));
      return sendJson(
        response,
        foreign === undefined ? await handlePost(request, post) : asJson(foreign),
      );
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return sendJson(response, { status: 405, body: { error: 'methodNotAllowed' } });
    }
    if (path === '/network.json') {
      options.count('networkFile');
      if (options.networkFile() === '') {
        return sendJson(response, {
          status: 503,
          body: { error: 'starting' },
          retryAfterSeconds: 1,
        });
      }
      return send(request, response, 200, jsonHeaders, Buffer.from(options.networkFile()));
    }
    if (path === '/metrics') {
      const headers = { 'content-type': 'text/plain; version=0.0.4', 'cache-control': 'no-store' };
      return send(request, response, 200, headers, Buffer.from(await options.metrics()));
    }
    const json = Object.hasOwn(options.jsons ?? {}, path) ? options.jsons?.[path] : undefined;
    if (json !== undefined) return sendJson(response, { status: 200, body: json() });
    const { status, headers, body } = options.files.answer(path, request.headers['if-none-match']);
    options.count(status === 404 ? 'missing' : 'file');
    send(request, response, status, headers, body);
  } catch {
    if (!response.headersSent) sendJson(response, { status: 500, body: { error: 'internal' } });
    else response.destroy();
  }
}

const ownNames = ({ port, hostNames = [] }: HttpServerOptions): OwnNames => ({
  port,
  names: hostNames,
});
const asJson = ({ status, error, message }: Rejection): JsonAnswer => ({
  status,
  body: { error, message },
});

const jsonHeaders = {
  'content-type': 'application/json; charset=utf-8',
  'cache-control': 'no-store',
};

function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
): void {
  const length = status === 304 ? {} : { 'content-length': String(body.length) };
  response.writeHead(status, { ...securityHeaders, ...headers, ...length });
  response.end(request.method === 'HEAD' || status === 304 ? undefined : body);
}

function sendJson(response: ServerResponse, answer: JsonAnswer): void {
  const body = Buffer.from(JSON.stringify(answer.body));
  const { retryAfterSeconds } = answer;
  response.writeHead(answer.status, {
    ...securityHeaders,
    ...jsonHeaders,
    'content-length': String(body.length),
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
  });
  response.end(body);
}

async function handlePost(request: IncomingMessage, handler: JsonHandler): Promise<JsonAnswer> {
  if (request.method !== 'POST') return { status: 405, body: { error: 'methodNotAllowed' } };
  // A page of another origin must send a preflight for this type, and we answer none.
  if (request.headers['content-type']?.split(';')[0]?.trim() !== 'application/json') {
    return { status: 415, body: { error: 'wrongType', message: 'Send application/json.' } };
  }
  const body = await readBody(request);
  if (body === undefined) {
    return { status: 413, body: { error: 'tooLarge', message: 'The request is too large.' } };
  }
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { status: 400, body: { error: 'malformed', message: 'The request is not JSON.' } };
  }
  return handler(value, senderOf(request));
}

/** The sender; behind a reverse proxy on this computer, the last address that the proxy saw. */
function senderOf({ socket, headers }: IncomingMessage): string {
  const direct = socket.remoteAddress ?? '';
  const forwarded =
    String(headers['x-forwarded-for'] ?? '')
      .split(',')
      .at(-1)
      ?.trim() ?? '';
  return isIP(forwarded) === 0 ? direct : forwarded;
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBodyBytes) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/**
 * Passes a WebSocket on `/` to the bootstrap node byte by byte: the request as received, any bytes
 * that followed it, then both directions.
 */
function proxyUpgrade(
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  options: HttpServerOptions,
  sockets: Set<Duplex>,
): void {
  // Node passes the socket without an error listener: a reset must end this socket only.
  client.on('error', () => client.destroy());
  const { wsHost = '127.0.0.1' } = options;
  const own = ownNames(options);
  const rejected = rejectHost(request.headers, own) ?? rejectOrigin(request.headers, own);
  if (rejected !== undefined) return refuseUpgrade(client, rejected.status, rejected.message);
  const port = options.wsPort();
  if (port === null) return refuseUpgrade(client, 503, 'The network is not ready yet.');
  const path = (request.url ?? '/').split('?')[0];
  if (path !== '/' || request.headers.upgrade?.toLowerCase() !== 'websocket') {
    return refuseUpgrade(client, 404, 'Not found.');
  }
  if ('setTimeout' in client) (client as Socket).setTimeout(0); // libp2p closes idle ones itself.
  const upstream = connect({ host: wsHost, port, noDelay: true });
  sockets.add(upstream);
  const end = (): void => {
    sockets.delete(upstream);
    client.destroy();
    upstream.destroy();
  };
  for (const side of [client, upstream]) side.on('error', end).on('close', end);
  if ('setNoDelay' in client) (client as Socket).setNoDelay(true);
  upstream.on('connect', () => {
    const lines = [`${request.method} / HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    }
    upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
    if (head.length > 0) upstream.write(head);
    upstream.pipe(client);
    client.pipe(upstream);
  });
}

function refuseUpgrade(client: Duplex, status: number, sentence: string): void {
  const body = `${sentence}\n`;
  // Read and discard the rest of the request, so that the client sees the answer before the end.
  client.resume();
  if ('setTimeout' in client) (client as Socket).setTimeout(refusedForMs, () => client.destroy());
  client.on('end', () => client.destroy());
  client.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: text/plain; charset=utf-8\r\n` +
      `content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}
