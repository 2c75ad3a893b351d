/** Ports on this machine: free ones chosen once and remembered, so that addresses stay good. */
import { createServer } from 'node:net';
import { createSocket } from 'node:dgram';
import { PortTaken } from '#network/node-host.ts';

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

const anyTcp = (host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port: 0, host }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });

/** A port free for TCP and for UDP, not among `taken`; it is added there. */
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

/** Each time other ports are chosen, unless the person named the one to listen on. */
export const portTries = 4;

/**
 * Between finding a port free and listening on it another program may take it: then ports are chosen
 * anew. Errors: what `choose` and `listen` throw; {@link PortTaken} only of the last try.
 */
export async function listenOn<T>(
  choose: () => Promise<NodePorts>,
  listen: (ports: NodePorts) => Promise<T>,
  tries = portTries,
): Promise<{ readonly ports: NodePorts; readonly listening: T }> {
  for (let left = tries - 1; ; left--) {
    const ports = await choose();
    try {
      return { ports, listening: await listen(ports) };
    } catch (error) {
      if (!(error instanceof PortTaken) || left <= 0) throw error;
    }
  }
}
