/**
 * Goal: the small parts of a section's node keep their promises one by one: who is silent, whom a
 * round names, what the end of a key offers, and that late shares make nothing.
 * Method: each function alone, on the state of one elder.
 */
import { describe, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import type { ReadyProof } from '#protocol/membership/index.ts';
import { bindLedger, type DkgSession, type SectionState } from '#protocol/section/index.ts';
import { sectionNode, type SectionNodeState } from '#roles/section-node/index.ts';
import { handoverWish, mergedRootOf, setId } from '#roles/section-node/endings.ts';
import { unmerged } from '#roles/section-node/succession.ts';
import { combined } from '#roles/section-node/sealing.ts';
import { sessionKey } from '#roles/section-node/session-key.ts';
import { isSilent } from '#roles/section-node/silence.ts';
import { judgeRound, noteIssue } from '#roles/section-node/suspicion.ts';
import type { Ending } from '#roles/section-node/state.ts';
import { createPrng } from '../../sim/prng.ts';
import { found } from '../../sim/section-world.ts';

const founding = found(createPrng(77), [...Array<number>(7).fill(7), 6, 6, 6]);
const [elder] = founding.elders;
if (elder === undefined) throw new Error('seven elders');
const { config } = elder;
const { sealed } = founding;
const { key } = sealed.state.authority;
const otherKey = new Uint8Array(96).fill(2);
const context = { now: 0, entropy: new Uint8Array(32) };

const begun = ((): SectionNodeState => {
  const input = founding.inputs.find(({ to }) => to === elder.id)?.input;
  if (input === undefined) throw new Error('a founder is told');
  const blank = sectionNode.start(config, [], context).state;
  return sectionNode.step(config, blank, { kind: 'input', input }, context).state;
})();

describe('N10: under which keys a node is silent', () => {
  const knows = { forgot: new Set<string>() };
  test('under those it forgot, and under the one it is told of', () => {
    expect(isSilent({ silentUnder: null }, knows, key)).toBe(false);
    expect(isSilent({ silentUnder: null }, { forgot: new Set([toHex(key)]) }, key)).toBe(true);
    expect(isSilent({ silentUnder: null }, { forgot: new Set([toHex(otherKey)]) }, key)).toBe(
      false,
    );
    expect(isSilent({ silentUnder: key }, knows, key)).toBe(true);
    expect(isSilent({ silentUnder: otherKey }, knows, key)).toBe(false);
  });
});

describe('N40: whom a round names', () => {
  const others = founding.people.filter(({ id }) => id !== elder.id);
  const [gone] = others;
  if (gone === undefined) throw new Error('others');
  /** Rounds one after the other; how many of the others answer in each. */
  const rounds = (state: SectionNodeState, ...answering: readonly number[]): SectionNodeState =>
    answering.reduce((now, count) => {
      const answered = new Set(others.slice(-count || others.length).map(({ id }) => id));
      return judgeRound(config, { ...now, answered: count === 0 ? new Set() : answered });
    }, state);
  const all = others.length;
  const longEnough = Array<number>(config.graceRounds + 1).fill(all - 1);

  test('who did not answer in enough rounds that most others answered', () => {
    const met = rounds(begun, ...Array<number>(config.graceRounds).fill(all));
    expect(met.opinions.gone).toEqual([]);
    expect(rounds(met, ...longEnough).opinions.gone).toEqual([gone.name]);
  });

  test('a round that most did not answer names nobody, whoever stood out before', () => {
    const met = rounds(begun, ...Array<number>(config.graceRounds).fill(all));
    const falsehoods = Array.from({ length: 9 }).reduce<SectionNodeState>(
      (state) => noteIssue(config, state, gone.name, 'falsehood'),
      met,
    );
    const dark = rounds(falsehoods, 1);
    expect(dark.opinions.faulty).toEqual([]);
    expect(dark.opinions.gone).toEqual([]);
    // It still stands out, and the next round that counts says so.
    expect(rounds(dark, all).opinions.faulty).toEqual([gone.name]);
  });
});

describe('N19: what the end of a key offers', () => {
  const proof = (fill: number): ReadyProof => ({
    list: [],
    key: new Uint8Array(96).fill(fill),
    publicShares: [],
    signature: new Uint8Array(48),
    vouchers: [],
  });
  /** The first number of each proof is what a key begins with; a negative one is not checked yet. */
  const heldOf = (fills: readonly number[]) =>
    new Map(
      fills.map((fill, at) => [
        `sender ${at}`,
        { proof: proof(Math.abs(fill)), stage: fill > 0 ? 'good' : 'waiting' } as const,
      ]),
    );
  const child = { prefix: sealed.state.authority.prefix, candidates: [] };
  const wishing = (children: number, ...proofs: readonly (readonly number[])[]) => {
    const id = new Uint8Array(32).fill(8);
    const session: DkgSession = { id, opened: 0n, children: Array(children).fill(child) };
    const { authority, ledger } = sealed.state;
    const state: SectionState = bindLedger({
      authority,
      ledger: { ...ledger, sessions: [session] },
    });
    const ready = new Map(proofs.map((each, at) => [sessionKey(id, at), heldOf(each)] as const));
    return handoverWish({ ...begun, own: { ...sealed, state }, ready }).map((body) =>
      body.kind === 'handover' ? body.ready.map(({ key: made }) => made[0]) : [],
    );
  };

  test('one checked key of each child, and none while a child has none', () => {
    expect(wishing(1, [1, 2])).toEqual([[1]]);
    expect(wishing(1)).toEqual([]);
    expect(wishing(1, [-1, -2])).toEqual([]);
    expect(wishing(1, [-1, 2])).toEqual([[2]]);
    expect(wishing(2, [1, 2])).toEqual([]);
    expect(wishing(2, [1], [-5])).toEqual([]);
    expect(wishing(2, [-1, -2, -3, -4, 1], [5, 6])).toEqual([[1, 5]]);
  });

  test('N23: one set of snapshots has one merged root, in whatever order it is cited', () => {
    const snapshots = [3, 1, 5].map((at) => ({ elder: at, root: new Uint8Array(32).fill(at) }));
    const root = new Uint8Array(32).fill(4);
    const ending = { merged: new Map([[setId(snapshots), root]]) } as unknown as Ending;
    const state = { ...begun, ending };
    expect(mergedRootOf(state, [...snapshots].reverse())).toBe(root);
    expect(mergedRootOf(state, snapshots.slice(1))).toBeNull();
    const byOthers = snapshots.map((each) => ({ ...each, elder: each.elder + 1 }));
    expect(mergedRootOf(state, byOthers)).toBeNull();
    expect(mergedRootOf(begun, snapshots)).toBeNull();
  });
});

test('N9: a merge that failed is asked for again with the next tick, and not before', () => {
  const snapshots = [1, 2, 3, 4, 5].map((at) => ({
    ...{ elder: at, root: new Uint8Array(32).fill(at), signature: new Uint8Array(64) },
  }));
  const merging = new Map([[setId(snapshots), { snapshots, isOwn: true }]]);
  const ending = { state: null, merging } as unknown as Ending;
  const failed = unmerged({ ...begun, ending }, snapshots);
  expect(failed.effects).toEqual([]);
  expect(failed.state.ending?.merging.size).toBe(0);
  // What is not under way is asked for at every tick of the handover (`seekMerges`, `mergeDue`).
  // What was not asked for is not forgotten either.
  expect(unmerged({ ...begun, ending }, snapshots.slice(1)).state.ending?.merging.size).toBe(1);
});

describe('N6: five shares that come late', () => {
  const { desk } = begun;
  if (desk === null) throw new Error('an elder has a desk');
  const signature = new Uint8Array(48).fill(6);
  const sealing: SectionNodeState = {
    ...begun,
    desk: { ...desk, stage: { ...desk.stage, kind: 'churning', acts: [] } as never },
  };
  const make = (state: SectionNodeState, generation: bigint, stage: string) =>
    combined(config, state, generation, stage, signature, context);

  test('make the chance of their own generation and stage, and nothing else', () => {
    const jobs = make(sealing, desk.generation, 'churning').effects;
    expect(jobs.map((each) => (each.kind === 'compute' ? each.job.kind : each.kind))).toEqual([
      'apply',
    ]);
    expect(make(sealing, desk.generation + 1n, 'churning').effects).toEqual([]);
    expect(make(sealing, desk.generation, 'sealing').effects).toEqual([]);
    expect(make(begun, desk.generation, 'agreeing').effects).toEqual([]);
    expect(make({ ...begun, desk: null }, desk.generation, 'churning').effects).toEqual([]);
  });
});
