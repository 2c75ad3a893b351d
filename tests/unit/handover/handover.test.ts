/**
 * Goal: sealed roots, inclusion proofs and merges are exact and equal at every elder; an elder
 * signs one record (TRACE-C5); no bytes make a decoder throw.
 * Method: values by hand; the handover machine alone, with all its inputs.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EMPTY_PREFIX, child } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { compareBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect } from '#core/machine.ts';
import {
  proofPathsInRange,
  merkleLeafHash,
  merkleRoot,
  verifyInclusion,
} from '#money/inclusion-proof.ts';
import {
  decodeHandoverFact,
  decodeHandoverMessage,
  encodeHandoverFact,
  encodeHandoverMessage,
  handover,
  type HandoverProtocol,
  type HandoverConfig,
  type HandoverFact,
  type HandoverMessage,
  type HandoverState,
} from '#protocol/handover/index.ts';
import {
  emptyLedger,
  successorHash,
  successorRecordOf,
  type Charter,
  type SectionState,
  supersededKeyOf,
} from '#protocol/section/index.ts';
import { networkId, seedOf, toyIdentity, toyName } from '../money/fixtures.ts';

const context = { now: 0, entropy: new Uint8Array(32) };
const elders = Array.from({ length: 7 }, (_, i) => toXorName(toyName(seedOf(`e${i}`))))
  .sort(compareBytes)
  .map((name, i) => ({ name, publicShare: new Uint8Array(96).fill(i + 1), index: i + 1 }));
const charter = (fill: number, prefix = EMPTY_PREFIX): Charter => ({
  networkId,
  prefix,
  key: new Uint8Array(96).fill(fill),
  epoch: 5n,
  elders,
});
const stateOf = (phase: SectionState['ledger']['phase'], generation: bigint): SectionState => ({
  authority: {
    ...charter(1),
    epoch: 4n,
    generation,
    members: [],
    ledgerRoot: new Uint8Array(32),
    genesisOutput: null,
  },
  ledger: { ...emptyLedger, phase },
});
const sessionId = seedOf('session');
const closing = stateOf({ kind: 'closing', sessionId, charters: [charter(2)], lists: [] }, 9n);
const sealedWith = (charters: readonly Charter[], root: string): SectionState =>
  stateOf(
    { kind: 'sealed', sessionId, charters, lists: [], snapshots: [], sealedRoot: seedOf(root) },
    10n,
  );
const seed = Array.from({ length: 7 }, (_, i) => seedOf(`e${i}`)).find(
  (each) => compareBytes(toyName(each), elders[0]?.name ?? each) === 0,
);
if (seed === undefined || elders[0] === undefined) throw new Error('seven elders');
const config: HandoverConfig = {
  name: elders[0].name,
  closing,
  identity: toyIdentity,
  identitySeed: seed,
  secretShare: seedOf('share'),
  repeatEveryMs: 100,
};
const kindsOf = (effects: readonly Effect<HandoverProtocol>[]): readonly string[] =>
  effects.map((effect) => effect.kind);

describe('sealed roots', () => {
  test('N34: every leaf of every root size has an inclusion proof, and none proves another txid', () => {
    for (let count = 1; count <= 17; count++) {
      const leaves = Array.from({ length: count }, (_, i) => ({
        kind: i % 2 === 0 ? ('bound' as const) : ('decided' as const),
        name: seedOf(`slot ${i}`),
        txid: seedOf(`tx ${i}`),
        body: seedOf(`body ${i}`),
      }));
      const root = merkleRoot(leaves.map(merkleLeafHash));
      const paths = proofPathsInRange(0, count, leaves.map(merkleLeafHash), []);
      expect(paths.length).toBe(count);
      for (const [index, leaf] of leaves.entries()) {
        const { kind, body } = leaf;
        const path = { kind, body, index, count, siblings: paths[index] ?? [] };
        expect(verifyInclusion(root, leaf.name, leaf.txid, path)).toBe(true);
        expect(verifyInclusion(root, leaf.name, seedOf('other'), path)).toBe(false);
        expect(verifyInclusion(root, seedOf('other'), leaf.txid, path)).toBe(false);
        expect(verifyInclusion(seedOf('root'), leaf.name, leaf.txid, path)).toBe(false);
        const longer = { ...path, siblings: [...path.siblings, seedOf('more')] };
        expect(verifyInclusion(root, leaf.name, leaf.txid, longer)).toBe(false);
        expect(verifyInclusion(root, leaf.name, leaf.txid, { ...path, count: count + 1 })).toBe(
          false,
        );
      }
    }
  });

  test('N20: a record determines the prefix of its parent key', () => {
    const record = successorRecordOf(sealedWith([charter(2)], 'a'));
    expect(record && supersededKeyOf(record)?.prefix.bitCount).toBe(0);
    const halves = [charter(3, child(EMPTY_PREFIX, 0)), charter(4, child(EMPTY_PREFIX, 1))];
    const split = successorRecordOf(sealedWith(halves, 'a'));
    expect(split && supersededKeyOf(split)?.prefix).toEqual(EMPTY_PREFIX);
  });
});

describe('TRACE-C5: one key, one successor', () => {
  test('N20, N21: the first matching record is persisted before its share; no other is ever signed', () => {
    let { state } = handover.start(config, [], context);
    const seal = (sealed: SectionState): readonly Effect<HandoverProtocol>[] => {
      const input = { kind: 'sealed', state: sealed } as const;
      const step = handover.step(config, state, { kind: 'input', input }, context);
      state = step.state;
      return step.effects;
    };
    // The elders abandon K1 and propose the keys of another session.
    expect(seal(sealedWith([charter(7)], 'a'))).toEqual([]);
    const effects = seal(sealedWith([charter(2)], 'a'));
    expect(kindsOf(effects)).toEqual(['persist', 'compute']);
    // Five other snapshots with another root: refused, also after a restart.
    expect(seal(sealedWith([charter(2)], 'b'))).toEqual([]);
    const facts = effects.flatMap((effect): HandoverFact[] =>
      effect.kind === 'persist' ? [effect.fact] : [],
    );
    const again = handover.start(config, facts, context);
    state = again.state;
    expect(kindsOf(again.effects)).toContain('compute');
    expect(seal(sealedWith([charter(2)], 'b'))).toEqual([]);
    const record = successorRecordOf(sealedWith([charter(2)], 'a'));
    expect(state.chosenRecord && record && successorHash(state.chosenRecord)).toEqual(
      record && successorHash(record),
    );
  });

  test('N22: an elder signs one snapshot root', () => {
    const { state } = handover.start(config, [], context);
    const stop = (root: string) =>
      ({ kind: 'input', input: { kind: 'moneySealed', root: seedOf(root) } }) as const;
    const once = handover.step(config, state, stop('a'), context);
    expect(once.effects[0]?.kind).toBe('persist');
    const twice = handover.step(config, once.state, stop('b'), context);
    expect(twice.effects).toEqual([]);
  });
});

describe('links from other peers', () => {
  const record = successorRecordOf(sealedWith([charter(2)], 'a'));
  if (record === undefined) throw new Error('sealed');
  const signed = { record, signature: new Uint8Array(48).fill(1) };
  const bring = (state: HandoverState, from: number) =>
    handover.step(
      config,
      state,
      {
        kind: 'received',
        from: toHex(elders[from]?.name ?? sessionId),
        message: {
          ...{ kind: 'progress', incomplete: false, roots: [], share: null, receipts: [] },
          successor: signed,
        },
      },
      context,
    );
  const verifies = (
    effects: readonly Effect<HandoverProtocol>[],
  ): readonly HandoverProtocol['jobId'][] =>
    effects.flatMap((effect) => (effect.kind === 'compute' ? [effect.id] : []));

  test('are verified one per sender, so a false one delays no other', () => {
    const { state } = bring(handover.start(config, [], context).state, 1);
    expect(verifies(bring(state, 1).effects)).toEqual([]);
    expect(verifies(bring(state, 2).effects)).toHaveLength(1);
  });

  test('a sender of a false link gets no second one verified', () => {
    const first = bring(handover.start(config, [], context).state, 1);
    const [id] = verifies(first.effects);
    if (id === undefined) throw new Error('the link is verified');
    const result = { kind: 'verified', good: false } as const;
    const rejected = handover.step(config, first.state, { kind: 'computed', id, result }, context);
    expect(rejected.effects.map(({ kind }) => kind)).toEqual(['blame']);
    expect(verifies(bring(rejected.state, 1).effects)).toEqual([]);
    expect(verifies(bring(rejected.state, 3).effects)).toHaveLength(1);
  });
});

test('N22: an unanswered freezeMoney is output again on every timer', () => {
  const { state } = handover.start(config, [], context);
  const tick = { kind: 'timerFired', timer: 'repeat' } as const;
  const { effects } = handover.step(config, state, tick, context);
  expect(
    effects.some((effect) => effect.kind === 'output' && effect.output.kind === 'freezeMoney'),
  ).toBe(true);
});

describe('decoders', () => {
  test('random bytes are rejected without throwing; messages and facts round-trip', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        (noise) => !decodeHandoverMessage(noise).ok && !decodeHandoverFact(noise).ok,
      ),
    );
    const record = successorRecordOf(sealedWith([charter(2)], 'a'));
    if (record === undefined) throw new Error('sealed');
    const signed = { record, signature: new Uint8Array(48).fill(1) };
    const root = { elder: 3, root: seedOf('root'), signature: new Uint8Array(64) };
    const receipt = { child: 0, elder: 2, signature: new Uint8Array(64) };
    const messages: readonly HandoverMessage[] = [
      {
        kind: 'progress',
        incomplete: true,
        roots: [root],
        share: { record: seedOf('record'), signature: new Uint8Array(48) },
        successor: signed,
        receipts: [receipt],
      },
      { kind: 'requestPage', root: seedOf('root'), start: 3 },
      {
        kind: 'page',
        root: seedOf('root'),
        start: 0,
        count: 2,
        siblings: [seedOf('beside')],
        entries: [seedOf('entry')],
      },
    ];
    for (const message of messages) {
      const value = decodeHandoverMessage(encodeHandoverMessage(message));
      expect(value).toEqual({ ok: true, value: message });
    }
    const facts: readonly HandoverFact[] = [
      { kind: 'snapshotSigned', snapshot: root },
      { kind: 'recordChosen', record },
      { kind: 'succeeded', signed },
      { kind: 'inherited' },
      { kind: 'receipt', receipt },
      { kind: 'released' },
    ];
    for (const fact of facts) {
      expect(decodeHandoverFact(encodeHandoverFact(fact))).toEqual({ ok: true, value: fact });
    }
  });
});
