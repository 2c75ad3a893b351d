/**
 * Liars who say whatever a codec lets through: made by shape, or real messages with a part exchanged,
 * doubled, replayed, in another's place, at any time. They know what their friends among the members
 * have heard, and no rule of any protocol.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import type { NodeId } from '#core/machine.ts';
import { encodeSealedState } from '#protocol/section/index.ts';
import { decodeNodePayload, encodeNodePayload, nodePayloadShape } from '#roles/wire/section.ts';
import type { NodeMessage, NodePayload, SectionNodeState } from '#roles/section-node/index.ts';
import { createPrng, type Prng } from '../prng.ts';
import type { SectionMachine } from '../section-check.ts';
import type { Person, SectionApi, Story } from '../section-world.ts';
import { actKinds, contents, fillings, noteAct, sealedShape } from './fillings.ts';
import { caseOf, makeCase, mutate, type Making } from './make.ts';
import { createSeen } from './seen.ts';
import { speak, type Inventions, type Speaker } from './speak.ts';

export interface AdversaryPlan {
  /** Members that lie: their machine is the honest one, their words are changed and more are said. */
  readonly liars: readonly Person[];
  /** Names that nobody knows, as many as it likes. */
  readonly strangers: readonly Person[];
  /** A volley every so many milliseconds. */
  readonly everyMs: number;
  /** How likely an own message is changed on its way out, for each receiver alone. */
  readonly changed: number;
  /** Kinds that this run is about, in bursts; without it chance chooses them. */
  readonly about?: readonly string[];
}

export interface Told {
  /** By kind of payload. */
  readonly kinds: Map<string, number>;
}

type Kind = NodePayload['kind'];
const outline = nodePayloadShape.outline;
/** Every kind there is: read off the codec. */
export const payloadKinds: readonly Kind[] =
  outline?.kind === 'union' ? (Object.keys(outline.cases) as Kind[]) : [];

/** Real messages of one kind that are kept to be repeated. */
const keptPerKind = 24;

/** Nothing, some kinds, or all. */
function withheldBy(prng: Prng): readonly Kind[] {
  const much = prng.pick([0, 0.3, 1]);
  return payloadKinds.filter(() => prng.chance(much));
}

/** Two kinds of message, and of each thing inside that has kinds one: what this run is about. */
function favouritesFor(prng: Prng): ReadonlySet<string> {
  const inner = Object.values(contents).flatMap(({ outline: own }) =>
    own?.kind === 'union' ? [prng.pick(Object.keys(own.cases))] : [],
  );
  return new Set([prng.pick(payloadKinds), prng.pick(payloadKinds), prng.pick(actKinds), ...inner]);
}

/** A key generation is open, or a key comes to its end: moments in which little decides much. */
const isTurning = ({ own, desk }: SectionNodeState): boolean =>
  desk !== null &&
  own !== null &&
  (own.state.ledger.sessions.length > 0 || own.state.ledger.phase.kind !== 'open');

/** The messages of which most depends in these states. */
function timelyKinds(elders: readonly SectionNodeState[]): readonly Kind[] {
  const ledgers = elders.flatMap(({ own }) => (own === null ? [] : [own.state.ledger]));
  if (ledgers.some(({ phase }) => phase.kind !== 'open')) return ['agreement', 'handover'];
  return ledgers.some(({ sessions }) => sessions.length > 0) ? ['ready', 'dkg', 'agreement'] : [];
}

/** The story with these liars and strangers in it. */
export function withAdversary(
  story: Story,
  plan: AdversaryPlan,
  seed: number,
): { readonly story: Story; readonly told: Told } {
  const prng = createPrng(seed ^ 0xadd);
  const seen = createSeen(createPrng(seed ^ 0x5ee), contents);
  const making: Making = {
    prng,
    seen,
    contents,
    fillings,
    most: { items: 16, bytes: 512 },
    favoured: plan.about === undefined ? favouritesFor(prng) : new Set(plan.about),
  };
  const manners = {
    /** How often many of one kind are said at once. */
    burst: plan.about === undefined ? prng.pick([0.02, 0.15, 0.5]) : 0.5,
    /** How often what was really said is the beginning of a lie. */
    real: prng.pick([0.3, 0.75]),
    strangers: prng.pick([0, 1, 4]),
    /** What liars never say as their machine would: else they help out where honest ones are stuck. */
    withheld: new Set(withheldBy(prng)),
    /** How often the lies are about what is going on in the section just now. */
    timely: prng.pick([0, 0.5, 0.9]),
    /** Do they tell two stories, one to each half? */
    twoStories: prng.chance(0.5),
  };
  const inventions: Inventions = { acts: [], dealings: [] };
  /** What some of the honest are told and the others are not, the whole run long. */
  const confidants = new Set<NodeId>();
  const others = new Set<NodeId>();
  const isConfidant = (id: NodeId): boolean => {
    if (!confidants.has(id) && !others.has(id)) (prng.chance(0.5) ? confidants : others).add(id);
    return confidants.has(id);
  };
  const heard = new Map<string, unknown[]>();
  const told: Told = { kinds: new Map() };
  const states = new Map<NodeId, SectionNodeState>();
  const inside = new Map(plan.liars.map((person) => [person.id, person]));
  let nextAtMs = 200;

  /** What a friend inside hears and says is known to all of them. */
  function listen(payload: NodePayload): void {
    const decoded = decodeCbor(encodeNodePayload(payload));
    if (!decoded.ok) return;
    seen.note(nodePayloadShape, decoded.value);
    if (payload.kind === 'agreement') {
      const { message } = payload;
      const acts = message.kind === 'vote' || message.kind === 'proposals' ? message.proposals : [];
      for (const act of acts) noteAct(making, act);
    }
    const items = heard.get(payload.kind) ?? [];
    heard.set(payload.kind, items);
    if (items.length < keptPerKind) items.push(decoded.value);
    else items[prng.below(keptPerKind)] = decoded.value;
  }

  function speakerOf(person: Person): Speaker | undefined {
    const known = states.get(person.id) ?? [...states.values()].find(({ own }) => own !== null);
    if (known?.own === null || known === undefined) return undefined;
    const elder = known.own.state.authority.elders.find(({ name }) =>
      equalBytes(name, person.name),
    );
    return { person, state: known, own: known.own, index: elder?.index ?? 0 };
  }

  /** One payload that its codec takes; undefined when chance made none. */
  function invent(person: Person, kind: Kind): NodePayload | undefined {
    const real = heard.get(kind) ?? [];
    let wire: unknown =
      real.length > 0 && prng.chance(manners.real)
        ? prng.pick(real)
        : makeCase(making, nodePayloadShape, kind);
    const times = real.length === 0 ? 0 : prng.pick([0, 1, 1, 2, 4]);
    for (let n = 0; n < times; n++) wire = mutate(making, nodePayloadShape, wire);
    const decoded = decodeNodePayload(encodeCbor(wire));
    if (!decoded.ok) return undefined;
    const speaker = speakerOf(person);
    return speaker === undefined || prng.chance(0.3)
      ? decoded.value
      : speak(decoded.value, speaker, making, inventions);
  }

  function headerFor(speaker: Speaker | undefined): Omit<NodeMessage, 'payload'> {
    const authority = speaker?.own.state.authority;
    const key = authority?.key ?? new Uint8Array(96);
    const generation = authority?.generation ?? 0n;
    switch (prng.below(12)) {
      case 0:
        return { key: seen.ofLength(prng, 96) ?? key, generation };
      case 1:
        return { key, generation: BigInt(prng.below(20)) };
      case 2:
        return { key: new Uint8Array(96), generation: 0n };
      default:
        return { key, generation };
    }
  }

  const isSpeaking = (api: SectionApi, person: Person): boolean =>
    !inside.has(person.id) || api.nodes().some(({ id, stopped }) => id === person.id && !stopped);

  /** Most of it is one message to one; now and then many of a kind, to all or to some. */
  function volley(api: SectionApi): void {
    const isStranger = prng.below(4) < manners.strangers;
    const person = prng.pick(isStranger ? plan.strangers : plan.liars);
    if (!isSpeaking(api, person)) return;
    const targets = api.nodes().filter(({ honest, up, stopped }) => honest && up && !stopped);
    if (targets.length === 0) return;
    const elders = targets.filter(({ state }) => state.desk !== null);
    const pool = elders.length > 0 && prng.chance(0.8) ? elders : targets;
    const some = pool.filter(({ id }) => (manners.twoStories ? isConfidant(id) : prng.chance(0.5)));
    const one = [prng.pick(pool)];
    const to = prng.pick([pool, some.length === 0 ? one : some, one]).map(({ id }) => id);
    const going = prng.chance(manners.timely) ? timelyKinds(elders.map(({ state }) => state)) : [];
    const kind = going.length > 0 ? prng.pick(going) : caseOf(making, payloadKinds);
    const count = prng.chance(manners.burst) ? 24 : 1 + prng.below(3);
    for (let n = 0; n < count; n++) {
      const payload = invent(person, kind);
      if (payload === undefined) continue;
      told.kinds.set(kind, (told.kinds.get(kind) ?? 0) + 1);
      const copies = prng.chance(0.1) ? 2 : 1;
      const message = { ...headerFor(speakerOf(person)), payload };
      for (let copy = 0; copy < copies; copy++)
        for (const id of to) api.send(person.id, id, message);
      if (kind === 'agreement') citedBy(person, payload, to, api);
    }
  }

  /** Whoever cites something may be asked for it: it is there, or something else is. */
  function citedBy(
    person: Person,
    payload: NodePayload,
    to: readonly NodeId[],
    api: SectionApi,
  ): void {
    if (payload.kind !== 'agreement' || inventions.acts.length === 0 || prng.chance(0.3)) return;
    const { generation } = payload;
    const proposals = inventions.acts.slice(-16);
    const message = { kind: 'proposals', generation, proposals } as const;
    const cited = { ...headerFor(speakerOf(person)), payload: { ...payload, message } };
    for (const id of to) api.send(person.id, id, cited);
  }

  /** What a liar says of itself, changed for this receiver alone. */
  function changedFor(person: Person, message: NodeMessage, chance: Prng): readonly NodeMessage[] {
    listen(message.payload);
    if (manners.withheld.has(message.payload.kind)) return [];
    if (!chance.chance(plan.changed)) return [message];
    const decoded = decodeCbor(encodeNodePayload(message.payload));
    if (!decoded.ok || chance.chance(0.2)) return [];
    const made = decodeNodePayload(encodeCbor(mutate(making, nodePayloadShape, decoded.value)));
    const speaker = speakerOf(person);
    if (!made.ok || speaker === undefined) return [message];
    const payload = speak(made.value, speaker, making, inventions);
    return chance.chance(0.5) ? [{ ...message, payload }] : [message, { ...message, payload }];
  }

  const corrupt = new Map(story.corrupt);
  for (const person of plan.liars) {
    corrupt.set(person.id, (message, _to, chance) => changedFor(person, message, chance));
  }
  const strangers = new Set(plan.strangers.map(({ name }) => nameToId(name)));
  return {
    told,
    story: {
      ...story,
      corrupt,
      strangers,
      machine: overheard(story.machine, (id, payload) => {
        if (inside.has(id)) listen(payload);
      }),
      watch: (observation, api) => {
        const { node } = observation;
        if (inside.has(node.id)) {
          states.set(node.id, node.state);
          const { own } = node.state;
          if (own !== null) seen.note(sealedShape, encodeSealedState(own));
        }
        while (api.nowMs >= nextAtMs) {
          const isBusy = api.nodes().some(({ state }) => isTurning(state));
          nextAtMs += manners.timely > 0 && isBusy ? plan.everyMs / 3 : plan.everyMs;
          volley(api);
        }
        story.watch?.(observation, api);
      },
    },
  };
}

function overheard(
  machine: SectionMachine | undefined,
  listen: (id: NodeId, payload: NodePayload) => void,
): SectionMachine {
  if (machine === undefined) throw new Error('a machine to listen at');
  return {
    start: machine.start,
    step: (config, state, event, context) => {
      if (event.kind === 'received') listen(config.self, event.message.payload);
      return machine.step(config, state, event, context);
    },
  };
}
