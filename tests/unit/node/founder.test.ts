/** Goal: genesis costs founders no work for other peers. Method: the request handler alone. */
import { expect, test, vi } from 'vitest';
import { nameToId, toXorName } from '#address/xor-name.ts';
import type { Remote } from '#network/node-host.ts';
import { founderHandler, startFounder, type FounderOptions } from '#node/genesis/founder.ts';
import { createAdmissionControl, maxPerPeer } from '#node/requests/admission-control.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import { publicKeyOf } from '#node/keys/native-ed25519.ts';
import { encodeGenesisMessage, type GenesisMessage } from '#roles/genesis/index.ts';
import * as wire from '#roles/wire/node-requests.ts';
import { toySuites } from '../../sim/toys/curves.ts';
import { silentLog } from '../../support/silent-log.ts';

const decoded = vi.hoisted(() => ({ count: 0 }));
vi.mock('#roles/wire/node-requests.ts', async (original) => {
  const real: typeof wire = await original();
  return {
    ...real,
    decodeNodeRequest: (bytes: Uint8Array) => {
      decoded.count += 1;
      return real.decodeNodeRequest(bytes);
    },
  };
});

const alice = new Uint8Array(32).fill(1);
const mallory = new Uint8Array(32).fill(66);
const message: GenesisMessage = { kind: 'request', sessionId: new Uint8Array(32) };

function founder() {
  decoded.count = 0;
  const received: string[] = [];
  const invalid: string[] = [];
  const gate = createAdmissionControl(createMetrics());
  const answer = founderHandler(
    gate,
    (id) => id === nameToId(alice),
    (from) => received.push(from),
  );
  const from = (name: Uint8Array | null): Remote => ({
    peerId: name === null ? 'nobody' : nameToId(name),
    name,
    address: null,
    reportInvalid: () => invalid.push(name === null ? 'nobody' : nameToId(name)),
  });
  const ask = async (bytes: Uint8Array, name: Uint8Array | null) => {
    const reply = wire.decodeNodeReply(await answer(bytes, from(name)));
    if (!reply.ok) throw new Error('malformed');
    return reply.value;
  };
  return { ask, gate, from, received, invalid };
}
const request = (): Uint8Array =>
  wire.encodeNodeRequest({
    kind: 'deliver',
    protocol: 'genesis',
    message: encodeGenesisMessage(message),
  });

test('nothing is decoded for a non-founder, and each of its requests counts against it', async () => {
  const { ask, received, invalid } = founder();
  for (const name of [mallory, null]) {
    expect(await ask(request(), name)).toMatchObject({ refusal: { rule: 'GENESIS-G1' } });
  }
  expect(decoded.count).toBe(0);
  expect(received).toEqual([]);
  expect(invalid).toEqual([nameToId(mallory), 'nobody']);
});

test('a founder’s message is delivered; other bytes count against it', async () => {
  const { ask, received, invalid } = founder();
  expect(await ask(request(), alice)).toEqual({ kind: 'accepted' });
  expect(received).toEqual([nameToId(alice)]);
  expect(invalid).toEqual([]);
  const others: readonly wire.NodeRequest[] = [
    { kind: 'deliver', protocol: 'section', message: encodeGenesisMessage(message) },
    { kind: 'deliver', protocol: 'genesis', message: new Uint8Array(9) },
  ];
  for (const other of others) {
    const reply = await ask(wire.encodeNodeRequest(other), alice);
    expect(reply).toMatchObject({ refusal: { kind: 'malformed' } });
  }
  expect(await ask(new Uint8Array(9), alice)).toMatchObject({ refusal: { kind: 'malformed' } });
  expect(invalid).toHaveLength(3);
  expect(received).toHaveLength(1);
});

test('a founder waits in admission control like any peer: requests beyond its limit are not decoded', async () => {
  const { ask, gate, from } = founder();
  let end: () => void = () => undefined;
  const busy = new Promise<void>((done) => (end = done));
  const held = Array.from({ length: maxPerPeer }, () =>
    gate.run('system', from(alice), 0, () => busy),
  );
  expect(await ask(request(), alice)).toMatchObject({ refusal: { kind: 'busy' } });
  expect(decoded.count).toBe(0);
  end();
  await Promise.all(held);
  expect(await ask(request(), alice)).toEqual({ kind: 'accepted' });
});

test('a job that fails → genesis ends with that error', async () => {
  const seeds = Array.from({ length: 7 }, (_, at) => new Uint8Array(32).fill(at + 1));
  const names = seeds.map((seed) => toXorName(publicKeyOf(seed)));
  const [seed, name] = [seeds[0], names[0]];
  if (seed === undefined || name === undefined) throw new Error('seven founders');
  const sharing = { secret: new Uint8Array(32).fill(1), key: new Uint8Array(32).fill(1) };
  const options = {
    identity: { label: 'founder', folder: '', seed, name, sharing },
    config: {
      ...{ candidates: names, adults: [], networkName: 'test', genesisOutput: null },
      sharingKeys: new Map(names.map((each) => [nameToId(each), sharing.key])),
      nonce: new Uint8Array(32),
      gossipEveryMs: 5,
      suites: toySuites,
    },
    host: { request: async () => undefined, serve: async () => undefined },
    addressesOf: () => [],
    facts: null,
    jobs: {
      run: async () => {
        throw new Error('the job failed');
      },
    },
    log: silentLog,
    admission: createAdmissionControl(createMetrics()),
  } as unknown as FounderOptions;
  const { result } = await startFounder(options);
  await expect(result).rejects.toThrow('the job failed');
});
