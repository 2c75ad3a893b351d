/**
 * Goal: a free port that another program takes before we listen on it costs another try, and not the
 * start. Method: real sockets on this machine; the other program is one of them.
 */
import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createNodeHost, PortTaken, type NodeHost } from '#network/node-host.ts';
import { listenOn, portTries, settlePorts, type NodePorts } from '#node/ports.ts';

const host = '127.0.0.1';
const needs = { ws: false, rtc: false };

const servers: Server[] = [];
const hosts: NodeHost[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((each) => each.stop()));
  const closed = (server: Server): Promise<void> =>
    new Promise((done) => server.close(() => done()));
  await Promise.all(servers.splice(0).map(closed));
});

/** Another program listens there from now on. */
const occupy = (port: number): Promise<void> =>
  new Promise((done, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen({ port, host }, () => {
      servers.push(server);
      done();
    });
  });

const start = async ({ tcp }: NodePorts): Promise<NodeHost> => {
  const started = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(7), role: 'adult', listen: host, tcpPort: tcp },
    ...{ wsPort: null, rtcDirectPort: null, bootstrap: { tcpAddress: null } },
    log: () => undefined,
  });
  hosts.push(started);
  return started;
};

/** As a node chooses: what it remembers if that is free. @param races how often somebody is faster. */
function racing(races: number) {
  const chosen: NodePorts[] = [];
  return {
    chosen,
    choose: async (): Promise<NodePorts> => {
      const ports = await settlePorts(chosen.at(-1), needs, new Set(), host);
      chosen.push(ports);
      if (chosen.length <= races) await occupy(ports.tcp);
      return ports;
    },
  };
}

describe('ports chosen first and listened on later', () => {
  test('a node’s host says so when its port is held by another program', async () => {
    const { tcp } = await settlePorts(undefined, needs, new Set(), host);
    await occupy(tcp);
    await expect(start({ tcp, ws: null, rtc: null })).rejects.toBeInstanceOf(PortTaken);
  });

  test('a port taken meanwhile gives way to another one, as often as there are tries', async () => {
    const { choose, chosen } = racing(portTries - 1);
    const { ports, listening } = await listenOn(choose, start);
    expect(chosen).toHaveLength(portTries);
    expect(new Set(chosen.map(({ tcp }) => tcp)).size).toBe(portTries);
    expect(ports).toEqual(chosen.at(-1));
    expect(listening.addresses().join()).toContain(`/tcp/${ports.tcp}`);
  });

  test('a free port is listened on at once', async () => {
    const { choose, chosen } = racing(0);
    const { ports } = await listenOn(choose, start);
    expect(chosen).toEqual([ports]);
  });

  test('where somebody is always faster, and where the port is named, it ends', async () => {
    const always = racing(Infinity);
    await expect(listenOn(always.choose, start)).rejects.toBeInstanceOf(PortTaken);
    expect(always.chosen).toHaveLength(portTries);
    const named = racing(Infinity);
    await expect(listenOn(named.choose, start, 1)).rejects.toBeInstanceOf(PortTaken);
    expect(named.chosen).toHaveLength(1);
  });

  test('anything else that fails is not tried again', async () => {
    const { choose, chosen } = racing(0);
    const broken = (): Promise<never> => Promise.reject(new Error('no certificate'));
    await expect(listenOn(choose, broken)).rejects.toThrow('no certificate');
    expect(chosen).toHaveLength(1);
  });

  test('remembered ports stay, unless they are taken by another node or program', async () => {
    const first = await settlePorts(undefined, needs, new Set(), host);
    expect(await settlePorts(first, needs, new Set(), host)).toEqual(first);
    const second = await settlePorts(first, needs, new Set([first.tcp]), host);
    expect(second.tcp).not.toBe(first.tcp);
    await occupy(first.tcp);
    expect((await settlePorts(first, needs, new Set(), host)).tcp).not.toBe(first.tcp);
  });
});
