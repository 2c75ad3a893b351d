/**
 * Goal: what the elders hear of a key generation outlives a generation of the section, a ready
 * candidate says it again (N13), and an ended key generation is answered for under the key it made
 * and under no later one (D11, N18).
 * Method: the machine of one elder that is a candidate too, with states of a made-up network.
 */
import { describe, expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { childSessionId, listHash, type DealingList } from '#protocol/dkg/index.ts';
import type { ReadyProof } from '#protocol/membership/index.ts';
import {
  bindLedger,
  encodeSealedState,
  encodeSuccessor,
  type DkgSession,
  type SealedState,
} from '#protocol/section/index.ts';
import {
  obsoleteAfter,
  sectionNode,
  type NodePayload,
  type SectionNode,
  type SectionNodeFact,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { stepSession } from '#roles/section-node/keygen.ts';
import { adopt } from '#roles/section-node/knowledge.ts';
import { sessionKey } from '#roles/section-node/session-key.ts';
import { personFor, usualPace } from '../../sim/section-world.ts';
import { genesis, grow, only, sign, succeed, type Living } from '../section/network.ts';

const context = { now: 0, entropy: new Uint8Array(32) };
const born = genesis('key sessions', 6);
const { prefix, elders, key, networkId } = born.state.authority;
const candidates = elders.map(({ name }) => name);
const [own, peer] = candidates;
if (own === undefined || peer === undefined) throw new Error('seven elders');
const { id: self, config } = personFor(born.anchor, usualPace, own);
const others = candidates.map(nameToId).filter((id) => id !== self);

const sessionOf = (fill: number): DkgSession => ({
  id: new Uint8Array(32).fill(fill),
  opened: 0n,
  children: [{ prefix, candidates }],
});
const session = sessionOf(1);
const id = sessionKey(session.id, 0);

const waitingFor = (living: Living, sessions: readonly DkgSession[]): Living => {
  const { authority, ledger } = living.state;
  return { ...living, state: bindLedger({ authority, ledger: { ...ledger, sessions } }) };
};
const sealedOf = (living: Living): SealedState => {
  const { signature, chain } = sign(living);
  return { state: living.state, signature, chain };
};
const opened = waitingFor(born, [session]);

const begin = (...facts: readonly SectionNodeFact[]): SectionNodeState => {
  const sealed = encodeSealedState(sealedOf(opened));
  return sectionNode.start(config, [{ kind: 'sealed', sealed }, ...facts], context).state;
};
const told = (state: SectionNodeState, living: Living) =>
  adopt(config, state, sealedOf(living), 'told', context);
const round = (state: SectionNodeState) =>
  sectionNode.step(config, state, { kind: 'timerFired', timer: 'round' }, context);
const hear = (state: SectionNodeState, from: NodeId, payload: NodePayload) => {
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

/** As the key generation holds it once five candidates vouched for a list. */
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

describe('N13: the elders of the opening key, and what is ready', () => {
  /** This elder has a desk: it may judge what it is told. */
  const share = { kind: 'share', key, secretShare: new Uint8Array(32).fill(1), index: 1 } as const;
  const ready = { kind: 'ready', session: session.id, child: 0, proof } as const;
  const heard = hear(begin(share), nameToId(peer), ready).state;
  const kept = new Map([[nameToId(peer), { proof, stage: 'checking' }]]);

  test('a proof that was heard is kept', () => {
    expect(heard.ready.get(id)).toEqual(kept);
  });

  test('it is there in the next generation, too, while the section waits for it', () => {
    const { state } = told(heard, grow(opened));
    expect(state.own?.state.authority.generation).toBe(1n);
    expect(state.ready.get(id)).toEqual(kept);
  });

  test('with the session it goes, and another session keeps nothing of it', () => {
    expect(told(heard, grow(waitingFor(born, []))).state.ready.size).toBe(0);
    expect(told(heard, grow(waitingFor(born, [sessionOf(2)]))).state.ready.size).toBe(0);
  });
});

describe('N13: a candidate whose key is ready', () => {
  const waiting = withReady(begin(), proof);

  test('says so again with every round, to each other elder', () => {
    let state = waiting;
    for (let n = 0; n < 3; n++) {
      const step = round(state);
      const payload = { kind: 'ready', session: session.id, child: 0, proof };
      expect(sent(step.effects, 'ready')).toEqual([{ to: others, payload }]);
      state = step.state;
    }
  });

  test('says nothing before it is ready, and nothing once the section waits no more', () => {
    expect(sent(round(withReady(begin(), null)).effects, 'ready')).toEqual([]);
    const closed = told(waiting, grow(waitingFor(born, []))).state;
    expect(sent(round(closed).effects, 'ready')).toEqual([]);
  });

  test('has said enough once the section has chosen its key, which still needs its share', () => {
    const { phase } = succeed(born, 'key sessions 1').sealed.ledger;
    if (phase.kind === 'open') throw new Error('a sealed set');
    const { authority, ledger } = grow(waitingFor(born, [])).state;
    const { charters, lists } = phase;
    const chosen = { kind: 'closing', sessionId: session.id, charters, lists } as const;
    const closing = bindLedger({ authority, ledger: { ...ledger, phase: chosen } });
    const { state } = told(waiting, { ...born, state: closing });
    expect(state.sessions.has(id)).toBe(true);
    expect(sent(round(state).effects, 'ready')).toEqual([]);
  });
});

/** The first state of a key that the section says is the sum of this list. */
function from(made: DkgSession, list: DealingList): Living {
  const living = only(succeed(born, 'key sessions 1').children);
  const { authority, ledger } = living.state;
  const { members } = born.state.authority;
  const sharingKeys = elders.map(
    ({ name }) =>
      members.find((each) => equalBytes(each.name, name))?.sharingKey ?? new Uint8Array(32),
  );
  const origin = { session: made.id, child: 0, list, sharingKeys };
  const state = { authority: { ...authority, elders, members }, ledger: { ...ledger, origin } };
  return { ...living, state: bindLedger(state) };
}

describe('D12: the list that was decided is the list that is finished', () => {
  const other: DealingList = candidates.map((_, at) => new Uint8Array(32).fill(100 + at));
  const wanted = (effects: readonly Effect<SectionNode>[]): number =>
    new Set(
      sent(effects, 'dkg').flatMap(({ payload }) =>
        payload.kind === 'dkg' && payload.message.kind === 'status'
          ? payload.message.wants.flatMap(({ hash }) => hash?.[0] ?? [])
          : [],
      ),
    ).size;
  const closing = (list: DealingList): Living => {
    const { phase } = succeed(born, 'key sessions 1').sealed.ledger;
    if (phase.kind === 'open') throw new Error('a sealed set');
    const { authority, ledger } = grow(waitingFor(born, [])).state;
    const { charters } = phase;
    const chosen = {
      ...({ kind: 'closing', sessionId: session.id, charters } as const),
      lists: [list],
    };
    return { ...born, state: bindLedger({ authority, ledger: { ...ledger, phase: chosen } }) };
  };

  test('by a candidate that holds another key and heard of the decided list in the decision', () => {
    const waiting = withReady(begin(), proof);
    expect(wanted(told(waiting, closing(other)).effects)).toBe(7);
  });

  test('by one that heard nothing before the first state of the new key', () => {
    const waiting = withReady(begin(), proof);
    const { state, effects } = told(waiting, from(session, other));
    expect(wanted(effects)).toBe(7);
    expect(state.sessions.get(id)?.state.kind).not.toBe('ended');
  });

  test('by an elder of the new key that has nothing on its disk but the state of it', () => {
    const { state, effects } = told(begin(), from(sessionOf(3), other));
    expect(state.sessions.get(id)?.state.kind).toBeUndefined();
    expect(state.sessions.has(sessionKey(sessionOf(3).id, 0))).toBe(true);
    expect(wanted(effects)).toBe(7);
    const again = told(state, grow(from(sessionOf(3), other)));
    expect(again.state.sessions.size).toBe(1);
    // It may have made a key and a dealing that it forgot: it makes no second.
    const said = effects.flatMap((each) =>
      each.kind === 'persist' && each.fact.kind === 'dkg' ? [each.fact.fact.kind] : [],
    );
    expect(said).toEqual(['ended']);
  });
});

test('N12: an elder of the new key looks for its share also when another one was voted out', () => {
  const made = from(sessionOf(3), dealings);
  const { authority, ledger } = made.state;
  const members = authority.members.filter(({ name }) => !equalBytes(name, peer));
  expect(members.length).toBe(authority.members.length - 1);
  const less = bindLedger({ authority: { ...authority, members }, ledger });
  const { state, effects } = told(begin(), { ...made, state: less });
  const session = state.sessions.get(sessionKey(sessionOf(3).id, 0));
  expect(session?.plan.late).toBe(true);
  expect(session?.plan.fallbackKeys).toEqual(ledger.origin?.sharingKeys);
  expect(sent(effects, 'dkg').length).toBeGreaterThan(0);
});

test('a late elder writes nothing of the key generation that it asks for again after each start', () => {
  const { state } = told(begin(), from(sessionOf(3), dealings));
  const late = sessionKey(sessionOf(3).id, 0);
  expect(state.sessions.get(late)?.plan.late).toBe(true);
  const lost = { kind: 'input', input: { kind: 'lost' } } as const;
  const over = stepSession(config, state, late, lost, context);
  expect(over.state.sessions.get(late)?.state.kind).toBe('ended');
  expect(over.effects.filter(({ kind }) => kind === 'persist')).toEqual([]);
  // One that took part writes down that it is over.
  const partaker = stepSession(config, begin(), id, lost, context);
  expect(partaker.effects.filter(({ kind }) => kind === 'persist')).not.toEqual([]);
});

describe('D11, N18: a key generation that is over', () => {
  /** The key of this session: its elders are the candidates. */
  const first = from(session, dealings);
  const second = only(succeed(first, 'key sessions 2').children);
  const asked: NodePayload = {
    kind: 'dkg',
    session: session.id,
    child: 0,
    message: {
      kind: 'status',
      sessionId: childSessionId(session.id, 0),
      holding: { tick: 1, keys: 0, lists: 0, readiness: [] },
      wants: [],
    },
  };
  /** A candidate that has its share of the key. */
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
  /** The links that a node has read before the state comes. */
  const linksTo = (living: Living): SectionNodeFact => ({
    kind: 'links',
    links: living.chain.map(encodeSuccessor),
  });
  /** Whoever missed the end asks this node for what it holds. */
  const answers = (state: SectionNodeState): number =>
    sent(hear(state, nameToId(peer), asked).effects, 'dkg').length;
  const isHeld = (state: SectionNodeState): boolean => state.sessions.has(id);
  const hasEnded = (effects: readonly Effect<SectionNode>[]): boolean =>
    effects.some(
      (effect) =>
        effect.kind === 'persist' && effect.fact.kind === 'sessionOver' && effect.fact.id === id,
    );

  test('is given up at once when the section under the opening key waits no more', () => {
    const { state, effects } = told(begin(), grow(waitingFor(born, [])));
    expect(hasEnded(effects)).toBe(true);
    expect(isHeld(state)).toBe(false);
  });

  test('is held, without secrets, under the next key, and dropped under the one after', () => {
    const next = told(finished(), first);
    expect(hasEnded(next.effects)).toBe(true);
    expect(next.state.sessions.get(id)?.state.kind).toBe('ended');
    expect(answers(next.state)).toBe(1);
    // A generation of that key changes nothing.
    const later = told(next.state, grow(first)).state;
    expect(later.sessions.get(id)?.state.kind).toBe('ended');
    const last = told(later, second).state;
    expect(equalBytes(last.own?.state.authority.key ?? key, second.state.authority.key)).toBe(true);
    expect(isHeld(last)).toBe(false);
    expect(answers(last)).toBe(0);
  });

  test('of it a node answers after a restart, too, and its secret is off the disk', () => {
    const sealed = encodeSealedState(sealedOf(opened));
    const start = [{ kind: 'sealed', sealed } as const, linksTo(first)];
    const begun = sectionNode.start(config, start, context);
    const persisted = (effects: readonly Effect<SectionNode>[]) =>
      effects.flatMap((each) => (each.kind === 'persist' ? [each.fact] : []));
    const next = told(
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
    const gone = new Set(obsoleteAfter(facts));
    const left = facts.filter((_, at) => !gone.has(at));
    const secret = (each: SectionNodeFact) => each.kind === 'dkg' && each.fact.kind === 'announced';
    expect([facts.some(secret), left.some(secret)]).toEqual([true, false]);
    const { state } = sectionNode.start(config, left, context);
    expect(state.sessions.get(id)?.state.kind).toBe('ended');
  });

  test('at a node that slept through the next key it goes with the second state it hears', () => {
    const { state, effects } = told(begin(linksTo(second)), second);
    expect(hasEnded(effects)).toBe(true);
    expect(isHeld(told(state, grow(second)).state)).toBe(false);
  });
});
