/**
 * Goal: page, worker and node accept the same network files. Method: the one parser, given files as served
 * and as saved, and each of them with one fault.
 */
import { expect, test } from 'vitest';
import { PROTOCOL_MAJOR } from '#network/protocols.ts';
import {
  makeNetworkFile,
  parseNetworkFile,
  parseSavedNetworkFile,
} from '#roles/wire/network-file.ts';

const key = new Uint8Array(96).fill(7);
const saved = makeNetworkFile('test', key, 10n ** 18n);
const served = { ...saved, bootstrap: ['/dns4/localhost/tcp/1/ws/p2p/x'] };

test('a served file is read; fields of later versions are dropped', () => {
  expect(parseNetworkFile(served)).toEqual(served);
  expect(parseNetworkFile({ ...served, motto: 'new' })).toEqual(served);
  expect(parseNetworkFile({ ...served, faucet: null })).toEqual({ ...served, faucet: null });
});

test('a new file names the wire version', () => {
  expect(saved.protocol).toBe(PROTOCOL_MAJOR);
});

test('a saved file is the served one without the addresses', () => {
  const parsed = parseSavedNetworkFile(JSON.stringify(saved));
  expect(parsed?.file).toEqual(saved);
  expect(parsed?.anchor.genesisKey).toEqual(key);
  expect(parseSavedNetworkFile(JSON.stringify(served))?.file).toEqual(saved);
});

test.each<readonly [string, Readonly<Record<string, unknown>>]>([
  ['another format', { format: 2 }],
  ['the protocol of version 0.1', { protocol: 1 }],
  ['a later protocol', { protocol: 3 }],
  ['a name that its id does not contain', { name: 'other' }],
  ['a name of 65 characters', { name: 'x'.repeat(65) }],
  ['the id of another network', { networkId: '00'.repeat(32) }],
  ['a short key', { genesisKey: '00'.repeat(95) }],
  ['a key in capitals', { genesisKey: saved.genesisKey.replaceAll('7', 'A') }],
  ['a supply that is no amount', { supply: '-1' }],
  ['a faucet at another origin', { faucet: '//example.org/faucet' }],
  ['a faucet with a scheme', { faucet: 'https://example.org' }],
  ['no faucet field', { faucet: undefined }],
])('%s is refused, served and saved', (_, fault) => {
  expect(parseNetworkFile({ ...served, ...fault })).toBeUndefined();
  expect(parseSavedNetworkFile(JSON.stringify({ ...saved, ...fault }))).toBeUndefined();
});

test.each([[undefined], ['/ip4/1.2.3.4'], [[7]], [['x'.repeat(257)]], [Array(17).fill('a')]])(
  'bootstrap addresses %j are refused',
  (bootstrap) => expect(parseNetworkFile({ ...served, bootstrap })).toBeUndefined(),
);

test.each(['', '{', 'null', '[]', '"text"', '7'])('%j is no saved file', (text) => {
  expect(parseSavedNetworkFile(text)).toBeUndefined();
});
