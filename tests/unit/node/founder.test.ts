/** Goal: a birth costs its founders nothing for anybody else. Method: the answering function alone. */
import { expect, test, vi } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import type { Remote } from '#network/node-host.ts';
import { answerFounders } from '#node/founder.ts';
import { createGate, maxPerPeer } from '#node/gate.ts';
import { createMetrics } from '#node/metrics.ts';
import { encodeGenesisMessage, type GenesisMessage } from '#roles/genesis/index.ts';
import * as wire from '#roles/wire/node.ts';

const decoded = vi.hoisted(() => ({ count: 0 }));
vi.mock('#roles/wire/node.ts', async (original) => {
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
const message: GenesisMessage = { kind: 'ask', sessionId: new Uint8Array(32) };

function founder() {
  decoded.count = 0;
  const received: string[] = [];
  const invalid: string[] = [];
  const gate = createGate(createMetrics());
  const answer = answerFounders(
    gate,
    (id) => id === nameToId(alice),
    (from) => received.push(from),
  );
  const from = (name: Uint8Array | null): Remote => ({
    peerId: name === null ? 'nobody' : nameToId(name),
    name,
    address: null,
    invalid: () => invalid.push(name === null ? 'nobody' : nameToId(name)),
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

test('nothing is decoded for a stranger, and each of its requests is held against it', async () => {
  const { ask, received, invalid } = founder();
  for (const name of [mallory, null]) {
    expect(await ask(request(), name)).toMatchObject({ refusal: { rule: 'G1' } });
  }
  expect(decoded.count).toBe(0);
  expect(received).toEqual([]);
  expect(invalid).toEqual([nameToId(mallory), 'nobody']);
});

test('a founder’s message arrives; what is none is held against it', async () => {
  const { ask, received, invalid } = founder();
  expect(await ask(request(), alice)).toEqual({ kind: 'taken' });
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

test('a founder waits its turn at the gate like anybody else: what comes beyond that is not decoded', async () => {
  const { ask, gate, from } = founder();
  let end: () => void = () => undefined;
  const busy = new Promise<void>((done) => (end = done));
  const held = Array.from({ length: maxPerPeer }, () =>
    gate.enter('system', from(alice), 0, () => busy),
  );
  expect(await ask(request(), alice)).toMatchObject({ refusal: { kind: 'busy' } });
  expect(decoded.count).toBe(0);
  end();
  await Promise.all(held);
  expect(await ask(request(), alice)).toEqual({ kind: 'taken' });
});
