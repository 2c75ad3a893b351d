/**
 * Goal: an elder endorses only joiners that send their own request and that it reached (N40), free names
 * exclude no joiner, a relocation certificate goes only to its owner (N38), and a voted-out node persists
 * that first.
 * Method: the machine of one elder, or of one relocating member, stepped by hand.
 */
import { describe, expect, test } from 'vitest';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { compareBytes } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import {
  actBodyBytes,
  decodeActBody,
  type RelocationCertificate,
} from '#protocol/membership/index.ts';
import { rankJoiners } from '#protocol/node-age/index.ts';
import {
  withLedgerRoot,
  relocationId,
  type RelocationDetails,
  type KeyPhase,
  type SealedState,
  type SectionMember,
  type SectionState,
} from '#protocol/section/index.ts';
import {
  sectionNode,
  type NodePayload,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeInput,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { adoptState } from '#roles/section-node/catch-up/adopt-state.ts';
import { maxJoinRequests } from '#roles/section-node/joining/join-requests.ts';
import { observationsFor } from '#roles/section-node/observations/local-observations.ts';
import { createPrng } from '../../../sim/prng.ts';
import {
  foundSection,
  nameFor,
  simNodeFor,
  usualSectionPace,
  type SimNode,
} from '../../../sim/section/section-world.ts';
import { genesis, only, succeed, type TestSection } from '../../section/network.ts';

const prng = createPrng(40);
const founding = foundSection(
  prng,
  [...Array<number>(7).fill(7), 6, 6],
  usualSectionPace,
  () => '',
  {
    vacancies: 5,
  },
);
const { anchor, sealed: first } = founding;
const [elder, otherElder] = founding.elders;
const [adult] = founding.simNodes.slice(7);
if (elder === undefined || otherElder === undefined || adult === undefined) {
  throw new Error('seven elders and two adults');
}
const { config } = elder;
const { key, networkId } = first.state.authority;
const context = { now: 0, entropy: new Uint8Array(32) };
const newcomer = (): SimNode => simNodeFor(anchor, usualSectionPace, nameFor(prng, 5));

type Step = ReturnType<typeof sectionNode.step>;
const receive = (
  state: SectionNodeState,
  from: NodeId,
  payload: NodePayload,
  by = config,
): Step => {
  const message = { key, generation: 0n, payload };
  return sectionNode.step(by, state, { kind: 'received', from, message }, context);
};
const giveInput = (state: SectionNodeState, input: SectionNodeInput, by = config): Step =>
  sectionNode.step(by, state, { kind: 'input', input }, context);
const fireRoundTimer = (state: SectionNodeState): Step =>
  sectionNode.step(config, state, { kind: 'timerFired', timer: { kind: 'pingRound' } }, context);

const joinOf = ({ name, config: { sharingKey } }: SimNode): NodePayload => ({
  kind: 'join',
  body: actBodyBytes({ kind: 'join', name, sharingKey, certificate: null }),
});
const requestToJoin = (state: SectionNodeState, person: SimNode): Step =>
  receive(state, person.id, joinOf(person));
const reportReachable = (state: SectionNodeState, { name }: SimNode, reachable: boolean): Step =>
  giveInput(state, { kind: 'reached', name, reachable });

const outputs = (effects: readonly Effect<SectionNode>[]) =>
  effects.flatMap((effect) => (effect.kind === 'output' ? [effect.output] : []));
const probed = ({ effects }: Step): readonly NodeId[] =>
  outputs(effects).flatMap((output) => (output.kind === 'probe' ? [nameToId(output.name)] : []));
const refusals = ({ effects }: Step) =>
  effects.flatMap((effect) =>
    effect.kind === 'send' && effect.message.payload.kind === 'joinRefused'
      ? [{ to: effect.to, reason: effect.message.payload.reason }]
      : [],
  );
/** Names whose join act is endorsed. */
const endorsed = ({ effects }: Step): readonly NodeId[] =>
  effects.flatMap((effect) => {
    if (effect.kind !== 'send' || effect.message.payload.kind !== 'endorse') return [];
    const body = decodeActBody(effect.message.payload.body);
    return body.ok && body.value.kind === 'join' ? [nameToId(body.value.name)] : [];
  });

const begin = (person: SimNode = elder): SectionNodeState => {
  const input = founding.inputs.find(({ to }) => to === person.id)?.input;
  if (input === undefined) throw new Error('a founder has an input');
  const blank = sectionNode.start(person.config, [], context).state;
  return person.config === config || input.kind === 'startAsFounder'
    ? giveInput(blank, input, person.config).state
    : adoptState(person.config, blank, first, 'loaded', context).state;
};

/** The second generation, with another ledger or other members. */
const next = (
  ledger: Partial<SectionState['ledger']>,
  members: readonly SectionMember[] = first.state.authority.members,
): SealedState => {
  const { authority, ledger: before } = first.state;
  const state = withLedgerRoot({
    authority: { ...authority, generation: authority.generation + 1n, members },
    ledger: { ...before, ...ledger },
  });
  return { state, signature: first.signature, chain: [] };
};
const adoptNext = (state: SectionNodeState, sealed: SealedState, by: SectionNodeConfig = config) =>
  adoptState(by, state, sealed, 'received', context);
const without = (name: XorName): readonly SectionMember[] =>
  first.state.authority.members.filter((member) => compareBytes(member.name, name) !== 0);

describe('N40: a joining node', () => {
  const person = newcomer();
  const asked = requestToJoin(begin(), person);

  test('is probed once, and not endorsed before it was reached', () => {
    expect(probed(asked)).toEqual([person.id]);
    expect(probed(requestToJoin(asked.state, person))).toEqual([]);
    expect(endorsed(fireRoundTimer(asked.state))).toEqual([]);
    expect(endorsed(reportReachable(asked.state, person, true))).toEqual([person.id]);
  });

  test('not reached → refused, not endorsed, and probed again on its next request', () => {
    const missed = reportReachable(asked.state, person, false);
    expect(refusals(missed)).toEqual([{ to: [person.id], reason: 'unreachable' }]);
    expect(endorsed(fireRoundTimer(missed.state))).toEqual([]);
    const again = requestToJoin(missed.state, person);
    expect(probed(again)).toEqual([person.id]);
    expect(endorsed(reportReachable(again.state, person, true))).toEqual([person.id]);
  });

  test('a join request for another name is blamed and not probed', () => {
    const step = receive(begin(), newcomer().id, joinOf(person));
    expect(probed(step)).toEqual([]);
    const blamed = step.effects.flatMap((each) => (each.kind === 'blame' ? [each.fault] : []));
    expect(blamed.map(({ kind }) => kind)).toEqual(['malformedJoin']);
    expect(blamed[0]?.culprit).not.toBe(person.id);
  });

  test('a request that breaks a rule → the reason, and no probe', () => {
    const full = adoptNext(begin(), next({ vacancies: 0 })).state;
    const step = requestToJoin(full, person);
    expect(refusals(step)).toEqual([{ to: [person.id], reason: 'noVacancy' }]);
    expect(probed(step)).toEqual([]);
    const old = simNodeFor(anchor, usualSectionPace, nameFor(prng, 6));
    expect(refusals(requestToJoin(begin(), old))).toEqual([{ to: [old.id], reason: 'wrongAge' }]);
  });

  test('its request is removed once it is a member; others stay', () => {
    const other = newcomer();
    const both = reportReachable(
      reportReachable(asked.state, person, true).state,
      other,
      true,
    ).state;
    const waiting = reportReachable(requestToJoin(both, other).state, other, true).state;
    const { name } = person;
    const member = { name, joined: 1n, placement: name, sharingKey: person.config.sharingKey };
    const members = [...first.state.authority.members, member].sort((a, b) =>
      compareBytes(a.name, b.name),
    );
    const { state } = adoptNext(waiting, next({}, members));
    expect(observationsFor(state).joiners.map((each) => nameToId(each.name))).toEqual([other.id]);
  });

  test('already a member → it is sent the state', () => {
    const later = adoptNext(begin(), next({})).state;
    const kinds = requestToJoin(later, adult).effects.flatMap((each) =>
      each.kind === 'send' ? [each.message.payload.kind] : [],
    );
    expect(kinds).toEqual(['update']);
  });
});

describe('N40: more join requests than are kept', () => {
  const crowd = Array.from({ length: maxJoinRequests }, newcomer);
  const late = newcomer();
  const asked = crowd.reduce((state, each) => requestToJoin(state, each).state, begin());

  test('the lowest-ranked reachable joiner is evicted, only for a better one', () => {
    const { churnId } = first.state.ledger;
    const reached = crowd.reduce((state, each) => reportReachable(state, each, true).state, asked);
    const latecomers = Array.from({ length: 400 }, newcomer);
    const lastWith = ({ name }: SimNode): string => {
      const [last] = rankJoiners([...crowd.map((each) => each.name), name], churnId).slice(-1);
      return last === undefined ? '' : nameToId(last);
    };
    const ahead = latecomers.find((each) => lastWith(each) !== each.id);
    const behind = latecomers.find((each) => lastWith(each) === each.id);
    if (ahead === undefined || behind === undefined) throw new Error('among 400 there are both');
    const refused = requestToJoin(reached, behind);
    expect(probed(refused)).toEqual([]);
    expect(refused.state).toBe(reached);
    const taken = requestToJoin(reached, ahead);
    expect(probed(taken)).toEqual([ahead.id]);
    const { joinRequests } = taken.state.observations;
    expect(joinRequests.size).toBe(maxJoinRequests);
    expect(joinRequests.has(lastWith(ahead))).toBe(false);
  });

  test('an unreachable joiner is evicted for a new request', () => {
    const [liar, ...others] = crowd;
    if (liar === undefined) throw new Error('a crowd');
    const step = requestToJoin(reportReachable(asked, liar, false).state, late);
    expect(probed(step)).toEqual([late.id]);
    expect([...step.state.observations.joinRequests.keys()]).toEqual(
      [...others, late].map(({ id }) => id),
    );
    expect(endorsed(reportReachable(step.state, late, true))).toEqual([late.id]);
  });
});

test('N38: counts the handovers of a certificate’s source key; none without a certificate', () => {
  const source = genesis('arrivals source', 3);
  let newest: TestSection = source;
  for (let n = 0; n < 3; n++) newest = only(succeed(newest, `arrivals ${n}`).children);
  const { state, chain } = newest;
  const own: SealedState = { state, signature: new Uint8Array(48), chain };
  const { config: knowing } = simNodeFor(source.anchor, usualSectionPace, nameFor(prng, 5));
  const blank = sectionNode.start(knowing, [], context).state;
  const known = adoptState(knowing, blank, own, 'received', context).state;
  const { name } = newcomer();
  const ticket = (sourceKey: Uint8Array): RelocationCertificate => ({
    relocation: { name, age: 6, destination: name, generation: 1n, reason: 'reward' },
    ...{ sourceKey, sourceEpoch: 0n, signature: new Uint8Array(48) },
    nameSignature: new Uint8Array(64),
  });
  const successors = (held: RelocationCertificate | null): readonly number[] => {
    const request = { name, sharingKey: new Uint8Array(32), certificate: held, reachable: true };
    const joinRequests = new Map([[nameToId(name), request]]);
    return observationsFor({
      ...known,
      observations: { ...known.observations, joinRequests },
    }).joiners.map(({ sourceHandovers }) => sourceHandovers);
  };
  expect(successors(ticket(source.anchor.genesisKey))).toEqual([3]);
  expect(successors(ticket(newest.state.authority.key))).toEqual([0]);
  expect(successors(null)).toEqual([0]);
});

test('N39: a joining node outputs each refusal reason once', () => {
  const person = newcomer();
  const blank = sectionNode.start(person.config, [], context).state;
  const joining = giveInput(blank, { kind: 'join', certificate: null }, person.config).state;
  const refuse = (state: SectionNodeState, reason: 'noVacancy' | 'unreachable'): Step =>
    receive(state, elder.id, { kind: 'joinRefused', reason }, person.config);
  const reasons = ({ effects }: Step) =>
    outputs(effects).flatMap((output) => (output.kind === 'refused' ? [output.reason] : []));
  const one = refuse(joining, 'noVacancy');
  expect(reasons(one)).toEqual(['noVacancy']);
  const two = refuse(one.state, 'noVacancy');
  expect(reasons(two)).toEqual([]);
  expect(reasons(refuse(two.state, 'unreachable'))).toEqual(['unreachable']);
  expect(reasons(refuse(blank, 'noVacancy'))).toEqual([]);
});

test('N10: `joining` is persisted before the first join request', () => {
  const person = newcomer();
  const known = sectionNode.start(person.config, [], context).state;
  const { effects } = giveInput(
    adoptState(person.config, known, first, 'received', context).state,
    { kind: 'join', certificate: null },
    person.config,
  );
  expect(effects[0]).toEqual({ kind: 'persist', fact: { kind: 'joining', certificate: null } });
  expect(effects.slice(1).map(({ kind }) => kind)).toEqual(['send']);
});

test('N29: a voted-out member persists `removed` before it outputs it, once', () => {
  const out = adoptNext(begin(adult), next({}, without(adult.name)), adult.config);
  const kinds = out.effects.flatMap((effect) => {
    if (effect.kind === 'persist') return [`persist ${effect.fact.kind}`];
    return effect.kind === 'output' ? [effect.output.kind] : [];
  });
  expect(kinds.filter((kind) => kind.includes('removed'))).toEqual(['persist removed', 'removed']);
});

describe('N38: the relocation certificate of a member', () => {
  const moving: RelocationDetails = {
    name: adult.name,
    age: 7,
    destination: nameFor(prng, 7),
    generation: 1n,
    reason: 'reward',
  };
  const moved = next({ relocating: [moving] }, without(adult.name));
  const ticket = relocationId(networkId, moving);
  const elders = adoptNext(begin(), moved).state;
  const signs = (state: SectionNodeState, from: NodeId, id: Uint8Array): boolean =>
    receive(state, from, { kind: 'requestCertificateShare', certificateId: id }).effects.some(
      (effect) => effect.kind === 'compute' && effect.job.kind === 'sign',
    );

  test('an elder signs it only for its owner', () => {
    expect(signs(elders, adult.id, ticket)).toBe(true);
    expect(signs(elders, newcomer().id, ticket)).toBe(false);
    expect(signs(elders, adult.id, new Uint8Array(32))).toBe(false);
    expect(signs(adoptNext(begin(), next({ relocating: [moving] })).state, adult.id, ticket)).toBe(
      false,
    );
  });

  test('N22: an elder signs none once its key is closing', () => {
    const { phase } = succeed(genesis('arrivals', 3), 'next key').sealed.ledger;
    if (phase.kind === 'open') throw new Error('a sealed set');
    const { charters, lists } = phase;
    const closing: KeyPhase = { kind: 'closing', sessionId: new Uint8Array(32), charters, lists };
    const ends = next({ relocating: [moving], phase: closing }, without(adult.name));
    expect(signs(adoptNext(begin(), ends).state, adult.id, ticket)).toBe(false);
  });

  const relocating = adoptNext(begin(adult), moved, adult.config).state;
  const give = (state: SectionNodeState, from: NodeId, fill: number): Step => {
    const signature = new Uint8Array(48).fill(fill);
    return receive(state, from, { kind: 'certificateShare', signature }, adult.config);
  };

  test('its owner accepts one share per elder, and none from other nodes', () => {
    const nonElders = [newcomer().id, founding.simNodes[8]?.id ?? '', adult.id];
    const lied = nonElders.reduce((state, from) => give(state, from, 9).state, relocating);
    expect(lied.relocation?.collector.shares.size).toBe(0);
    const twice = give(give(lied, elder.id, 1).state, elder.id, 2).state;
    expect([...(twice.relocation?.collector.shares.values() ?? [])]).toEqual([
      new Uint8Array(48).fill(1),
    ]);
    const combines = (step: Step): boolean => step.effects.some(({ kind }) => kind === 'compute');
    let state = lied;
    const steps = founding.elders.map(({ id }) => {
      const step = give(state, id, 1);
      state = step.state;
      return combines(step);
    });
    expect(steps).toEqual([false, false, false, false, true, false, false]);
  });

  test('a share under the former key neither counts nor rejects its elder', () => {
    const payload = { kind: 'certificateShare', signature: new Uint8Array(48).fill(1) } as const;
    const message = { key: new Uint8Array(96).fill(9), generation: 0n, payload };
    const event = { kind: 'received', from: elder.id, message } as const;
    const { state } = sectionNode.step(adult.config, relocating, event, context);
    expect(state.relocation?.collector.shares.size).toBe(0);
    expect(give(state, elder.id, 1).state.relocation?.collector.shares.size).toBe(1);
  });

  test('completed twice → it relocates once', () => {
    const result = { kind: 'combined', signature: new Uint8Array(48).fill(3) } as const;
    const event = { kind: 'computed', id: { kind: 'combineCertificate' }, result } as const;
    const one = sectionNode.step(adult.config, relocating, event, context);
    const two = sectionNode.step(adult.config, one.state, event, context);
    const moves = ({ effects }: Step) => outputs(effects).filter(({ kind }) => kind === 'relocate');
    expect(moves(one)).toMatchObject([{ details: moving, sourceKey: key, sourceEpoch: 0n }]);
    expect(moves(two)).toEqual([]);
  });
});
