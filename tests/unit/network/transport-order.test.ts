/** Goal: transports are tried in an order that spends the tab's WebRTC connections slowly. */
import { expect, test } from 'vitest';
import { isDialledByNodes } from '#network/address-checks.ts';
import {
  addressesFor,
  maxDialledPerTransport,
  orderTransports,
  type TransportFacts,
} from '#network/transport-order.ts';
import { rtcAllowance, rtcDisableFrom, rtcConserveFrom } from '#network/rtc/budget.ts';

const facts: TransportFacts = {
  preference: 'automatic',
  rtcHost: true,
  rtcUsed: 0,
  rtcLeft: 3,
  lastWorking: null,
  failed: new Set(),
  directRefused: false,
};

test('with a page the relayed transport comes first, WebSocket last', () => {
  expect(orderTransports(facts)).toEqual(['relayed', 'direct', 'websocket']);
});

test('the last working transport comes first, failed ones come last', () => {
  expect(orderTransports({ ...facts, lastWorking: 'direct' })[0]).toBe('direct');
  expect(orderTransports({ ...facts, failed: new Set(['relayed']) })).toEqual([
    'direct',
    'websocket',
    'relayed',
  ]);
});

test('WebSocket worked last → WebRTC stays on', () => {
  expect(orderTransports({ ...facts, lastWorking: 'websocket' })[0]).toBe('relayed');
});

test('a browser that refuses WebRTC-Direct is not tried again', () => {
  expect(orderTransports({ ...facts, directRefused: true })).toEqual(['relayed', 'websocket']);
});

test('without a page, or with the budget spent, WebSocket carries everything', () => {
  expect(orderTransports({ ...facts, rtcHost: false })).toEqual(['websocket']);
  expect(orderTransports({ ...facts, rtcLeft: 0 })[0]).toBe('websocket');
  expect(orderTransports({ ...facts, rtcLeft: 0, lastWorking: 'relayed' })[0]).toBe('websocket');
  expect(orderTransports({ ...facts, rtcLeft: 0, rtcUsed: rtcDisableFrom })).toEqual(['websocket']);
});

test('a chosen transport is the only one', () => {
  expect(orderTransports({ ...facts, preference: 'relayed' })).toEqual(['relayed']);
  expect(orderTransports({ ...facts, preference: 'relayed', rtcHost: false })).toEqual([]);
  expect(orderTransports({ ...facts, preference: 'websocket', rtcHost: false })).toEqual([
    'websocket',
  ]);
});

test('a hundred restarts of the worker in one tab leave WebRTC on', () => {
  let used = 0;
  for (let death = 0; death < 100; death++) {
    const allowed = rtcAllowance(used);
    expect(allowed).toBeGreaterThan(0);
    used += allowed;
  }
  expect(used).toBeLessThan(rtcConserveFrom);
});

test('each address belongs to one transport', () => {
  const addresses = [
    '/ip4/127.0.0.1/tcp/1',
    '/ip4/127.0.0.1/tcp/2/ws',
    '/ip4/127.0.0.1/tcp/9/p2p/R/p2p-circuit/webrtc/p2p/E',
    '/ip4/127.0.0.1/tcp/9/ws/p2p/R/p2p-circuit/p2p/E',
    '/ip4/127.0.0.1/udp/3/webrtc-direct/certhash/u',
  ];
  const relay = '/dns4/localhost/tcp/4100/ws/p2p/R';
  expect(addressesFor('relayed', 'E', addresses, [relay], true)).toEqual([
    `${relay}/p2p-circuit/webrtc/p2p/E`,
  ]);
  expect(addressesFor('websocket', 'E', addresses, [relay], true)).toEqual([
    '/ip4/127.0.0.1/tcp/2/ws/p2p/E',
  ]);
  expect(addressesFor('direct', 'E', addresses, [relay], true)).toEqual([
    '/ip4/127.0.0.1/udp/3/webrtc-direct/certhash/u/p2p/E',
  ]);
});

test('an address that names another peer is not dialled', () => {
  const addresses = [
    '/ip4/127.0.0.1/tcp/2/ws/p2p/Other',
    '/ip4/127.0.0.1/tcp/3/ws/p2p/Other/p2p/E',
    '/ip4/127.0.0.1/tcp/4/ws/ipfs/Other',
    '/ip4/127.0.0.1/tcp/5/ws/p2p/E',
    '/ip4/127.0.0.1/udp/3/webrtc-direct/certhash/u/p2p/Other',
  ];
  expect(addressesFor('websocket', 'E', addresses, [], true)).toEqual([
    '/ip4/127.0.0.1/tcp/5/ws/p2p/E',
  ]);
  expect(addressesFor('direct', 'E', addresses, [], true)).toEqual([]);
});

test('an app from the internet dials no private address, and few addresses per elder', () => {
  const inside = [
    '/ip4/127.0.0.1/tcp/1/ws',
    '/ip4/10.0.0.1/tcp/1/ws',
    '/ip4/172.16.0.1/tcp/1/ws',
    '/ip4/192.168.1.1/tcp/80/ws',
    '/ip4/169.254.1.1/tcp/1/ws',
    '/ip4/100.64.0.1/tcp/1/ws',
    '/ip6/::1/tcp/1/ws',
    '/ip6/fe80::1/tcp/1/ws',
    '/ip6/fd00::1/tcp/1/ws',
    '/ip6/::ffff:192.168.1.1/tcp/1/ws',
    '/dns4/localhost/tcp/1/ws',
    '/dns4/router.local/tcp/1/ws',
  ];
  const outside = [1, 2, 3, 4].map((n) => `/ip4/203.0.113.${n}/tcp/443/wss`);
  expect(addressesFor('websocket', 'E', [...inside, ...outside], [], false)).toEqual(
    outside.slice(0, maxDialledPerTransport).map((each) => `${each}/p2p/E`),
  );
  expect(addressesFor('websocket', 'E', inside, [], true)).toHaveLength(maxDialledPerTransport);
});

test('a node dials only IP addresses with TCP ports, and its own machine only if it listens there', () => {
  const never = [
    '/dns4/victim.example/tcp/25',
    '/dns/victim.example/tcp/25',
    '/dnsaddr/victim.example',
    '/ip4/203.0.113.1/tcp/25/ws',
    '/ip4/203.0.113.1/udp/25',
    '/ip4/203.0.113.1/tcp/70000',
    '/ip4/0.0.0.0/tcp/25',
    '/ip4/224.0.0.1/tcp/25',
    '/ip4/255.255.255.255/tcp/25',
    '/ip6/::/tcp/25',
    '/ip6/ff02::1/tcp/25',
    '/ip6/::ffff:127.0.0.1/tcp/25',
    '/ip4/203.0.113.1/tcp/25/p2p/R/p2p-circuit',
  ];
  for (const address of never) expect(isDialledByNodes(address, true)).toBe(false);
  for (const address of ['/ip4/203.0.113.1/tcp/25', '/ip6/2001:db8::1/tcp/4001/p2p/E']) {
    expect(isDialledByNodes(address, false)).toBe(true);
  }
  for (const address of ['/ip4/127.0.0.1/tcp/25', '/ip6/::1/tcp/25']) {
    expect(isDialledByNodes(address, true)).toBe(true);
    expect(isDialledByNodes(address, false)).toBe(false);
  }
});
