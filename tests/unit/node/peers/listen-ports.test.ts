/**
 * Goal: a free port that another program takes before we listen on it costs another try, not the start
 * and not one of the transports. Method: real sockets on this computer, one of them as the other
 * program.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import os from 'node:os';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createNodeHost, PortTaken, type NodeHost } from '#network/node-host.ts';
import {
  toListenProblem,
  listenOn,
  maxListenAttempts,
  choosePorts,
  findFreePort,
  type NodePorts,
} from '#node/peers/listen-ports.ts';
import { Problem } from '#storage/node/problem.ts';

const host = '127.0.0.1';
/** Reserved for documentation (RFC 5737): no computer has it. */
const notOurs = '198.51.100.7';
const needs = { ws: true, rtc: true };
type TransportName = keyof NodePorts;
const networks: readonly TransportName[] = ['tcp', 'ws', 'rtc'];

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const end of ends.splice(0)) await end();
});

/** Another program listens there from now on. */
const occupy = (port: number | null, transport: TransportName): Promise<void> =>
  new Promise((done, failed) => {
    if (port === null) throw new Error('no port was chosen');
    if (transport === 'rtc') {
      const socket = createSocket('udp4');
      socket.once('error', failed);
      socket.bind({ port, address: host }, done);
      ends.push(() => new Promise((closed) => socket.close(() => closed())));
      return;
    }
    const server = createServer();
    server.once('error', failed);
    server.listen({ port, host }, done);
    ends.push(() => new Promise((closed) => server.close(() => closed())));
  });

const start = async ({ tcp, ws, rtc }: NodePorts, listen = host): Promise<NodeHost> => {
  const started = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(7), role: 'elder', listen, tcpPort: tcp },
    ...{ wsPort: ws, rtcDirectPort: rtc, bootstrap: { tcpAddress: null } },
  });
  ends.push(started.stop);
  return started;
};

/** Chooses as a node does: the saved port if it is free. @param races lost races with another program. */
function racing(races: number, transport: TransportName) {
  const chosen: NodePorts[] = [];
  return {
    chosen,
    choose: async (lost: ReadonlySet<number>): Promise<NodePorts> => {
      const ports = await choosePorts(chosen[0], needs, new Set(lost), host);
      chosen.push(ports);
      if (chosen.length <= races) await occupy(ports[transport], transport);
      return ports;
    },
  };
}

const listening = ({ tcp, ws, rtc }: NodePorts): readonly unknown[] => [
  expect.stringMatching(new RegExp(`^/ip4/${host}/tcp/${tcp}/p2p/`)),
  expect.stringMatching(new RegExp(`^/ip4/${host}/tcp/${ws}/ws/p2p/`)),
  expect.stringMatching(new RegExp(`^/ip4/${host}/udp/${rtc}/webrtc-direct/certhash/`)),
];

describe('ports chosen first and listened on later', () => {
  test.each(networks)(
    'a host reports the port that another program holds (%s), and leaves no listener behind',
    async (transport) => {
      const ports = await choosePorts(undefined, needs, new Set(), host);
      await occupy(ports[transport], transport);
      const failed = await start(ports).catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(PortTaken);
      expect(failed).toMatchObject({ port: ports[transport] });
      for (const other of (['tcp', 'ws'] as const).filter((each) => each !== transport)) {
        await occupy(ports[other], other);
      }
    },
  );

  test.each(networks)(
    'a port taken meanwhile (%s) is replaced by another one, as often as there are tries',
    async (transport) => {
      const { choose, chosen } = racing(maxListenAttempts - 1, transport);
      const { ports, listening: started } = await listenOn(choose, start);
      expect(chosen).toHaveLength(maxListenAttempts);
      expect(new Set(chosen.map((each) => each[transport])).size).toBe(maxListenAttempts);
      expect(ports).toEqual(chosen.at(-1));
      expect(started.addresses()).toEqual(expect.arrayContaining([...listening(ports)]));
      // The others were not lost, and stable addresses are valuable.
      if (transport !== 'tcp') expect(ports.tcp).toBe(chosen[0]?.tcp);
    },
  );

  test('a lost port is not chosen again, even if it looks free', async () => {
    const [first] = [await choosePorts(undefined, needs, new Set(), host)];
    const chosen: NodePorts[] = [];
    await listenOn(
      async (lost) => {
        chosen.push(await choosePorts(first, needs, new Set(lost), host));
        return chosen.at(-1) ?? first;
      },
      ({ ws }) => (ws === first.ws ? Promise.reject(new PortTaken(ws ?? 0)) : Promise.resolve()),
    );
    expect(chosen.map(({ ws }) => ws === first.ws)).toEqual([true, false]);
    expect(chosen.map(({ tcp }) => tcp)).toEqual([first.tcp, first.tcp]);
  });

  test('free ports are listened on at the first try', async () => {
    const { choose, chosen } = racing(0, 'tcp');
    const { ports, listening: started } = await listenOn(choose, start);
    expect(chosen).toEqual([ports]);
    expect(started.addresses()).toHaveLength(networks.length);
  });

  test('if another program is always faster, the start fails with a next step', async () => {
    const { choose, chosen } = racing(Infinity, 'ws');
    const failed = await listenOn(choose, start).catch((error: unknown) => error);
    expect(failed).toMatchObject({ name: 'PortTaken', port: chosen.at(-1)?.ws });
    expect(chosen).toHaveLength(maxListenAttempts);
    const told = toListenProblem(failed, host);
    expect(told).toBeInstanceOf(Problem);
    expect(String(told)).toContain(`port ${chosen.at(-1)?.ws}: start again, or choose another`);
  });

  test('an address of another computer is refused with a sentence', async () => {
    const failed = await listenOn(
      (lost) => choosePorts(undefined, needs, new Set(lost), notOurs),
      start,
    ).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(Problem);
    expect(toListenProblem(failed, notOurs)).toBe(failed);
    expect(String(failed)).toContain(
      `${notOurs} is no address of this machine: choose one with --listen`,
    );
    // With a port of the person's choice, too.
    const named = { tcp: 4100, ws: null, rtc: null };
    await expect(choosePorts(named, needs, new Set(), notOurs)).rejects.toBeInstanceOf(Problem);
  });

  test('other errors are not retried', async () => {
    const { choose, chosen } = racing(0, 'tcp');
    const broken = (): Promise<never> => Promise.reject(new Error('no certificate'));
    await expect(listenOn(choose, broken)).rejects.toThrow('no certificate');
    expect(chosen).toHaveLength(1);
  });

  test('saved ports stay, unless another node or program has taken them', async () => {
    const first = await choosePorts(undefined, needs, new Set(), host);
    expect(await choosePorts(first, needs, new Set(), host)).toEqual(first);
    const second = await choosePorts(first, needs, new Set([first.tcp]), host);
    expect(second.tcp).not.toBe(first.tcp);
    await occupy(first.tcp, 'tcp');
    expect((await choosePorts(first, needs, new Set(), host)).tcp).not.toBe(first.tcp);
  });
});

test('a host lists all transports of a public address before any of a private one', async () => {
  const at = (address: string): os.NetworkInterfaceInfo => ({
    ...{ address, netmask: '255.255.255.0', family: 'IPv4', mac: '02:00:00:00:00:01' },
    ...{ internal: false, cidr: null },
  });
  vi.spyOn(os, 'networkInterfaces').mockReturnValue({
    lo: [at('127.0.0.1')],
    eth0: [at('10.1.2.3')],
    eth1: [at('8.8.8.8')],
  });
  const taken = new Set<number>();
  const port = (): Promise<number> => findFreePort(taken, '0.0.0.0');
  const started = await start(
    { tcp: await port(), ws: await port(), rtc: await port() },
    '0.0.0.0',
  );
  const told = started.addresses().map((each) => each.split('/').slice(2, 4).join(' '));
  const each = ['tcp', 'tcp', 'udp'];
  const inOrder = ['8.8.8.8', '10.1.2.3', '127.0.0.1'].flatMap((address) =>
    each.map((protocol) => `${address} ${protocol}`),
  );
  expect([...told]).toEqual(inOrder);
});
