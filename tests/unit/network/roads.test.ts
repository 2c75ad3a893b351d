/** Goal: roads are tried in an order that spends the tab's WebRTC connections slowly. */
import { expect, test } from 'vitest';
import { addressesFor, orderRoads, type RoadFacts } from '#network/roads.ts';
import { rtcAllowance, rtcOffFrom, rtcSparingFrom } from '#network/rtc/budget.ts';

const facts: RoadFacts = {
  preference: 'automatic',
  rtcHost: true,
  rtcUsed: 0,
  rtcLeft: 3,
  lastGood: null,
  failed: new Set(),
  directRefused: false,
};

test('with a page the relayed road comes first, WebSocket last', () => {
  expect(orderRoads(facts)).toEqual(['relayed', 'direct', 'websocket']);
});

test('what worked last comes first, what failed comes last', () => {
  expect(orderRoads({ ...facts, lastGood: 'direct' })[0]).toBe('direct');
  expect(orderRoads({ ...facts, failed: new Set(['relayed']) })).toEqual([
    'direct',
    'websocket',
    'relayed',
  ]);
});

test('WebSocket having worked last does not end WebRTC', () => {
  expect(orderRoads({ ...facts, lastGood: 'websocket' })[0]).toBe('relayed');
});

test('a browser that refuses WebRTC-Direct is not asked again', () => {
  expect(orderRoads({ ...facts, directRefused: true })).toEqual(['relayed', 'websocket']);
});

test('without a page, or with the budget spent, WebSocket carries everything', () => {
  expect(orderRoads({ ...facts, rtcHost: false })).toEqual(['websocket']);
  expect(orderRoads({ ...facts, rtcLeft: 0 })[0]).toBe('websocket');
  expect(orderRoads({ ...facts, rtcLeft: 0, lastGood: 'relayed' })[0]).toBe('websocket');
  expect(orderRoads({ ...facts, rtcLeft: 0, rtcUsed: rtcOffFrom })).toEqual(['websocket']);
});

test('a chosen road is the only one', () => {
  expect(orderRoads({ ...facts, preference: 'relayed' })).toEqual(['relayed']);
  expect(orderRoads({ ...facts, preference: 'relayed', rtcHost: false })).toEqual([]);
  expect(orderRoads({ ...facts, preference: 'websocket', rtcHost: false })).toEqual(['websocket']);
});

test('a hundred deaths of the worker in one tab leave WebRTC on', () => {
  let used = 0;
  for (let death = 0; death < 100; death++) {
    const allowed = rtcAllowance(used);
    expect(allowed).toBeGreaterThan(0);
    used += allowed;
  }
  expect(used).toBeLessThan(rtcSparingFrom);
});

test('addresses belong to one road each', () => {
  const addresses = [
    '/ip4/127.0.0.1/tcp/1',
    '/ip4/127.0.0.1/tcp/2/ws',
    '/ip4/127.0.0.1/tcp/9/p2p/R/p2p-circuit/webrtc/p2p/E',
    '/ip4/127.0.0.1/tcp/9/ws/p2p/R/p2p-circuit/p2p/E',
    '/ip4/127.0.0.1/udp/3/webrtc-direct/certhash/u',
  ];
  const relay = '/dns4/localhost/tcp/4100/ws/p2p/R';
  expect(addressesFor('relayed', 'E', addresses, [relay])).toEqual([
    `${relay}/p2p-circuit/webrtc/p2p/E`,
  ]);
  expect(addressesFor('websocket', 'E', addresses, [relay])).toEqual([
    '/ip4/127.0.0.1/tcp/2/ws/p2p/E',
  ]);
  expect(addressesFor('direct', 'E', addresses, [relay])).toEqual([
    '/ip4/127.0.0.1/udp/3/webrtc-direct/certhash/u/p2p/E',
  ]);
});
