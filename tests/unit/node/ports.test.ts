/**
 * Goal: a free port that another program takes before we listen on it costs another try, and not the
 * start, and never one of the roads. Method: real sockets on this machine; the other program is one
 * of them.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import os from 'node:os';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createNodeHost, PortTaken, type NodeHost } from '#network/node-host.ts';
import {
  asListenProblem,
  listenOn,
  portTries,
  settlePorts,
  takePort,
  type NodePorts,
} from '#node/ports.ts';
import { Problem } from '#storage/node/problem.ts';

const host = '127.0.0.1';
/** Reserved for documentation (RFC 5737): no machine has it. */
const notOurs = '198.51.100.7';
const needs = { ws: true, rtc: true };
type Road = keyof NodePorts;
const roads: readonly Road[] = ['tcp', 'ws', 'rtc'];

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const end of ends.splice(0)) await end();
});

/** Another program listens there from now on. */
const occupy = (port: number | null, road: Road): Promise<void> =>
  new Promise((done, failed) => {
    if (port === null) throw new Error('no port was chosen');
    if (road === 'rtc') {
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

/** As a node chooses: what it remembers if that is free. @param races how often somebody is faster. */
function racing(races: number, road: Road) {
  const chosen: NodePorts[] = [];
  return {
    chosen,
    choose: async (lost: ReadonlySet<number>): Promise<NodePorts> => {
      const ports = await settlePorts(chosen[0], needs, new Set(lost), host);
      chosen.push(ports);
      if (chosen.length <= races) await occupy(ports[road], road);
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
  test.each(roads)(
    'a host says which port another program holds (%s), and leaves none behind',
    async (road) => {
      const ports = await settlePorts(undefined, needs, new Set(), host);
      await occupy(ports[road], road);
      const failed = await start(ports).catch((error: unknown) => error);
      expect(failed).toBeInstanceOf(PortTaken);
      expect(failed).toMatchObject({ port: ports[road] });
      for (const other of (['tcp', 'ws'] as const).filter((each) => each !== road)) {
        await occupy(ports[other], other);
      }
    },
  );

  test.each(roads)(
    'a port taken meanwhile (%s) gives way to another one, as often as there are tries',
    async (road) => {
      const { choose, chosen } = racing(portTries - 1, road);
      const { ports, listening: started } = await listenOn(choose, start);
      expect(chosen).toHaveLength(portTries);
      expect(new Set(chosen.map((each) => each[road])).size).toBe(portTries);
      expect(ports).toEqual(chosen.at(-1));
      expect(started.addresses()).toEqual(expect.arrayContaining([...listening(ports)]));
      // The others were not lost, and addresses that stay good are worth something.
      if (road !== 'tcp') expect(ports.tcp).toBe(chosen[0]?.tcp);
    },
  );

  test('a port that was lost is not chosen again, though it looks free', async () => {
    const [first] = [await settlePorts(undefined, needs, new Set(), host)];
    const chosen: NodePorts[] = [];
    await listenOn(
      async (lost) => {
        chosen.push(await settlePorts(first, needs, new Set(lost), host));
        return chosen.at(-1) ?? first;
      },
      ({ ws }) => (ws === first.ws ? Promise.reject(new PortTaken(ws ?? 0)) : Promise.resolve()),
    );
    expect(chosen.map(({ ws }) => ws === first.ws)).toEqual([true, false]);
    expect(chosen.map(({ tcp }) => tcp)).toEqual([first.tcp, first.tcp]);
  });

  test('free ports are listened on at once', async () => {
    const { choose, chosen } = racing(0, 'tcp');
    const { ports, listening: started } = await listenOn(choose, start);
    expect(chosen).toEqual([ports]);
    expect(started.addresses()).toHaveLength(roads.length);
  });

  test('where somebody is always faster it ends, and the person is told what to do', async () => {
    const { choose, chosen } = racing(Infinity, 'ws');
    const failed = await listenOn(choose, start).catch((error: unknown) => error);
    expect(failed).toMatchObject({ name: 'PortTaken', port: chosen.at(-1)?.ws });
    expect(chosen).toHaveLength(portTries);
    const told = asListenProblem(failed, host);
    expect(told).toBeInstanceOf(Problem);
    expect(String(told)).toContain(`port ${chosen.at(-1)?.ws}: start again, or choose another`);
  });

  test('an address that is not this machine’s is answered with a sentence', async () => {
    const failed = await listenOn(
      (lost) => settlePorts(undefined, needs, new Set(lost), notOurs),
      start,
    ).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(Problem);
    expect(asListenProblem(failed, notOurs)).toBe(failed);
    expect(String(failed)).toContain(
      `${notOurs} is no address of this machine: choose one with --listen`,
    );
    // The person named the port, too.
    const named = { tcp: 4100, ws: null, rtc: null };
    await expect(settlePorts(named, needs, new Set(), notOurs)).rejects.toBeInstanceOf(Problem);
  });

  test('anything else that fails is not tried again', async () => {
    const { choose, chosen } = racing(0, 'tcp');
    const broken = (): Promise<never> => Promise.reject(new Error('no certificate'));
    await expect(listenOn(choose, broken)).rejects.toThrow('no certificate');
    expect(chosen).toHaveLength(1);
  });

  test('remembered ports stay, unless they are taken by another node or program', async () => {
    const first = await settlePorts(undefined, needs, new Set(), host);
    expect(await settlePorts(first, needs, new Set(), host)).toEqual(first);
    const second = await settlePorts(first, needs, new Set([first.tcp]), host);
    expect(second.tcp).not.toBe(first.tcp);
    await occupy(first.tcp, 'tcp');
    expect((await settlePorts(first, needs, new Set(), host)).tcp).not.toBe(first.tcp);
  });
});

test('a host tells all roads of a public address before any of a private one', async () => {
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
  const port = (): Promise<number> => takePort(taken, '0.0.0.0');
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
