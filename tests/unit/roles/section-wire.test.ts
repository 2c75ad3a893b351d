/**
 * Goal: what an elder that starts again asks and is told (N10) crosses the wire as it is, within its
 * bounds, and nothing else passes for it.
 * Method: each kind in its largest form, then bent.
 */
import { expect, test } from 'vitest';
import { encodeCbor } from '#core/codec/cbor.ts';
import { maxWordsTold, type Word } from '#protocol/agreement/index.ts';
import type { NodePayload, SectionNodeFact } from '#roles/section-node/index.ts';
import { maxEnvelopePayloadBytes } from '#roles/wire/envelope.ts';
import {
  decodeNodeFact,
  decodeNodePayload,
  encodeNodeFact,
  encodeNodePayload,
} from '#roles/wire/section.ts';

const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(7);
const generation = 2n ** 64n - 1n;
const word: Word = { round: 2 ** 32 - 1, phase: 'strong', body: bytes(32), signature: bytes(64) };
const words = Array.from({ length: maxWordsTold }, (): Word => word);
const recall: NodePayload = { kind: 'recall', generation };
const recalled: NodePayload = { kind: 'recalled', generation, words };
const forgot: SectionNodeFact = { kind: 'forgot', key: bytes(96) };

const bent = (change: object): unknown => ({ ...recalled, words: [{ ...word, ...change }] });

test('N10: question and answer come back as they were, the longest in one envelope', () => {
  for (const payload of [recall, recalled, { ...recalled, words: [] }]) {
    const encoded = encodeNodePayload(payload);
    expect(encoded.length).toBeLessThanOrEqual(maxEnvelopePayloadBytes);
    expect(decodeNodePayload(encoded)).toEqual({ ok: true, value: payload });
  }
});

test('N10: what a disk forgot comes back as it was, for a key and nothing else', () => {
  expect(decodeNodeFact(encodeNodeFact(forgot))).toEqual({ ok: true, value: forgot });
  for (const wrong of [{ key: bytes(95) }, { key: bytes(97) }, { key: null }, { more: 1 }]) {
    expect(decodeNodeFact(encodeCbor({ ...forgot, ...wrong })).ok).toBe(false);
  }
  expect(decodeNodeFact(encodeCbor({ kind: 'forgot' })).ok).toBe(false);
});

test.each<readonly [what: string, payload: unknown]>([
  ['a word too many', { ...recalled, words: [...words, word] }],
  ['no list', { ...recalled, words: null }],
  ['a list of texts', { ...recalled, words: ['vote'] }],
  ['a round below 0', bent({ round: -1 })],
  ['a round beyond 32 bits', bent({ round: 2 ** 32 })],
  ['a phase that is none', bent({ phase: 'decision' })],
  ['a short body', bent({ body: bytes(31) })],
  ['a long body', bent({ body: bytes(33) })],
  ['a short signature', bent({ signature: bytes(63) })],
  ['a long signature', bent({ signature: bytes(65) })],
  ['a word with something more', bent({ voter: 1 })],
  ['an answer without a generation', { kind: 'recalled', words }],
  ['a generation below 0', { ...recalled, generation: -1n }],
  ['a question with something more', { ...recall, words: [] }],
  ['a question without a generation', { kind: 'recall' }],
])('N10: refused: %s', (_what, payload) => {
  expect(decodeNodePayload(encodeCbor(payload as never)).ok).toBe(false);
});
