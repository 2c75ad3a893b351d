/**
 * Goal: the state query of a restarted elder and its answer (N10) decode unchanged within their bounds,
 * and no other bytes decode as them.
 * Method: each kind at its largest size, then with changes.
 */
import { expect, test } from 'vitest';
import { encodeCbor } from '#core/codec/cbor.ts';
import { maxRecoveredStatements, type SignedStatement } from '#protocol/agreement/index.ts';
import type { NodePayload, SectionNodeFact } from '#roles/section-node/index.ts';
import { maxEnvelopePayloadBytes } from '#roles/wire/node-envelope.ts';
import {
  decodeNodeFact,
  decodeNodePayload,
  encodeNodeFact,
  encodeNodePayload,
} from '#roles/wire/section-messages.ts';

const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(7);
const generation = 2n ** 64n - 1n;
const statement: SignedStatement = {
  round: 2 ** 32 - 1,
  phase: 'precommit',
  body: bytes(32),
  signature: bytes(64),
};
const statements = Array.from({ length: maxRecoveredStatements }, (): SignedStatement => statement);
const stateQuery: NodePayload = { kind: 'stateQuery', generation };
const stateAnswer: NodePayload = { kind: 'stateAnswer', generation, statements };
const stateLost: SectionNodeFact = { kind: 'stateLost', key: bytes(96) };

const bent = (change: object): unknown => ({
  ...stateAnswer,
  statements: [{ ...statement, ...change }],
});

test('N10: query and answer decode unchanged, the longest in one envelope', () => {
  for (const payload of [stateQuery, stateAnswer, { ...stateAnswer, statements: [] }]) {
    const encoded = encodeNodePayload(payload);
    expect(encoded.length).toBeLessThanOrEqual(maxEnvelopePayloadBytes);
    expect(decodeNodePayload(encoded)).toEqual({ ok: true, value: payload });
  }
});

test('N10: the fact of lost state decodes unchanged, only with a key', () => {
  expect(decodeNodeFact(encodeNodeFact(stateLost))).toEqual({ ok: true, value: stateLost });
  for (const wrong of [{ key: bytes(95) }, { key: bytes(97) }, { key: null }, { more: 1 }]) {
    expect(decodeNodeFact(encodeCbor({ ...stateLost, ...wrong })).ok).toBe(false);
  }
  expect(decodeNodeFact(encodeCbor({ kind: 'stateLost' })).ok).toBe(false);
});

test.each<readonly [what: string, payload: unknown]>([
  ['one statement too many', { ...stateAnswer, statements: [...statements, statement] }],
  ['no list', { ...stateAnswer, statements: null }],
  ['a list of texts', { ...stateAnswer, statements: ['prevote'] }],
  ['a round below 0', bent({ round: -1 })],
  ['a round beyond 32 bits', bent({ round: 2 ** 32 })],
  ['a phase that is none', bent({ phase: 'decision' })],
  ['a short body', bent({ body: bytes(31) })],
  ['a long body', bent({ body: bytes(33) })],
  ['a short signature', bent({ signature: bytes(63) })],
  ['a long signature', bent({ signature: bytes(65) })],
  ['a statement with an extra field', bent({ voter: 1 })],
  ['an answer without a generation', { kind: 'stateAnswer', statements }],
  ['a generation below 0', { ...stateAnswer, generation: -1n }],
  ['a query with an extra field', { ...stateQuery, statements: [] }],
  ['a query without a generation', { kind: 'stateQuery' }],
])('N10: refused: %s', (_what, payload) => {
  expect(decodeNodePayload(encodeCbor(payload as never)).ok).toBe(false);
});
