/**
 * Goal: the codecs between client, elder and adult accept exactly the messages of the protocol.
 * Method: one example of every kind, as large as allowed; then each with every change a peer could make.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { encodeCbor } from '#core/codec/cbor.ts';
import type { Refusal } from '#core/refusal.ts';
import type { Result } from '#core/result.ts';
import { MAX_CHUNK_BYTES } from '#data/chunk.ts';
import { MAX_POINTER_CIPHERTEXT_BYTES, POINTER_OVERHEAD_BYTES } from '#data/pointer-record.ts';
import { maxEntryBytes } from '#money/spend-certificate.ts';
import { maxPayloadBytes } from '#network/rpc/frame.ts';
import { maxMintMessageBytes } from '#protocol/mint/index.ts';
import {
  maxAddressRecordBytes,
  maxAuthorityBytes as maxSignedAuthorityBytes,
} from '#protocol/section/index.ts';
import { maxSpentbookMessageBytes } from '#protocol/spentbook/index.ts';
import { maxGenesisMessageBytes } from '#roles/genesis/index.ts';
import { maxAuthorityBytes } from '#protocol/section/index.ts';
import {
  decodeClientReply,
  decodeClientRequest,
  encodeClientReply,
  encodeClientRequest,
  maxChunkBytes,
  maxHolders,
  maxMoneyMessageBytes,
  maxOutputEntryBytes,
  maxOutputsPerPage,
  maxPointerBytes,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import {
  decodeNodeReply,
  decodeNodeRequest,
  encodeNodeReply,
  encodeNodeRequest,
  maxSectionMessageBytes,
  type NodeReply,
  type NodeRequest,
} from '#roles/wire/node-requests.ts';

const bytes = (length: number, fill = 7): Uint8Array => new Uint8Array(length).fill(fill);
const name = bytes(32);
const stateRef = { keyHash: bytes(32), generation: 2n ** 64n - 1n };
const receipt = { holder: name, signature: bytes(64) };
const refusals: readonly Refusal[] = [
  { kind: 'malformed', what: 'request' },
  { kind: 'tooLarge', maxBytes: 2 ** 32 },
  { kind: 'unsupportedVersion', ours: 1, theirs: 2 },
  { kind: 'wrongNetwork' },
  { kind: 'redirect', proof: bytes(64 * 1024) },
  { kind: 'retry', proof: bytes(3) },
  { kind: 'busy', afterMs: 600_000 },
  { kind: 'full' },
  { kind: 'notFound' },
  { kind: 'conflict', evidence: bytes(3) },
  { kind: 'spent', certificate: bytes(3) },
  { kind: 'sealed', links: bytes(3) },
  { kind: 'notAllowed', rule: 'eldersOnly' },
];

const clientRequests: Readonly<Record<ClientRequest['kind'], ClientRequest>> = {
  hello: { kind: 'hello' },
  authority: { kind: 'authority' },
  addresses: { kind: 'addresses' },
  putChunk: { kind: 'putChunk', name, bytes: bytes(maxChunkBytes) },
  getChunk: { kind: 'getChunk', name, avoid: Array.from({ length: maxHolders }, () => name) },
  putPointer: { kind: 'putPointer', record: bytes(maxPointerBytes) },
  getPointer: { kind: 'getPointer', address: name },
  slot: { kind: 'slot', slot: name, message: bytes(maxMoneyMessageBytes) },
  output: { kind: 'output', key: name, message: bytes(maxMoneyMessageBytes) },
  outputs: { kind: 'outputs', after: 2 ** 48, limit: maxOutputsPerPage },
};

const clientReplies: Readonly<Record<ClientReply['kind'], ClientReply>> = {
  hello: {
    kind: 'hello',
    networkId: name,
    name,
    role: 'elder',
    protocol: 2,
    serving: true,
  },
  authority: { kind: 'authority', authority: bytes(maxAuthorityBytes) },
  proof: {
    kind: 'proof',
    proof: bytes(maxAuthorityBytes),
    records: Array.from({ length: 16 }, () => bytes(4096)),
  },
  addresses: { kind: 'addresses', records: Array.from({ length: 16 }, () => bytes(4096)) },
  stored: { kind: 'stored', stateRef, receipts: Array.from({ length: maxHolders }, () => receipt) },
  chunk: { kind: 'chunk', bytes: bytes(maxChunkBytes), holder: name },
  pointerStored: { kind: 'pointerStored', stateRef, receipts: [receipt] },
  pointers: {
    kind: 'pointers',
    copies: Array.from({ length: maxHolders }, (_, i) => ({
      holder: name,
      record: i === 0 ? null : bytes(maxPointerBytes),
    })),
  },
  money: { kind: 'money', message: bytes(maxMoneyMessageBytes) },
  outputs: {
    kind: 'outputs',
    entries: Array.from({ length: maxOutputsPerPage }, () => bytes(maxOutputEntryBytes)),
    next: 2 ** 48,
    more: false,
  },
  refused: { kind: 'refused', refusal: { kind: 'full' } },
};

const nodeRequests: Readonly<Record<NodeRequest['kind'], NodeRequest>> = {
  storeChunk: { kind: 'storeChunk', stateRef, name, bytes: bytes(maxChunkBytes) },
  fetchChunk: { kind: 'fetchChunk', stateRef, name },
  storePointer: { kind: 'storePointer', stateRef, record: bytes(maxPointerBytes) },
  fetchPointer: { kind: 'fetchPointer', stateRef, address: name },
  deliver: { kind: 'deliver', protocol: 'genesis', message: bytes(maxSectionMessageBytes) },
  exchangeAddresses: { kind: 'exchangeAddresses', records: [bytes(4096)], wanted: [name] },
};

const nodeReplies: Readonly<Record<NodeReply['kind'], NodeReply>> = {
  receipt: { kind: 'receipt', signature: bytes(64) },
  chunk: { kind: 'chunk', bytes: bytes(maxChunkBytes) },
  pointer: { kind: 'pointer', record: bytes(maxPointerBytes) },
  accepted: { kind: 'accepted' },
  addresses: { kind: 'addresses', records: Array.from({ length: 64 }, () => bytes(4096)) },
  refused: { kind: 'refused', refusal: { kind: 'notFound' } },
};

type Message = Readonly<Record<string, unknown>>;
interface Protocol {
  readonly codec: string;
  readonly encode: (message: never) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => Result<unknown, 'malformed'>;
  readonly examples: readonly Message[];
}

const protocols: readonly Protocol[] = [
  {
    codec: 'client request',
    encode: encodeClientRequest,
    decode: decodeClientRequest,
    examples: Object.values(clientRequests) as unknown as Message[],
  },
  {
    codec: 'client reply',
    encode: encodeClientReply,
    decode: decodeClientReply,
    examples: [
      ...Object.values(clientReplies),
      ...refusals.map((refusal): ClientReply => ({ kind: 'refused', refusal })),
    ] as unknown as Message[],
  },
  {
    codec: 'node request',
    encode: encodeNodeRequest,
    decode: decodeNodeRequest,
    examples: Object.values(nodeRequests) as unknown as Message[],
  },
  {
    codec: 'node reply',
    encode: encodeNodeReply,
    decode: decodeNodeReply,
    examples: [
      ...Object.values(nodeReplies),
      ...refusals.map((refusal): NodeReply => ({ kind: 'refused', refusal })),
    ] as unknown as Message[],
  },
];

const cases = protocols.flatMap(({ examples, ...codec }) =>
  examples.map((message) => ({ ...codec, message, kind: shown(message) })),
);

function shown(message: Message): string {
  const refusal = message['refusal'] as Message | undefined;
  return refusal === undefined ? String(message['kind']) : `refused, ${String(refusal['kind'])}`;
}

test.each(cases)('$codec, $kind: decodes unchanged and has one encoding', (each) => {
  const encoded = each.encode(each.message as never);
  const decoded = each.decode(encoded);
  expect(decoded.ok).toBe(true);
  if (!decoded.ok) return;
  // By bytes: comparing mebibytes item by item takes seconds.
  expect(Buffer.compare(each.encode(decoded.value as never), encoded)).toBe(0);
  expect(Object.keys(decoded.value as Message).sort()).toEqual(Object.keys(each.message).sort());
});

test.each(cases)(
  '$codec, $kind: an extra field, a missing field and another kind are refused',
  (each) => {
    const { message, decode } = each;
    expect(decode(encodeCbor({ ...message, extra: 1 })).ok).toBe(false);
    for (const field of Object.keys(message)) {
      const rest = Object.fromEntries(Object.entries(message).filter(([key]) => key !== field));
      expect(decode(encodeCbor(rest)).ok).toBe(false);
      // No message field is a list of texts.
      expect(decode(encodeCbor({ ...message, [field]: ['x'] })).ok).toBe(false);
    }
    for (const kind of ['', 'Hello', 'toString', '__proto__', 1, null]) {
      expect(decode(encodeCbor(Object.entries({ ...message, kind }))).ok).toBe(false);
      expect(decode(encodeCbor({ ...message, kind })).ok).toBe(false);
    }
  },
);

test.each(cases)('$codec, $kind: truncated or extended bytes are refused', (each) => {
  const encoded = each.encode(each.message as never);
  for (const length of new Set([0, 1, encoded.length >> 1, encoded.length - 1])) {
    expect(each.decode(encoded.slice(0, length)).ok).toBe(false);
  }
  expect(each.decode(Uint8Array.of(...(encoded.length < 500 ? encoded : [0]), 0)).ok).toBe(false);
});

const tooMuch: readonly {
  readonly what: string;
  readonly decode: Protocol['decode'];
  readonly message: Message;
}[] = [
  {
    what: 'a chunk put',
    decode: decodeClientRequest,
    message: { kind: 'putChunk', name, bytes: bytes(maxChunkBytes + 1) },
  },
  {
    what: 'eight holders to avoid',
    decode: decodeClientRequest,
    message: {
      kind: 'getChunk',
      name,
      avoid: Array.from({ length: maxHolders + 1 }, () => name),
    },
  },
  {
    what: 'a short name',
    decode: decodeClientRequest,
    message: { kind: 'getPointer', address: bytes(31) },
  },
  {
    what: 'a pointer record',
    decode: decodeClientRequest,
    message: { kind: 'putPointer', record: bytes(maxPointerBytes + 1) },
  },
  {
    what: 'a money message',
    decode: decodeClientRequest,
    message: { kind: 'slot', slot: name, message: bytes(maxMoneyMessageBytes + 1) },
  },
  {
    what: 'a page of outputs',
    decode: decodeClientRequest,
    message: { kind: 'outputs', after: 0, limit: maxOutputsPerPage + 1 },
  },
  {
    what: 'no outputs at all',
    decode: decodeClientRequest,
    message: { kind: 'outputs', after: 0, limit: 0 },
  },
  {
    what: 'a position before the first',
    decode: decodeClientRequest,
    message: { kind: 'outputs', after: -1, limit: 1 },
  },
  {
    what: 'an authority',
    decode: decodeClientReply,
    message: { kind: 'authority', authority: bytes(maxAuthorityBytes + 1) },
  },
  {
    what: 'eight receipts',
    decode: decodeClientReply,
    message: {
      kind: 'stored',
      stateRef,
      receipts: Array.from({ length: maxHolders + 1 }, () => receipt),
    },
  },
  {
    what: 'a long role',
    decode: decodeClientReply,
    message: { ...clientReplies.hello, role: 'x'.repeat(17) } as unknown as Message,
  },
  {
    what: 'a wait of more than ten minutes',
    decode: decodeClientReply,
    message: { kind: 'refused', refusal: { kind: 'busy', afterMs: 600_001 } },
  },
  {
    what: 'long evidence',
    decode: decodeClientReply,
    message: { kind: 'refused', refusal: { kind: 'conflict', evidence: bytes(64 * 1024 + 513) } },
  },
  {
    what: 'a chunk to store',
    decode: decodeNodeRequest,
    message: { kind: 'storeChunk', stateRef, name, bytes: bytes(maxChunkBytes + 1) },
  },
  {
    what: "a machine's message",
    decode: decodeNodeRequest,
    message: {
      kind: 'deliver',
      protocol: 'genesis',
      message: bytes(maxSectionMessageBytes + 1),
    },
  },
  {
    what: 'a protocol nobody speaks',
    decode: decodeNodeRequest,
    message: { kind: 'deliver', protocol: 'handover', message: bytes(1) },
  },
  {
    what: 'a signature of 65 bytes',
    decode: decodeNodeReply,
    message: { kind: 'receipt', signature: bytes(65) },
  },
];

test.each(tooMuch)('above its bound: $what', ({ decode, message }) => {
  expect(decode(encodeCbor(message)).ok).toBe(false);
});

test('requests to elders and to adults are disjoint', () => {
  for (const message of Object.values(clientRequests)) {
    expect(decodeNodeRequest(encodeClientRequest(message)).ok).toBe(false);
  }
  for (const message of Object.values(nodeRequests)) {
    expect(decodeClientRequest(encodeNodeRequest(message)).ok).toBe(false);
  }
});

test('each bound fits its content, and every message fits a frame', () => {
  expect(maxChunkBytes).toBe(MAX_CHUNK_BYTES);
  expect(maxPointerBytes).toBeGreaterThanOrEqual(
    MAX_POINTER_CIPHERTEXT_BYTES + POINTER_OVERHEAD_BYTES,
  );
  expect(maxAuthorityBytes).toBe(maxSignedAuthorityBytes);
  expect(4096).toBe(maxAddressRecordBytes);
  expect(maxMoneyMessageBytes).toBeGreaterThanOrEqual(maxSpentbookMessageBytes);
  expect(maxMoneyMessageBytes).toBeGreaterThanOrEqual(maxMintMessageBytes);
  expect(maxOutputEntryBytes).toBeGreaterThanOrEqual(maxEntryBytes);
  expect(maxSectionMessageBytes).toBeGreaterThanOrEqual(maxGenesisMessageBytes);
  for (const { encode, message } of cases) {
    expect(encode(message as never).length).toBeLessThanOrEqual(maxPayloadBytes);
  }
});

test('random bytes never throw, and decoded values encode to the same bytes', () => {
  for (const { decode, encode } of protocols) {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const decoded = decode(noise);
        if (decoded.ok) expect(toHex(encode(decoded.value as never))).toBe(toHex(noise));
      }),
      { numRuns: 500 },
    );
  }
});

test('a valid message with one byte changed never throws, and decoded values encode to the same bytes', () => {
  const small = cases
    .map((each) => ({ ...each, encoded: each.encode(each.message as never) }))
    .filter(({ encoded }) => encoded.length < 1_000);
  expect(small.length).toBeGreaterThan(20);
  fc.assert(
    fc.property(fc.constantFrom(...small), fc.nat(), fc.nat(255), (each, at, byte) => {
      const bent = each.encoded.slice();
      bent[at % bent.length] = byte;
      const decoded = each.decode(bent);
      if (decoded.ok) expect(toHex(each.encode(decoded.value as never))).toBe(toHex(bent));
    }),
    { numRuns: 3_000 },
  );
});
