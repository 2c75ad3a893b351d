/**
 * Goal: an elder keeps one readiness proof per candidate (N13), proposes only verified ones, and no
 * message can crash a node or block a true proof.
 * Method: the machine of one elder, which receives proofs through the codec and runs its jobs.
 */
import { describe, expect, test } from 'vitest';
import { nameToId, toXorName, type XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import {
  childSessionId,
  decodeReadinessProof,
  encodeReadinessProof,
  listHash,
} from '#protocol/dkg/index.ts';
import { voucherBytes } from '#protocol/dkg/transcript.ts';
import { actId, readyBytes, type ReadyProof } from '#protocol/membership/index.ts';
import { withLedgerRoot, encodeSealedState, type DkgSession } from '#protocol/section/index.ts';
import {
  performSectionNodeJob,
  sectionNode,
  type NodePayload,
  type SectionNode,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { handoverActs } from '#roles/section-node/handover/handover-acts.ts';
import { decodeNodePayload, encodeNodePayload } from '#roles/wire/section-messages.ts';
import { simNodeFor, usualSectionPace } from '../../../sim/section/section-world.ts';
import { toyKey } from '../../membership/fixtures.ts';
import { genesis, sign } from '../../section/network.ts';

const context = { now: 0, entropy: new Uint8Array(32) };
const born = genesis('readiness', 6);
const { prefix, elders, key, networkId } = born.state.authority;
const candidates = elders.map(({ name }) => name);
const at = (index: number): XorName => candidates[index - 1] ?? toXorName(new Uint8Array(32));
const { config } = simNodeFor(born.anchor, usualSectionPace, at(1));
const suites = config.suites;

const sessionOf = (children: number): DkgSession => ({
  id: labelledHash('safe/toy/session', Uint8Array.of(children)),
  opened: 0n,
  children: Array.from({ length: children }, () => ({ prefix, candidates })),
});
const begin = (session: DkgSession): SectionNodeState => {
  const { authority, ledger } = born.state;
  const state = withLedgerRoot({ authority, ledger: { ...ledger, sessions: [session] } });
  const sealed = encodeSealedState({ state, ...sign({ ...born, state }) });
  const share = { kind: 'share', key, secretShare: new Uint8Array(32).fill(1), index: 1 } as const;
  return sectionNode.start(config, [{ kind: 'sealed', sealed }, share], context).state;
};

/** The proof of five candidates for a key. @param salt selects the key */
function proofOf(
  session: DkgSession,
  salt: number,
  child = 0,
  vouching = [1, 2, 3, 4, 5],
): ReadyProof {
  const { secret, key: made, publicShares } = toyKey(Uint8Array.of(salt, child));
  const binding = { networkId, sessionId: childSessionId(session.id, child) };
  const list = candidates.map(() => labelledHash('safe/toy/dealing', Uint8Array.of(salt)));
  const keys = { key: made, publicShares };
  const bytes = readyBytes(born.state, session, child, listHash(binding, list), keys);
  const vouchers = vouching.map((candidate) => ({
    candidate,
    signature: suites.identity.sign(
      simNodeFor(born.anchor, usualSectionPace, at(candidate)).config.identitySeed,
      voucherBytes(binding, bytes),
    ),
  }));
  const signature = suites.threshold.sign(secret, 'READY', bytes);
  return { list, ...keys, signature, vouchers };
}
const unsigned = (proof: ReadyProof): ReadyProof => ({
  ...proof,
  signature: new Uint8Array(48).fill(7),
});

interface Outcome {
  readonly state: SectionNodeState;
  readonly blamed: readonly NodeId[];
  readonly jobs: number;
}

/** The machine, or one with a planted bug. */
let machine = sectionNode;

/** Messages in order, each through the codec; jobs run in order. */
function receiveAll(
  start: SectionNodeState,
  session: DkgSession,
  ...messages: readonly (readonly [NodeId, ReadyProof, number?])[]
): Outcome {
  let state = start;
  let jobs = 0;
  const blamed: NodeId[] = [];
  const take = (step: {
    readonly state: SectionNodeState;
    readonly effects: readonly Effect<SectionNode>[];
  }): void => {
    state = step.state;
    for (const effect of step.effects) {
      if (effect.kind === 'blame' && effect.fault.kind === 'invalidReadinessProof') {
        blamed.push(effect.fault.culprit);
      }
      if (effect.kind === 'compute' && effect.job.kind === 'checkReady') {
        jobs += 1;
        const result = performSectionNodeJob(effect.job, suites);
        take(machine.step(config, state, { kind: 'computed', id: effect.id, result }, context));
      }
    }
  };
  for (const [from, proof, child = 0] of messages) {
    const payload: NodePayload = { kind: 'ready', session: session.id, child, proof };
    const over = decodeNodePayload(encodeNodePayload(payload));
    if (!over.ok) continue;
    const message = { key, generation: 0n, payload: over.value };
    take(machine.step(config, state, { kind: 'received', from, message }, context));
  }
  return { state, blamed, jobs };
}

/** The keys of the handovers that this elder would propose. */
const proposedKeys = (state: SectionNodeState): readonly (readonly Uint8Array[])[] =>
  handoverActs(state).map((body) =>
    body.kind === 'handover' ? body.ready.map((proof) => proof.key) : [],
  );

const single = sessionOf(1);
const good = proofOf(single, 9);
const unknownPeer = 'ee'.repeat(32);
const peer = (index: number): NodeId => nameToId(at(index));

describe('N13: proofs of a ready key', () => {
  test('a proof with six or seven vouchers is malformed, and crashes no node', () => {
    for (const count of [6, 7]) {
      const more = Array.from({ length: count }, (_, n) => ({
        candidate: n + 1,
        signature: new Uint8Array(64),
      }));
      expect(decodeReadinessProof(encodeReadinessProof({ ...good, vouchers: more })).ok).toBe(
        false,
      );
      expect(() =>
        receiveAll(begin(single), single, [unknownPeer, { ...good, vouchers: more }]),
      ).not.toThrow();
    }
  });

  test('proofs of unknown peers and of non-candidates are ignored', () => {
    const { state, jobs } = receiveAll(begin(single), single, [unknownPeer, good]);
    expect(jobs).toBe(0);
    expect(state.readinessProofs.size).toBe(0);
  });

  const afterLies = (): Outcome => {
    const lies = [101, 102, 103, 104, 105, 106, 107].map(
      (salt) => [unknownPeer, unsigned(proofOf(single, salt))] as const,
    );
    const own = [6, 7].map((n) => [peer(n), unsigned(proofOf(single, 110 + n))] as const);
    return receiveAll(begin(single), single, ...lies, ...own, [peer(2), good]);
  };

  test('seven false proofs of unknown peers and two of candidates do not block the true one', () => {
    const { state, blamed } = afterLies();
    expect(proposedKeys(state)).toEqual([[good.key]]);
    expect(blamed).toEqual([peer(6), peer(7)]);
  });

  test.each([
    ['a proof is accepted unverified', (from: NodeId) => from],
    [
      'proofs of unknown peers are accepted',
      (from: NodeId) => (from === unknownPeer ? peer(3) : from),
    ],
  ])('planted bug: %s, and the test above notices', (name, senderOf) => {
    machine = {
      start: sectionNode.start,
      step: (settings, state, event, at) => {
        const as = event.kind === 'received' ? { ...event, from: senderOf(event.from) } : event;
        const step = sectionNode.step(settings, state, as, at);
        if (!name.includes('unverified')) return step;
        const readinessProofs = new Map(
          [...step.state.readinessProofs].map(([id, held]) => [
            id,
            new Map([...held].map(([from, each]) => [from, { ...each, stage: 'good' as const }])),
          ]),
        );
        return { ...step, state: { ...step.state, readinessProofs } };
      },
    };
    const { state, blamed } = afterLies();
    machine = sectionNode;
    const isRight =
      proposedKeys(state).some(([made]) => made !== undefined && equalBytes(made, good.key)) &&
      blamed.length === 2;
    expect(isRight).toBe(false);
  });

  test('the true key with an invalid signature, sent first, does not block it', () => {
    const { state } = receiveAll(begin(single), single, [peer(6), unsigned(good)], [peer(2), good]);
    expect(proposedKeys(state)).toEqual([[good.key]]);
  });

  test('a proof is not proposed before it is verified', () => {
    const payload: NodePayload = { kind: 'ready', session: single.id, child: 0, proof: good };
    const message = { key, generation: 0n, payload };
    const { state } = sectionNode.step(
      config,
      begin(single),
      { kind: 'received', from: peer(2), message },
      context,
    );
    expect(proposedKeys(state)).toEqual([]);
  });

  test('a candidate with a false proof is verified and blamed once, however often it sends', () => {
    const again = Array.from(
      { length: 20 },
      (_, n) => [peer(6), unsigned(proofOf(single, n))] as const,
    );
    const { blamed, jobs } = receiveAll(begin(single), single, ...again);
    expect(blamed).toEqual([peer(6)]);
    expect(jobs).toBe(1);
  });

  test('one key from seven candidates is verified once', () => {
    const all = [1, 2, 3, 4, 5, 6, 7].map((n) => [peer(n), good] as const);
    expect(receiveAll(begin(single), single, ...all).jobs).toBe(1);
  });

  test('a split is proposed with one verified key per half, whatever liars sent before', () => {
    const split = sessionOf(2);
    const [zero, one] = [proofOf(split, 9, 0), proofOf(split, 9, 1)];
    const lies = [0, 1].flatMap((child) =>
      [6, 7].map((n) => [peer(n), unsigned(proofOf(split, 50 + n, child)), child] as const),
    );
    const { state } = receiveAll(
      begin(split),
      split,
      ...lies,
      [peer(2), zero, 0],
      [peer(3), one, 1],
    );
    expect(proposedKeys(state)).toEqual([[zero.key, one.key]]);
  });
});

test('MEMBERSHIP-B9: one handover act per key, independent of vouchers and signatures', () => {
  const idOf = (proof: ReadyProof): Uint8Array =>
    actId({ kind: 'handover', sessionId: single.id, ready: [proof] });
  expect(equalBytes(idOf(good), idOf(proofOf(single, 9, 0, [2, 3, 4, 6, 7])))).toBe(true);
  expect(equalBytes(idOf(good), idOf(proofOf(single, 8)))).toBe(false);
  const [first, ...others] = good.list;
  expect(first).not.toBeNull();
  expect(equalBytes(idOf(good), idOf({ ...good, list: [null, ...others] }))).toBe(false);
});
