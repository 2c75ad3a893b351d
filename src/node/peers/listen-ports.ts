/** Ports of this computer: free ones are chosen once and saved, so that addresses stay valid. */
import { createServer } from 'node:net';
import { createSocket } from 'node:dgram';
import { PortTaken } from '#network/node-host.ts';
import { Problem } from '#storage/node/problem.ts';

/** The ports of one node. */
export interface NodePorts {
  readonly tcp: number;
  readonly ws: number | null;
  readonly rtc: number | null;
}

const loopback = '127.0.0.1';

/** The host by which a program on this computer reaches a listener. */
export const dialHost = (listen: string): string =>
  listen === '0.0.0.0' ? loopback : listen === '::' ? '::1' : listen;

const isTcpFree = (port: number, host: string): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });

const isUdpFree = (port: number, host: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', () => {
      socket.close();
      resolve(false);
    });
    socket.bind({ port, address: host, exclusive: true }, () => socket.close(() => resolve(true)));
  });

/** Error codes for an address that this computer or its network does not have. */
const notLocalCodes: ReadonlySet<string | undefined> = new Set([
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'EINVAL',
]);

const anyTcp = (host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        notLocalCodes.has(error.code)
          ? new Problem(
              'portTaken',
              `${host} is no address of this machine: choose one with --listen, such as 127.0.0.1, or 0.0.0.0 for all it has.`,
            )
          : error,
      ),
    );
    server.listen({ port: 0, host }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });

/**
 * A port free for TCP and for UDP, not among `taken`; it is added there. Errors: throws a Problem when
 * the host is not an address of this computer.
 */
export async function findFreePort(taken: Set<number>, host = loopback): Promise<number> {
  for (;;) {
    const port = await anyTcp(host);
    if (taken.has(port) || !(await isUdpFree(port, host))) continue;
    taken.add(port);
    return port;
  }
}

/**
 * The saved ports if they are still free, else new ones. Nodes sign their addresses anew at every
 * start (N28), so nothing else depends on a port.
 */
export async function choosePorts(
  remembered: NodePorts | undefined,
  needs: { readonly ws: boolean; readonly rtc: boolean },
  taken: Set<number>,
  host = loopback,
): Promise<NodePorts> {
  const reuseOrFind = async (
    port: number | null | undefined,
    isFree: typeof isTcpFree,
  ): Promise<number> => {
    if (typeof port === 'number' && !taken.has(port) && (await isFree(port, host))) {
      taken.add(port);
      return port;
    }
    return findFreePort(taken, host);
  };
  return {
    tcp: await reuseOrFind(remembered?.tcp, isTcpFree),
    ws: needs.ws ? await reuseOrFind(remembered?.ws, isTcpFree) : null,
    rtc: needs.rtc ? await reuseOrFind(remembered?.rtc, isUdpFree) : null,
  };
}

/** That many lost races in a row are no accident. */
export const maxListenAttempts = 4;

/**
 * Another program may take a port between the check and listening: then ports are chosen again,
 * without those in `lost`. Errors: those of `choose` and `listen`; {@link PortTaken} only after the
 * last try.
 */
export async function listenOn<T>(
  choose: (lost: ReadonlySet<number>) => Promise<NodePorts>,
  listen: (ports: NodePorts) => Promise<T>,
): Promise<{ readonly ports: NodePorts; readonly listening: T }> {
  const lost = new Set<number>();
  for (let attemptsLeft = maxListenAttempts - 1; ; attemptsLeft--) {
    const ports = await choose(lost);
    try {
      return { ports, listening: await listen(ports) };
    } catch (error) {
      if (!(error instanceof PortTaken) || attemptsLeft <= 0) throw error;
      lost.add(error.port);
    }
  }
}

/** The operator's error message when no port could be bound. */
export const toListenProblem = (error: unknown, listen: string): unknown =>
  error instanceof PortTaken
    ? new Problem(
        'portTaken',
        `${listen} cannot be listened on at port ${error.port}: start again, or choose another address of this machine with --listen.`,
      )
    : error;
