/** Ports on this machine: free ones chosen once and remembered, so that addresses stay good. */
import { createServer } from 'node:net';
import { createSocket } from 'node:dgram';
import { PortTaken } from '#network/node-host.ts';
import { Problem } from '#storage/node/problem.ts';

/** What one node listens on. */
export interface NodePorts {
  readonly tcp: number;
  readonly ws: number | null;
  readonly rtc: number | null;
}

const loopback = '127.0.0.1';

/** Where a program on this machine reaches what listens there. */
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

/** What the system says of an address that this machine, or its kind of network, does not have. */
const notOurs: ReadonlySet<string | undefined> = new Set([
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'EINVAL',
]);

const anyTcp = (host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        notOurs.has(error.code)
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
 * the host is not this machine.
 */
export async function takePort(taken: Set<number>, host = loopback): Promise<number> {
  for (;;) {
    const port = await anyTcp(host);
    if (taken.has(port) || !(await isUdpFree(port, host))) continue;
    taken.add(port);
    return port;
  }
}

/**
 * The remembered ports when they are still free, else new ones. A changed port changes addresses,
 * which nodes sign anew at every start (N28), so nothing else breaks.
 */
export async function settlePorts(
  remembered: NodePorts | undefined,
  needs: { readonly ws: boolean; readonly rtc: boolean },
  taken: Set<number>,
  host = loopback,
): Promise<NodePorts> {
  const settle = async (
    port: number | null | undefined,
    isFree: typeof isTcpFree,
  ): Promise<number> => {
    if (typeof port === 'number' && !taken.has(port) && (await isFree(port, host))) {
      taken.add(port);
      return port;
    }
    return takePort(taken, host);
  };
  return {
    tcp: await settle(remembered?.tcp, isTcpFree),
    ws: needs.ws ? await settle(remembered?.ws, isTcpFree) : null,
    rtc: needs.rtc ? await settle(remembered?.rtc, isUdpFree) : null,
  };
}

/** So many races lost in a row are no accident. */
export const portTries = 4;

/**
 * Between finding a port free and listening on it another program may take it: then ports are chosen
 * anew, and whatever could not be listened on is `lost`, free as it may look again. Errors: what
 * `choose` and `listen` throw; {@link PortTaken} only of the last try.
 */
export async function listenOn<T>(
  choose: (lost: ReadonlySet<number>) => Promise<NodePorts>,
  listen: (ports: NodePorts) => Promise<T>,
): Promise<{ readonly ports: NodePorts; readonly listening: T }> {
  const lost = new Set<number>();
  for (let left = portTries - 1; ; left--) {
    const ports = await choose(lost);
    try {
      return { ports, listening: await listen(ports) };
    } catch (error) {
      if (!(error instanceof PortTaken) || left <= 0) throw error;
      lost.add(error.port);
    }
  }
}

/** What whoever said where to listen is told when no try succeeded. */
export const asListenProblem = (error: unknown, listen: string): unknown =>
  error instanceof PortTaken
    ? new Problem(
        'portTaken',
        `${listen} cannot be listened on at port ${error.port}: start again, or choose another address of this machine with --listen.`,
      )
    : error;
