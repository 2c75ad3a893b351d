/**
 * Goal: what the elders hear of a key generation outlives a generation of the section, a ready
 * candidate says it again (N13), and an ended key generation is answered for under the key it made
 * and under no later one (D11, N18).
 * Method: the machine of one elder that is a candidate too, with states of a made-up network.
 */
import { describe, expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { childSessionId, type DealingList } from '#protocol/dkg/index.ts';
import type { ReadyProof } from '#protocol/membership/index.ts';
import {
  bindLedger,
  encodeSealedState,
  encodeSuccessor,
  type DkgSession,
  type SealedState,
} from '#protocol/section/index.ts';
import {
  sectionNode,
  type NodePayload,
  type SectionNode,
  type SectionNodeFact,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { adopt } from '#roles/section-node/knowledge.ts';
import { sessionKey } from '#roles/section-node/session-key.ts';
import { personFor, usualPace } from '../../sim/section-world.ts';
import { genesis, grow, only, sign, succeed, type Living } from '../section/network.ts';

const context = { now: 0, entropy: new Uint8Array(32) };
const born = genesis('key sessions', 6);
const { prefix, elders, key } = born.state.authority;
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
    const { charters } = phase;
    const chosen = { kind: 'closing', sessionId: session.id, charters } as const;
    const closing = bindLedger({ authority, ledger: { ...ledger, phase: chosen } });
    const { state } = told(waiting, { ...born, state: closing });
    expect(state.sessions.has(id)).toBe(true);
    expect(sent(round(state).effects, 'ready')).toEqual([]);
  });
});

describe('D11, N18: a key generation that is over', () => {
  const first = only(succeed(born, 'key sessions 1').children);
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
    const next = told(begin(), first);
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

  test('at a node that slept through the next key it goes with the second state it hears', () => {
    const { state, effects } = told(begin(linksTo(second)), second);
    expect(hasEnded(effects)).toBe(true);
    expect(isHeld(told(state, grow(second)).state)).toBe(false);
  });
});
