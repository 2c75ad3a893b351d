/**
 * Goal: an elder endorses only joiners that speak for themselves and that it has reached (N40), names
 * that cost nothing shut nobody out, a ticket goes to its owner alone (N38), and a node that was
 * voted out writes that down first.
 * Method: the machine of one elder, or of one member on its way out, stepped by hand.
 */
import { describe, expect, test } from 'vitest';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { compareBytes } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import { actBodyBytes, decodeActBody, type TicketProof } from '#protocol/membership/index.ts';
import { rankJoiners } from '#protocol/node-age/index.ts';
import {
  bindLedger,
  ticketId,
  type Moving,
  type Phase,
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
import { adopt } from '#roles/section-node/knowledge.ts';
import { maxArrivals, opinionsFor } from '#roles/section-node/opinions.ts';
import { createPrng } from '../../sim/prng.ts';
import { found, nameFor, personFor, usualPace, type Person } from '../../sim/section-world.ts';
import { genesis, only, succeed, type Living } from '../section/network.ts';

const prng = createPrng(40);
const founding = found(prng, [...Array<number>(7).fill(7), 6, 6], usualPace, () => '', {
  places: 5,
});
const { anchor, sealed: first } = founding;
const [elder, otherElder] = founding.elders;
const [adult] = founding.people.slice(7);
if (elder === undefined || otherElder === undefined || adult === undefined) {
  throw new Error('seven elders and two adults');
}
const { config } = elder;
const { key, networkId } = first.state.authority;
const context = { now: 0, entropy: new Uint8Array(32) };
const comer = (): Person => personFor(anchor, usualPace, nameFor(prng, 5));

type Step = ReturnType<typeof sectionNode.step>;
const say = (state: SectionNodeState, from: NodeId, payload: NodePayload, by = config): Step => {
  const message = { key, generation: 0n, payload };
  return sectionNode.step(by, state, { kind: 'received', from, message }, context);
};
const tell = (state: SectionNodeState, input: SectionNodeInput, by = config): Step =>
  sectionNode.step(by, state, { kind: 'input', input }, context);
const round = (state: SectionNodeState): Step =>
  sectionNode.step(config, state, { kind: 'timerFired', timer: 'round' }, context);

const joinOf = ({ name, config: { sharingKey } }: Person): NodePayload => ({
  kind: 'join',
  body: actBodyBytes({ kind: 'join', name, sharingKey, ticket: null }),
});
const ask = (state: SectionNodeState, person: Person): Step =>
  say(state, person.id, joinOf(person));
const reach = (state: SectionNodeState, { name }: Person, reachable: boolean): Step =>
  tell(state, { kind: 'reached', name, reachable });

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
/** Who is endorsed to come in. */
const endorsed = ({ effects }: Step): readonly NodeId[] =>
  effects.flatMap((effect) => {
    if (effect.kind !== 'send' || effect.message.payload.kind !== 'endorse') return [];
    const body = decodeActBody(effect.message.payload.body);
    return body.ok && body.value.kind === 'join' ? [nameToId(body.value.name)] : [];
  });

const begin = (person: Person = elder): SectionNodeState => {
  const input = founding.inputs.find(({ to }) => to === person.id)?.input;
  if (input === undefined) throw new Error('a founder is told');
  const blank = sectionNode.start(person.config, [], context).state;
  return person.config === config || input.kind === 'found'
    ? tell(blank, input, person.config).state
    : adopt(person.config, blank, first, 'found', context).state;
};

/** The generation after the first, with another ledger or other members. */
const next = (
  ledger: Partial<SectionState['ledger']>,
  members: readonly SectionMember[] = first.state.authority.members,
): SealedState => {
  const { authority, ledger: before } = first.state;
  const state = bindLedger({
    authority: { ...authority, generation: authority.generation + 1n, members },
    ledger: { ...before, ...ledger },
  });
  return { state, signature: first.signature, chain: [] };
};
const told = (state: SectionNodeState, sealed: SealedState, by: SectionNodeConfig = config) =>
  adopt(by, state, sealed, 'told', context);
const without = (name: XorName): readonly SectionMember[] =>
  first.state.authority.members.filter((member) => compareBytes(member.name, name) !== 0);

describe('N40: a node that asks to come in', () => {
  const person = comer();
  const asked = ask(begin(), person);

  test('is tried once, and not endorsed before it was reached', () => {
    expect(probed(asked)).toEqual([person.id]);
    expect(probed(ask(asked.state, person))).toEqual([]);
    expect(endorsed(round(asked.state))).toEqual([]);
    expect(endorsed(reach(asked.state, person, true))).toEqual([person.id]);
  });

  test('hears that it was not reached, is not endorsed, and is tried when it asks again', () => {
    const missed = reach(asked.state, person, false);
    expect(refusals(missed)).toEqual([{ to: [person.id], reason: 'unreachable' }]);
    expect(endorsed(round(missed.state))).toEqual([]);
    const again = ask(missed.state, person);
    expect(probed(again)).toEqual([person.id]);
    expect(endorsed(reach(again.state, person, true))).toEqual([person.id]);
  });

  test('speaks for itself: who asks for another is blamed, and nobody is tried', () => {
    const step = say(begin(), comer().id, joinOf(person));
    expect(probed(step)).toEqual([]);
    const blamed = step.effects.flatMap((each) => (each.kind === 'blame' ? [each.fault] : []));
    expect(blamed.map(({ kind }) => kind)).toEqual(['malformedJoin']);
    expect(blamed[0]?.culprit).not.toBe(person.id);
  });

  test('hears why it has no chance, and is not tried', () => {
    const full = told(begin(), next({ places: 0 })).state;
    const step = ask(full, person);
    expect(refusals(step)).toEqual([{ to: [person.id], reason: 'noPlaces' }]);
    expect(probed(step)).toEqual([]);
    const old = personFor(anchor, usualPace, nameFor(prng, 6));
    expect(refusals(ask(begin(), old))).toEqual([{ to: [old.id], reason: 'wrongAge' }]);
  });

  test('is no arrival any more once it is a member; others are', () => {
    const other = comer();
    const both = reach(reach(asked.state, person, true).state, other, true).state;
    const waiting = reach(ask(both, other).state, other, true).state;
    const { name } = person;
    const member = { name, joined: 1n, placement: name, sharingKey: person.config.sharingKey };
    const members = [...first.state.authority.members, member].sort((a, b) =>
      compareBytes(a.name, b.name),
    );
    const { state } = told(waiting, next({}, members));
    expect(opinionsFor(state).joiners.map((each) => nameToId(each.name))).toEqual([other.id]);
  });

  test('gets the state when it is a member already and does not know', () => {
    const later = told(begin(), next({})).state;
    const kinds = ask(later, adult).effects.flatMap((each) =>
      each.kind === 'send' ? [each.message.payload.kind] : [],
    );
    expect(kinds).toEqual(['update']);
  });
});

describe('N40: more names than are remembered', () => {
  const crowd = Array.from({ length: maxArrivals }, comer);
  const late = comer();
  const asked = crowd.reduce((state, each) => ask(state, each).state, begin());

  test('of those that were reached whoever ranks last gives way, and nobody to who ranks after', () => {
    const { churnId } = first.state.ledger;
    const reached = crowd.reduce((state, each) => reach(state, each, true).state, asked);
    const latecomers = Array.from({ length: 400 }, comer);
    const lastWith = ({ name }: Person): string => {
      const [last] = rankJoiners([...crowd.map((each) => each.name), name], churnId).slice(-1);
      return last === undefined ? '' : nameToId(last);
    };
    const ahead = latecomers.find((each) => lastWith(each) !== each.id);
    const behind = latecomers.find((each) => lastWith(each) === each.id);
    if (ahead === undefined || behind === undefined) throw new Error('among 400 there are both');
    const refused = ask(reached, behind);
    expect(probed(refused)).toEqual([]);
    expect(refused.state).toBe(reached);
    const taken = ask(reached, ahead);
    expect(probed(taken)).toEqual([ahead.id]);
    const { arrivals } = taken.state.opinions;
    expect(arrivals.size).toBe(maxArrivals);
    expect(arrivals.has(lastWith(ahead))).toBe(false);
  });

  test('who could not be reached gives way to who asks now', () => {
    const [liar, ...others] = crowd;
    if (liar === undefined) throw new Error('a crowd');
    const step = ask(reach(asked, liar, false).state, late);
    expect(probed(step)).toEqual([late.id]);
    expect([...step.state.opinions.arrivals.keys()]).toEqual([...others, late].map(({ id }) => id));
    expect(endorsed(reach(step.state, late, true))).toEqual([late.id]);
  });
});

test('N38: how often the source of a ticket has handed over since is counted, of no ticket it is none', () => {
  const source = genesis('arrivals source', 3);
  let newest: Living = source;
  for (let n = 0; n < 3; n++) newest = only(succeed(newest, `arrivals ${n}`).children);
  const { state, chain } = newest;
  const own: SealedState = { state, signature: new Uint8Array(48), chain };
  const { config: knowing } = personFor(source.anchor, usualPace, nameFor(prng, 5));
  const blank = sectionNode.start(knowing, [], context).state;
  const known = adopt(knowing, blank, own, 'told', context).state;
  const { name } = comer();
  const ticket = (sourceKey: Uint8Array): TicketProof => ({
    moving: { name, age: 6, destination: name, generation: 1n, reason: 'reward' },
    ...{ sourceKey, sourceEpoch: 0n, signature: new Uint8Array(48) },
    nameSignature: new Uint8Array(64),
  });
  const successors = (held: TicketProof | null): readonly number[] => {
    const arrival = { name, sharingKey: new Uint8Array(32), ticket: held, reachable: true };
    const arrivals = new Map([[nameToId(name), arrival]]);
    return opinionsFor({ ...known, opinions: { ...known.opinions, arrivals } }).joiners.map(
      ({ sourceSuccessors }) => sourceSuccessors,
    );
  };
  expect(successors(ticket(source.anchor.genesisKey))).toEqual([3]);
  expect(successors(ticket(newest.state.authority.key))).toEqual([0]);
  expect(successors(null)).toEqual([0]);
});

test('N39: a joiner tells its person each reason once', () => {
  const person = comer();
  const blank = sectionNode.start(person.config, [], context).state;
  const joining = tell(blank, { kind: 'join', ticket: null }, person.config).state;
  const refuse = (state: SectionNodeState, reason: 'noPlaces' | 'unreachable'): Step =>
    say(state, elder.id, { kind: 'joinRefused', reason }, person.config);
  const reasons = ({ effects }: Step) =>
    outputs(effects).flatMap((output) => (output.kind === 'refused' ? [output.reason] : []));
  const one = refuse(joining, 'noPlaces');
  expect(reasons(one)).toEqual(['noPlaces']);
  const two = refuse(one.state, 'noPlaces');
  expect(reasons(two)).toEqual([]);
  expect(reasons(refuse(two.state, 'unreachable'))).toEqual(['unreachable']);
  expect(reasons(refuse(blank, 'noPlaces'))).toEqual([]);
});

test('N10: that it wants to come in is on disk before a node asks', () => {
  const person = comer();
  const known = sectionNode.start(person.config, [], context).state;
  const { effects } = tell(
    adopt(person.config, known, first, 'told', context).state,
    { kind: 'join', ticket: null },
    person.config,
  );
  expect(effects[0]).toEqual({ kind: 'persist', fact: { kind: 'joining', ticket: null } });
  expect(effects.slice(1).map(({ kind }) => kind)).toEqual(['send']);
});

test('N29: a member that was voted out writes it down before it is said, once', () => {
  const out = told(begin(adult), next({}, without(adult.name)), adult.config);
  const kinds = out.effects.flatMap((effect) => {
    if (effect.kind === 'persist') return [`persist ${effect.fact.kind}`];
    return effect.kind === 'output' ? [effect.output.kind] : [];
  });
  expect(kinds.filter((kind) => kind.includes('removed'))).toEqual(['persist removed', 'removed']);
});

describe('N38: the ticket of a member that moves', () => {
  const moving: Moving = {
    name: adult.name,
    age: 7,
    destination: nameFor(prng, 7),
    generation: 1n,
    reason: 'reward',
  };
  const moved = next({ moving: [moving] }, without(adult.name));
  const ticket = ticketId(networkId, moving);
  const elders = told(begin(), moved).state;
  const signs = (state: SectionNodeState, from: NodeId, id: Uint8Array): boolean =>
    say(state, from, { kind: 'askTicket', ticket: id }).effects.some(
      (effect) => effect.kind === 'compute' && effect.job.kind === 'sign',
    );

  test('an elder signs it for its owner, and for nobody else', () => {
    expect(signs(elders, adult.id, ticket)).toBe(true);
    expect(signs(elders, comer().id, ticket)).toBe(false);
    expect(signs(elders, adult.id, new Uint8Array(32))).toBe(false);
    expect(signs(told(begin(), next({ moving: [moving] })).state, adult.id, ticket)).toBe(false);
  });

  test('N22: it signs none once its key comes to an end', () => {
    const { phase } = succeed(genesis('arrivals', 3), 'heir').sealed.ledger;
    if (phase.kind === 'open') throw new Error('a sealed set');
    const { charters, lists } = phase;
    const closing: Phase = { kind: 'closing', sessionId: new Uint8Array(32), charters, lists };
    const ends = next({ moving: [moving], phase: closing }, without(adult.name));
    expect(signs(told(begin(), ends).state, adult.id, ticket)).toBe(false);
  });

  const mover = told(begin(adult), moved, adult.config).state;
  const give = (state: SectionNodeState, from: NodeId, fill: number): Step => {
    const signature = new Uint8Array(48).fill(fill);
    return say(state, from, { kind: 'ticketShare', signature }, adult.config);
  };

  test('its owner takes one share of each elder, and none of anybody else', () => {
    const strangers = [comer().id, founding.people[8]?.id ?? '', adult.id];
    const lied = strangers.reduce((state, from) => give(state, from, 9).state, mover);
    expect(lied.moving?.collector.shares.size).toBe(0);
    const twice = give(give(lied, elder.id, 1).state, elder.id, 2).state;
    expect([...(twice.moving?.collector.shares.values() ?? [])]).toEqual([
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

  test('it moves once, however often the ticket is made', () => {
    const result = { kind: 'combined', signature: new Uint8Array(48).fill(3) } as const;
    const event = { kind: 'computed', id: 'ticket/combine', result } as const;
    const one = sectionNode.step(adult.config, mover, event, context);
    const two = sectionNode.step(adult.config, one.state, event, context);
    const moves = ({ effects }: Step) => outputs(effects).filter(({ kind }) => kind === 'relocate');
    expect(moves(one)).toMatchObject([{ moving, sourceKey: key, sourceEpoch: 0n }]);
    expect(moves(two)).toEqual([]);
  });
});
