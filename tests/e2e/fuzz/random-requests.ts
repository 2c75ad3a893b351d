/** The fuzzer's inputs: valid requests, changed ones, CBOR of any shape, and random bytes. */
import { encodeCbor } from '#core/codec/cbor.ts';
import { encodeFrame, maxFrameBytes } from '#network/rpc/frame.ts';
import { encodeClientRequest, type ClientRequest } from '#roles/wire/client.ts';
import { encodeNodeRequest, type NodeRequest } from '#roles/wire/node-requests.ts';
import type { Prng } from '../../sim/prng.ts';

export type MakeRequest = (prng: Prng) => Uint8Array;

/** A request that the client handler's decoder accepts, with random content. */
export function clientRequest(prng: Prng): Uint8Array {
  const name = prng.bytes(32);
  const bytes = prng.bytes(prng.below(4000));
  const requests: readonly ClientRequest[] = [
    { kind: 'hello' },
    { kind: 'authority' },
    { kind: 'addresses' },
    { kind: 'putChunk', name, bytes },
    { kind: 'getChunk', name, avoid: [prng.bytes(32), prng.bytes(32)] },
    { kind: 'putPointer', record: bytes },
    { kind: 'getPointer', address: name },
    { kind: 'slot', slot: name, message: bytes },
    { kind: 'slot', slot: name, message: encodeCbor(slotMessage(prng, name)) },
    { kind: 'output', key: name, message: bytes },
    { kind: 'outputs', after: prng.below(1000), limit: 1 + prng.below(128) },
  ];
  return encodeClientRequest(prng.pick(requests));
}

/** Decodes as PREPARE or COMMIT and must be refused for its content. */
const slotMessage = (prng: Prng, slot: Uint8Array): object => {
  const common = { request: prng.bytes(16), slot, transaction: prng.bytes(prng.below(900)) };
  return prng.chance(0.5)
    ? {
        kind: 'prepare',
        ...common,
        ballot: 0,
        sources: [{ kind: 'genesis' }],
        recovery: null,
      }
    : { kind: 'commit', ...common, prepared: [{ ballot: 0, signature: prng.bytes(48) }] };
};

/** A request that an adult's decoder accepts. */
export function nodeRequest(prng: Prng): Uint8Array {
  const name = prng.bytes(32);
  const stateRef = { keyHash: prng.bytes(32), generation: 0n };
  const requests: readonly NodeRequest[] = [
    { kind: 'storeChunk', stateRef, name, bytes: prng.bytes(prng.below(4000)) },
    { kind: 'fetchChunk', stateRef, name },
    { kind: 'storePointer', stateRef, record: prng.bytes(prng.below(400)) },
    { kind: 'fetchPointer', stateRef, address: name },
    { kind: 'deliver', protocol: 'genesis', message: prng.bytes(prng.below(400)) },
  ];
  return encodeNodeRequest(prng.pick(requests));
}

const fieldNames = ['kind', 'name', 'bytes', 'slot', 'message', 'after', 'limit', 'avoid', 'x'];

/** Well-formed CBOR of any shape; sometimes far deeper than any decoder should follow. */
export function anyCbor(prng: Prng): Uint8Array {
  if (prng.chance(0.05)) {
    const depth = prng.below(20_000);
    return Uint8Array.from([...Array<number>(depth).fill(0x81), 0x00]);
  }
  return encodeCbor(anyValue(prng, 5));
}

function anyValue(prng: Prng, depth: number): unknown {
  const kind = prng.below(depth > 0 ? 8 : 5);
  switch (kind) {
    case 0:
      return prng.pick([0, 1, -1, 255, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER, 2n ** 63n]);
    case 1:
      return prng.bytes(prng.below(200));
    case 2:
      return prng.pick([...fieldNames, 'putChunk', 'slot', '__proto__', 'constructor', '']);
    case 3:
      return prng.pick([null, true, false]);
    case 4:
      return 'a'.repeat(prng.below(3000));
    case 5:
      return Array.from({ length: prng.below(20) }, () => anyValue(prng, depth - 1));
    default: {
      const fields = Array.from({ length: prng.below(6) }, () => prng.pick(fieldNames));
      return Object.fromEntries(fields.map((field) => [field, anyValue(prng, depth - 1)]));
    }
  }
}

/** Changes some bytes; sometimes cuts the end off. */
export function mutate(prng: Prng, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  for (let n = 1 + prng.below(4); n > 0 && copy.length > 0; n--) {
    copy[prng.below(copy.length)] = prng.below(256);
  }
  return prng.chance(0.3) ? copy.subarray(0, prng.below(copy.length + 1)) : copy;
}

const lengths = [0, 1, maxFrameBytes, maxFrameBytes + 1, 2 ** 31, 2 ** 32 - 1];

/** One input for a stream of the project's own protocols. */
export function attack(prng: Prng, make: MakeRequest): Uint8Array {
  const kind = prng.below(20);
  if (kind === 0) return prng.bytes(prng.below(3000));
  if (kind === 1) {
    // A frame longer than its content, or longer than allowed.
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, prng.pick(lengths));
    return Uint8Array.from([...head, ...prng.bytes(prng.below(600))]);
  }
  const payload = kind < 10 ? make(prng) : kind < 14 ? anyCbor(prng) : mutate(prng, make(prng));
  const frame = encodeFrame({
    id: 1 + prng.below(2 ** 31),
    kind: prng.chance(0.95) ? 'request' : 'reply',
    payload,
  });
  return kind === 19 ? mutate(prng, frame) : frame;
}
