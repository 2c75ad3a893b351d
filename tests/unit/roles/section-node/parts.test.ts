/**
 * Goal: small parts of the section node work alone: abstaining, accusations of a round, acts of a
 * handover, and late shares, which have no effect.
 * Method: each function alone, on the state of one elder.
 */
import { describe, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import type { ReadyProof } from '#protocol/membership/index.ts';
import { withLedgerRoot, type DkgSession, type SectionState } from '#protocol/section/index.ts';
import { sectionNode, type SectionNodeState } from '#roles/section-node/index.ts';
import {
  handoverActs,
  mergedRootOf,
  snapshotSetId,
} from '#roles/section-node/handover/handover-acts.ts';
import { onMergeFailed } from '#roles/section-node/handover/handover-flow.ts';
import { onSharesCombined } from '#roles/section-node/generation/sealing.ts';
import { dkgInstanceId } from '#roles/section-node/dkg/instance-id.ts';
import { mustAbstain } from '#roles/section-node/lost-state/abstained-keys.ts';
import { evaluateRound, recordMemberIssue } from '#roles/section-node/observations/suspicion.ts';
import type { ActiveHandover, GenerationStage } from '#roles/section-node/state.ts';
import { createPrng } from '../../../sim/prng.ts';
import { foundSection } from '../../../sim/section/section-world.ts';

const founding = foundSection(createPrng(77), [...Array<number>(7).fill(7), 6, 6, 6]);
const [elder] = founding.elders;
if (elder === undefined) throw new Error('seven elders');
const { config } = elder;
const { sealed } = founding;
const { key } = sealed.state.authority;
const otherKey = new Uint8Array(96).fill(2);
const context = { now: 0, entropy: new Uint8Array(32) };

const begun = ((): SectionNodeState => {
  const input = founding.inputs.find(({ to }) => to === elder.id)?.input;
  if (input === undefined) throw new Error('a founder has an input');
  const blank = sectionNode.start(config, [], context).state;
  return sectionNode.step(config, blank, { kind: 'input', input }, context).state;
})();

describe('N10: the keys under which a node abstains', () => {
  test('those with lost state, and no other', () => {
    const knows = (lost: readonly Uint8Array[]) => ({
      keysWithLostState: new Set(lost.map(toHex)),
    });
    expect(mustAbstain(knows([]), key)).toBe(false);
    expect(mustAbstain(knows([key]), key)).toBe(true);
    expect(mustAbstain(knows([otherKey]), key)).toBe(false);
  });
});

describe('N40: which members a round accuses', () => {
  const others = founding.simNodes.filter(({ id }) => id !== elder.id);
  const [gone] = others;
  if (gone === undefined) throw new Error('others');
  /** Consecutive rounds. @param answering number of other members that answer in each */
  const rounds = (state: SectionNodeState, ...answering: readonly number[]): SectionNodeState =>
    answering.reduce((now, count) => {
      const answered = new Set(others.slice(-count || others.length).map(({ id }) => id));
      return evaluateRound(config, { ...now, respondedPeers: count === 0 ? new Set() : answered });
    }, state);
  const all = others.length;
  const longEnough = Array<number>(config.graceRounds + 1).fill(all - 1);

  test('a member that missed enough rounds that most others answered', () => {
    const met = rounds(begun, ...Array<number>(config.graceRounds).fill(all));
    expect(met.observations.gone).toEqual([]);
    expect(rounds(met, ...longEnough).observations.gone).toEqual([gone.name]);
  });

  test('a round that most did not answer accuses no member, even earlier suspects', () => {
    const met = rounds(begun, ...Array<number>(config.graceRounds).fill(all));
    const misbehaving = Array.from({ length: 9 }).reduce<SectionNodeState>(
      (state) => recordMemberIssue(config, state, gone.name, 'provable'),
      met,
    );
    const dark = rounds(misbehaving, 1);
    expect(dark.observations.faulty).toEqual([]);
    expect(dark.observations.gone).toEqual([]);
    // It is still an outlier, and the next counted round accuses it.
    expect(rounds(dark, all).observations.faulty).toEqual([gone.name]);
  });
});

describe('N19: acts proposed by a handover', () => {
  const proof = (fill: number): ReadyProof => ({
    list: [],
    key: new Uint8Array(96).fill(fill),
    publicShares: [],
    signature: new Uint8Array(48),
    vouchers: [],
  });
  /** Each number is the first byte of a key; negative: not verified yet. */
  const heldOf = (fills: readonly number[]) =>
    new Map(
      fills.map((fill, at) => [
        `sender ${at}`,
        { proof: proof(Math.abs(fill)), stage: fill > 0 ? 'good' : 'waiting' } as const,
      ]),
    );
  const child = { prefix: sealed.state.authority.prefix, candidates: [] };
  const proposing = (children: number, ...proofs: readonly (readonly number[])[]) => {
    const id = new Uint8Array(32).fill(8);
    const session: DkgSession = { id, opened: 0n, children: Array(children).fill(child) };
    const { authority, ledger } = sealed.state;
    const state: SectionState = withLedgerRoot({
      authority,
      ledger: { ...ledger, sessions: [session] },
    });
    const readinessProofs = new Map(
      proofs.map((each, at) => [dkgInstanceId(id, at), heldOf(each)] as const),
    );
    return handoverActs({ ...begun, own: { ...sealed, state }, readinessProofs }).map((body) =>
      body.kind === 'handover' ? body.ready.map(({ key: made }) => made[0]) : [],
    );
  };

  test('one verified key of each child; no act while a child has none', () => {
    expect(proposing(1, [1, 2])).toEqual([[1]]);
    expect(proposing(1)).toEqual([]);
    expect(proposing(1, [-1, -2])).toEqual([]);
    expect(proposing(1, [-1, 2])).toEqual([[2]]);
    expect(proposing(2, [1, 2])).toEqual([]);
    expect(proposing(2, [1], [-5])).toEqual([]);
    expect(proposing(2, [-1, -2, -3, -4, 1], [5, 6])).toEqual([[1, 5]]);
  });

  test('N23: a set of snapshots has one merged root, in any order', () => {
    const snapshots = [3, 1, 5].map((at) => ({ elder: at, root: new Uint8Array(32).fill(at) }));
    const root = new Uint8Array(32).fill(4);
    const activeHandover = {
      mergedRoots: new Map([[snapshotSetId(snapshots), root]]),
    } as unknown as ActiveHandover;
    const state = { ...begun, activeHandover };
    expect(mergedRootOf(state, [...snapshots].reverse())).toBe(root);
    expect(mergedRootOf(state, snapshots.slice(1))).toBeNull();
    const byOthers = snapshots.map((each) => ({ ...each, elder: each.elder + 1 }));
    expect(mergedRootOf(state, byOthers)).toBeNull();
    expect(mergedRootOf(begun, snapshots)).toBeNull();
  });
});

test('N9: a failed merge is requested again by the next timer, not earlier', () => {
  const snapshots = [1, 2, 3, 4, 5].map((at) => ({
    ...{ elder: at, root: new Uint8Array(32).fill(at), signature: new Uint8Array(64) },
  }));
  const requestedMerges = new Map([[snapshotSetId(snapshots), { snapshots, isOwn: true }]]);
  const activeHandover = {
    state: null,
    requestedMerges,
  } as unknown as ActiveHandover;
  const failed = onMergeFailed({ ...begun, activeHandover }, snapshots);
  expect(failed.effects).toEqual([]);
  expect(failed.state.activeHandover?.requestedMerges.size).toBe(0);
  // The handover timer requests merges that are not running (`mergeCitedSets`).
  // A merge that was never requested changes nothing.
  expect(
    onMergeFailed({ ...begun, activeHandover }, snapshots.slice(1)).state.activeHandover
      ?.requestedMerges.size,
  ).toBe(1);
});

describe('N6: five shares that arrive late', () => {
  const { pendingGeneration } = begun;
  if (pendingGeneration === null) throw new Error('an elder has a pending generation');
  const signature = new Uint8Array(48).fill(6);
  const sealing: SectionNodeState = {
    ...begun,
    pendingGeneration: {
      ...pendingGeneration,
      stage: { ...pendingGeneration.stage, kind: 'drawingRandomness', acts: [] } as never,
    },
  };
  const make = (state: SectionNodeState, generation: bigint, stage: GenerationStage['kind']) =>
    onSharesCombined(config, state, generation, stage, signature, context);

  test('combine only for their own generation and stage', () => {
    const jobs = make(sealing, pendingGeneration.generation, 'drawingRandomness').effects;
    expect(jobs.map((each) => (each.kind === 'compute' ? each.job.kind : each.kind))).toEqual([
      'apply',
    ]);
    expect(make(sealing, pendingGeneration.generation + 1n, 'drawingRandomness').effects).toEqual(
      [],
    );
    expect(make(sealing, pendingGeneration.generation, 'sealing').effects).toEqual([]);
    expect(make(begun, pendingGeneration.generation, 'agreeing').effects).toEqual([]);
    expect(
      make({ ...begun, pendingGeneration: null }, pendingGeneration.generation, 'drawingRandomness')
        .effects,
    ).toEqual([]);
  });
});
