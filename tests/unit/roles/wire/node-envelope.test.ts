/** Goal: a message between nodes is for one receiver, under one key, from one sender (N32). */
import { expect, test } from 'vitest';
import { createSigner, isSignedBy, publicKeyOf } from '#node/keys/native-ed25519.ts';
import {
  maxEnvelopePayloadBytes,
  openEnvelope,
  signEnvelope,
  type NodeEnvelope,
} from '#roles/wire/node-envelope.ts';

const networkId = new Uint8Array(32).fill(7);
const seed = new Uint8Array(32).fill(1);
const alice = publicKeyOf(seed);
const bob = publicKeyOf(new Uint8Array(32).fill(2));
const mallory = publicKeyOf(new Uint8Array(32).fill(3));
const envelope: NodeEnvelope = {
  from: alice,
  to: bob,
  key: new Uint8Array(96).fill(4),
  generation: 12n,
  id: new Uint8Array(16).fill(5),
  payload: Uint8Array.of(1, 2, 3),
};
const sealed = signEnvelope(networkId, envelope, createSigner(seed));
const open = (bytes: Uint8Array, self = bob, from = alice, network = networkId) =>
  openEnvelope(network, self, from, bytes, isSignedBy);

test('it opens unchanged at its receiver, up to its bound', () => {
  expect(open(sealed)).toEqual({ ok: true, value: envelope });
  const largest = { ...envelope, payload: new Uint8Array(maxEnvelopePayloadBytes) };
  expect(open(signEnvelope(networkId, largest, createSigner(seed))).ok).toBe(true);
});

test('N32: it opens at no other receiver, from no other sender, in no other network', () => {
  expect(open(sealed, mallory)).toEqual({ ok: false, error: 'notForUs' });
  expect(open(sealed, bob, mallory)).toEqual({ ok: false, error: 'wrongSender' });
  expect(open(sealed, bob, alice, new Uint8Array(32))).toEqual({ ok: false, error: 'malformed' });
});

/** Offsets in the signed bytes: a label of 4 + 21 bytes, network and sender of 32 each, then these. */
const fields = { to: [89, 32], key: [121, 96], generation: [217, 8], id: [225, 16] } as const;

/** Fields that can be changed in transit so that carol still opens the envelope. */
function changeable(isUnsigned: (at: number) => boolean): readonly string[] {
  const read = (bytes: Uint8Array): Uint8Array =>
    bytes.map((byte, at) => (isUnsigned(at) ? 0 : byte));
  const signer = createSigner(seed);
  const bytes = signEnvelope(networkId, envelope, (body) => signer(read(body)));
  const changes: Readonly<Record<keyof typeof fields, Partial<NodeEnvelope>>> = {
    to: { to: mallory },
    key: { key: new Uint8Array(96) },
    generation: { generation: 13n },
    id: { id: new Uint8Array(16) },
  };
  return Object.entries(changes).flatMap(([field, change]) => {
    const other = signEnvelope(networkId, { ...envelope, ...change }, () => bytes.slice(-64));
    const receiver = field === 'to' ? mallory : bob;
    const opened = openEnvelope(networkId, receiver, alice, other, (name, body, signature) =>
      isSignedBy(name, read(body), signature),
    );
    return opened.ok ? [field] : [];
  });
}

test('planted: N32: a field missing from the signature can be changed in transit', () => {
  expect(changeable(() => false)).toEqual([]);
  for (const [field, [from, length]] of Object.entries(fields)) {
    expect(changeable((at) => at >= from && at < from + length)).toEqual([field]);
  }
});

test('N32: receiver, key, generation, id and message are signed', () => {
  for (let at = 0; at < sealed.length; at++) {
    const changed = sealed.slice();
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(open(changed).ok).toBe(false);
  }
  for (const change of [
    { key: new Uint8Array(96) },
    { generation: 13n },
    { id: new Uint8Array(16) },
  ]) {
    const other = signEnvelope(networkId, { ...envelope, ...change }, () => sealed.slice(-64));
    expect(open(other)).toEqual({ ok: false, error: 'wrongSignature' });
  }
  expect(open(sealed.slice(0, -1)).ok).toBe(false);
  expect(open(new Uint8Array(0)).ok).toBe(false);
});
