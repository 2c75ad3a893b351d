/**
 * Goal: readiness proofs at the elders survive a generation of the section, a ready candidate re-sends
 * its proof (N13), and an ended key generation answers only under the key it generated (DKG-D11, N18).
 * Method: the machine of one elder that is also a candidate, with states of a toy network.
 */
import { describe, expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { childSessionId, listHash, type DealingList } from '#protocol/dkg/index.ts';
import type { ReadyProof } from '#protocol/membership/index.ts';
import {
  withLedgerRoot,
  encodeSealedState,
  encodeSuccessor,
  type DkgSession,
  type SealedState,
} from '#protocol/section/index.ts';
import {
  prunableAfter,
  sectionNode,
  type NodePayload,
  type SectionNode,
  type SectionNodeFact,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { stepSession } from '#roles/section-node/dkg/dkg-sessions.ts';
import { adoptState } from '#roles/section-node/catch-up/adopt-state.ts';
import { dkgInstanceId } from '#roles/section-node/dkg/instance-id.ts';
import { simNodeFor, usualSectionPace } from '../../../sim/section/section-world.ts';
import { genesis, grow, only, sign, succeed, type TestSection } from '../../section/network.ts';

const context = { now: 0, entropy: new Uint8Array(32) };
const born = genesis('key sessions', 6);
const { prefix, elders, key, networkId } = born.state.authority;
const candidates = elders.map(({ name }) => name);
const [own, peer] = candidates;
if (own === undefined || peer === undefined) throw new Error('seven elders');
const { id: self, config } = simNodeFor(born.anchor, usualSectionPace, own);
const others = candidates.map(nameToId).filter((id) => id !== self);

const sessionOf = (fill: number): DkgSession => ({
  id: new Uint8Array(32).fill(fill),
  opened: 0n,
  children: [{ prefix, candidates }],
});
const session = sessionOf(1);
const id = dkgInstanceId(session.id, 0);

const waitingFor = (living: TestSection, sessions: readonly DkgSession[]): TestSection => {
  const { authority, ledger } = living.state;
  return { ...living, state: withLedgerRoot({ authority, ledger: { ...ledger, sessions } }) };
};
const sealedOf = (living: TestSection): SealedState => {
  const { signature, chain } = sign(living);
  return { state: living.state, signature, chain };
};
const opened = waitingFor(born, [session]);

const begin = (...facts: readonly SectionNodeFact[]): SectionNodeState => {
  const sealed = encodeSealedState(sealedOf(opened));
  return sectionNode.start(config, [{ kind: 'sealed', sealed }, ...facts], context).state;
};
const adoptNext = (state: SectionNodeState, living: TestSection) =>
  adoptState(config, state, sealedOf(living), 'received', context);
const fireRoundTimer = (state: SectionNodeState) =>
  sectionNode.step(config, state, { kind: 'timerFired', timer: { kind: 'pingRound' } }, context);
const receive = (state: SectionNodeState, from: NodeId, payload: NodePayload) => {
  const message = { key, generation: 0n, payload };
  return sectionNode.step(config, state, { kind: 'received', from, message }, context);
};
const sent = (effects: readonly Effect<SectionNode>[], kind: NodePayload['kind']) =>
  effects.flatMap((effect) =>
    effect.kind === 'send' && effect.message.payload.kind === kind
      ? [{ to: effect.to, payload: effect.message.payload }]
      : [],
  );

const dealings: DealingList = candidates.map((_, at) => new Uint8Array(32).fill(at));
const proof: ReadyProof = {
  list: dealings,
  key: new Uint8Array(96).fill(9),
  publicShares: candidates.map((_, at) => new Uint8Array(96).fill(at)),
  signature: new Uint8Array(48),
  vouchers: [1, 2, 3, 4, 5].map((candidate) => ({ candidate, signature: new Uint8Array(64) })),
};

/** The state of the key generation once five candidates vouched for a list. */
const withReady = (state: SectionNodeState, what: ReadyProof | null): SectionNodeState => {
  const held = state.sessions.get(id);
  if (held === undefined) throw new Error('this node is a candidate');
  const { key: made, publicShares } = proof;
  const result = { key: made, publicShares, secretShare: new Uint8Array(32), index: 1 };
  const stage = { kind: 'derived', result, ready: new Uint8Array(48), combining: false } as const;
  const list = {
    ...{ dealings, hash: new Uint8Array(32), wanted: false, stage: { ...stage, proof: what } },
    ...{ readiness: new Map<number, never>(), wrong: new Set<number>() },
  };
  const inner = { ...held.state, lists: new Map([['list', list]]) };
  return { ...state, sessions: new Map([[id, { ...held, state: inner }]]) };
};

describe('N13: readiness proofs at the elders of the opening key', () => {
  /** With its share this elder has a pending generation, so it accepts proofs. */
  const share = { kind: 'share', key, secretShare: new Uint8Array(32).fill(1), index: 1 } as const;
  const ready = { kind: 'ready', session: session.id, child: 0, proof } as const;
  const received = receive(begin(share), nameToId(peer), ready).state;
  const kept = new Map([[nameToId(peer), { proof, stage: 'checking' }]]);

  test('a received proof is kept', () => {
    expect(received.readinessProofs.get(id)).toEqual(kept);
  });

  test('it survives the next generation while the session is open', () => {
    const { state } = adoptNext(received, grow(opened));
    expect(state.own?.state.authority.generation).toBe(1n);
    expect(state.readinessProofs.get(id)).toEqual(kept);
  });

  test('it is dropped with its session, and not used for another', () => {
    expect(adoptNext(received, grow(waitingFor(born, []))).state.readinessProofs.size).toBe(0);
    expect(
      adoptNext(received, grow(waitingFor(born, [sessionOf(2)]))).state.readinessProofs.size,
    ).toBe(0);
  });
});

describe('N13: a candidate whose key is ready', () => {
  const waiting = withReady(begin(), proof);

  test('re-sends its proof every round to each other elder', () => {
    let state = waiting;
    for (let n = 0; n < 3; n++) {
      const step = fireRoundTimer(state);
      const payload = { kind: 'ready', session: session.id, child: 0, proof };
      expect(sent(step.effects, 'ready')).toEqual([{ to: others, payload }]);
      state = step.state;
    }
  });

  test('sends none before it is ready, nor after the session is closed', () => {
    expect(sent(fireRoundTimer(withReady(begin(), null)).effects, 'ready')).toEqual([]);
    const closed = adoptNext(waiting, grow(waitingFor(born, []))).state;
    expect(sent(fireRoundTimer(closed).effects, 'ready')).toEqual([]);
  });

  test('stops once the section selected its key, while its share is still missing', () => {
    const { phase } = succeed(born, 'key sessions 1').sealed.ledger;
    if (phase.kind === 'open') throw new Error('a sealed set');
    const { authority, ledger } = grow(waitingFor(born, [])).state;
    const { charters, lists } = phase;
    const chosen = { kind: 'closing', sessionId: session.id, charters, lists } as const;
    const closing = withLedgerRoot({ authority, ledger: { ...ledger, phase: chosen } });
    const { state } = adoptNext(waiting, { ...born, state: closing });
    expect(state.sessions.has(id)).toBe(true);
    expect(sent(fireRoundTimer(state).effects, 'ready')).toEqual([]);
  });
});

/** The first state of a key whose origin is this list. */
function from(made: DkgSession, list: DealingList): TestSection {
  const living = only(succeed(born, 'key sessions 1').children);
  const { authority, ledger } = living.state;
  const { members } = born.state.authority;
  const sharingKeys = elders.map(
    ({ name }) =>
      members.find((each) => equalBytes(each.name, name))?.sharingKey ?? new Uint8Array(32),
  );
  const origin = { session: made.id, child: 0, list, sharingKeys };
  const state = { authority: { ...authority, elders, members }, ledger: { ...ledger, origin } };
  return { ...living, state: withLedgerRoot(state) };
}

describe('DKG-D12: the decided list is completed', () => {
  const other: DealingList = candidates.map((_, at) => new Uint8Array(32).fill(100 + at));
  const wanted = (effects: readonly Effect<SectionNode>[]): number =>
    new Set(
      sent(effects, 'dkg').flatMap(({ payload }) =>
        payload.kind === 'dkg' && payload.message.kind === 'status'
          ? payload.message.wants.flatMap(({ hash }) => hash?.[0] ?? [])
          : [],
      ),
    ).size;
  const closing = (list: DealingList): TestSection => {
    const { phase } = succeed(born, 'key sessions 1').sealed.ledger;
    if (phase.kind === 'open') throw new Error('a sealed set');
    const { authority, ledger } = grow(waitingFor(born, [])).state;
    const { charters } = phase;
    const chosen = {
      ...({ kind: 'closing', sessionId: session.id, charters } as const),
      lists: [list],
    };
    return { ...born, state: withLedgerRoot({ authority, ledger: { ...ledger, phase: chosen } }) };
  };

  test('by a candidate that derived another key and first sees the list in the decision', () => {
    const waiting = withReady(begin(), proof);
    expect(wanted(adoptNext(waiting, closing(other)).effects)).toBe(7);
  });

  test('by one that received nothing before the first state of the new key', () => {
    const waiting = withReady(begin(), proof);
    const { state, effects } = adoptNext(waiting, from(session, other));
    expect(wanted(effects)).toBe(7);
    expect(state.sessions.get(id)?.state.kind).not.toBe('ended');
  });

  test('by an elder of the new key that stores only its state', () => {
    const { state, effects } = adoptNext(begin(), from(sessionOf(3), other));
    expect(state.sessions.get(id)?.state.kind).toBeUndefined();
    expect(state.sessions.has(dkgInstanceId(sessionOf(3).id, 0))).toBe(true);
    expect(wanted(effects)).toBe(7);
    const again = adoptNext(state, grow(from(sessionOf(3), other)));
    expect(again.state.sessions.size).toBe(1);
    // It may have lost a key and a dealing of its own, so it creates no second one.
    const persisted = effects.flatMap((each) =>
      each.kind === 'persist' && each.fact.kind === 'dkg' ? [each.fact.fact.kind] : [],
    );
    expect(persisted).toEqual(['ended']);
  });
});

test('N12: an elder without its share searches for it, even if another was voted out', () => {
  const made = from(sessionOf(3), dealings);
  const { authority, ledger } = made.state;
  const members = authority.members.filter(({ name }) => !equalBytes(name, peer));
  expect(members.length).toBe(authority.members.length - 1);
  const less = withLedgerRoot({ authority: { ...authority, members }, ledger });
  const { state, effects } = adoptNext(begin(), { ...made, state: less });
  const session = state.sessions.get(dkgInstanceId(sessionOf(3).id, 0));
  expect(session?.plan.late).toBe(true);
  expect(session?.plan.fallbackKeys).toEqual(ledger.origin?.sharingKeys);
  expect(sent(effects, 'dkg').length).toBeGreaterThan(0);
});

test('a late elder persists nothing of the key generation that it restarts each time', () => {
  const { state } = adoptNext(begin(), from(sessionOf(3), dealings));
  const late = dkgInstanceId(sessionOf(3).id, 0);
  expect(state.sessions.get(late)?.plan.late).toBe(true);
  const lost = { kind: 'input', input: { kind: 'notSelected' } } as const;
  const over = stepSession(config, state, late, lost, context);
  expect(over.state.sessions.get(late)?.state.kind).toBe('ended');
  expect(over.effects.filter(({ kind }) => kind === 'persist')).toEqual([]);
  // A node that took part persists the end.
  const partaker = stepSession(config, begin(), id, lost, context);
  expect(partaker.effects.filter(({ kind }) => kind === 'persist')).not.toEqual([]);
});

describe('DKG-D11, N18: an ended key generation', () => {
  /** The first state of this session's key; its elders are the candidates. */
  const first = from(session, dealings);
  const second = only(succeed(first, 'key sessions 2').children);
  const asked: NodePayload = {
    kind: 'dkg',
    session: session.id,
    child: 0,
    message: {
      kind: 'status',
      sessionId: childSessionId(session.id, 0),
      inventory: { tick: 1, keys: 0, lists: 0, readiness: [] },
      wants: [],
    },
  };
  /** A candidate with its share of the key. */
  const finished = (): SectionNodeState => {
    const state = withReady(begin(), { ...proof, key: first.state.authority.key });
    const share = { key: first.state.authority.key, secretShare: new Uint8Array(32), index: 1 };
    const held = state.sessions.get(id);
    if (held === undefined || held.state.kind === 'ended') throw new Error('a candidate');
    const lists = new Map(
      [...held.state.lists].map(([, list]) => [
        toHex(listHash({ networkId, sessionId: childSessionId(session.id, 0) }, dealings)),
        { ...list, stage: { ...list.stage, result: { ...share, publicShares: [] } } as never },
      ]),
    );
    return {
      ...state,
      shares: new Map([[toHex(share.key), share]]),
      sessions: new Map([[id, { ...held, state: { ...held.state, lists } }]]),
    };
  };
  /** Links that a node followed before it receives the state. */
  const linksTo = (living: TestSection): SectionNodeFact => ({
    kind: 'links',
    links: living.chain.map(encodeSuccessor),
  });
  /** A late candidate asks this node. @returns the number of answers */
  const answers = (state: SectionNodeState): number =>
    sent(receive(state, nameToId(peer), asked).effects, 'dkg').length;
  const isHeld = (state: SectionNodeState): boolean => state.sessions.has(id);
  const hasEnded = (effects: readonly Effect<SectionNode>[]): boolean =>
    effects.some(
      (effect) =>
        effect.kind === 'persist' && effect.fact.kind === 'sessionOver' && effect.fact.id === id,
    );

  test('ends immediately when its session is closed under the opening key', () => {
    const { state, effects } = adoptNext(begin(), grow(waitingFor(born, [])));
    expect(hasEnded(effects)).toBe(true);
    expect(isHeld(state)).toBe(false);
  });

  test('is kept without secrets under the next key, and dropped under the one after', () => {
    const next = adoptNext(finished(), first);
    expect(hasEnded(next.effects)).toBe(true);
    expect(next.state.sessions.get(id)?.state.kind).toBe('ended');
    expect(answers(next.state)).toBe(1);
    // A further generation of that key changes nothing.
    const later = adoptNext(next.state, grow(first)).state;
    expect(later.sessions.get(id)?.state.kind).toBe('ended');
    const last = adoptNext(later, second).state;
    expect(equalBytes(last.own?.state.authority.key ?? key, second.state.authority.key)).toBe(true);
    expect(isHeld(last)).toBe(false);
    expect(answers(last)).toBe(0);
  });

  test('still answers after a restart, with its secret erased from disk', () => {
    const sealed = encodeSealedState(sealedOf(opened));
    const start = [{ kind: 'sealed', sealed } as const, linksTo(first)];
    const begun = sectionNode.start(config, start, context);
    const persisted = (effects: readonly Effect<SectionNode>[]) =>
      effects.flatMap((each) => (each.kind === 'persist' ? [each.fact] : []));
    const next = adoptNext(
      { ...begun.state, shares: finished().shares, sessions: finished().sessions },
      first,
    );
    const share = finished().shares.get(toHex(first.state.authority.key));
    if (share === undefined) throw new Error('a share');
    const facts: readonly SectionNodeFact[] = [
      ...start,
      ...persisted(begun.effects),
      { kind: 'share', ...share },
      ...persisted(next.effects),
      { kind: 'sealed', sealed: encodeSealedState(sealedOf(grow(first))) },
    ];
    const gone = new Set(prunableAfter(facts));
    const left = facts.filter((_, at) => !gone.has(at));
    const secret = (each: SectionNodeFact) => each.kind === 'dkg' && each.fact.kind === 'announced';
    expect([facts.some(secret), left.some(secret)]).toEqual([true, false]);
    const { state } = sectionNode.start(config, left, context);
    expect(state.sessions.get(id)?.state.kind).toBe('ended');
  });

  test('at a node that was offline for a whole key it ends with the second state received', () => {
    const { state, effects } = adoptNext(begin(linksTo(second)), second);
    expect(hasEnded(effects)).toBe(true);
    expect(isHeld(adoptNext(state, grow(second)).state)).toBe(false);
  });
});
