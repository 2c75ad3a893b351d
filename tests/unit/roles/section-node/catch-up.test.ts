/**
 * Goal: a node more than one page of handovers behind catches up, its senders send each page once per
 * round, and stale or unproven states and second successors are not followed.
 * Method: a few machines and one long history, messages through the codecs, jobs run in order; then the
 * same with one planted bug per rule.
 */
import { describe, expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import type { RelocationCertificate } from '#protocol/membership/index.ts';
import {
  chainBetween,
  encodeSealedState,
  encodeSuccessor,
  isKnownKey,
  maxChainLinks,
  sectionProofOf,
  authorityAt,
  type SealedState,
  trustedUpdate,
} from '#protocol/section/index.ts';
import {
  performSectionNodeJob,
  sectionNode,
  type NodeMessage,
  type NodePayload,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeFact,
  type SectionNodeInput,
  type SectionNodeOutput,
  type SectionNodeResult,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { adoptState } from '#roles/section-node/catch-up/adopt-state.ts';
import { segmentsTo } from '#roles/section-node/catch-up/chain-segments.ts';
import { decodeNodePayload, encodeNodePayload } from '#roles/wire/section-messages.ts';
import { simNodeFor, toySuites, usualSectionPace } from '../../../sim/section/section-world.ts';
import {
  both,
  genesis,
  grow,
  nameUnder,
  only,
  sign,
  succeed,
  type TestSection,
} from '../../section/network.ts';
import { knownSections } from '../../../support/known-sections.ts';

const born = genesis('telling', 6);
const { anchor } = born;
const { genesisKey } = anchor;
const line: TestSection[] = [born];
for (let epoch = 1; epoch <= 40; epoch++) {
  line.push(only(succeed(line.at(-1) ?? born, `telling ${epoch}`).children));
}
const at = (epoch: number): TestSection => line[epoch] ?? born;
const keyOf = ({ state }: TestSection): Uint8Array => state.authority.key;
const elderOf = ({ state }: TestSection, place = 0): XorName =>
  state.authority.elders[place]?.name ?? outsider;
const outsider = nameUnder(EMPTY_PREFIX, 'a stranger');

/** @param links number of the last links it includes. */
const sealedOf = (living: TestSection, links = 0): SealedState => {
  const { signature, chain } = sign(living, links);
  return { state: living.state, signature, chain };
};
/** Stored facts of a node that followed the whole chain. */
const factsOf = (living: TestSection): readonly SectionNodeFact[] => {
  const links = living.chain.map(encodeSuccessor);
  const pages = Array.from({ length: Math.ceil(links.length / maxChainLinks) }, (_, page) => ({
    kind: 'links' as const,
    links: links.slice(page * maxChainLinks, (page + 1) * maxChainLinks),
  }));
  return [...pages, { kind: 'sealed', sealed: encodeSealedState(sealedOf(living)) }];
};

type Machine = typeof sectionNode;
interface Bugs {
  /** Replaces the machine's state before each step. */
  readonly before?: (state: SectionNodeState) => SectionNodeState;
  readonly compute?: (result: SectionNodeResult, sealed: SealedState | null) => SectionNodeResult;
}

const context = { now: 0, entropy: new Uint8Array(32) };

/** Machines that exchange messages; messages to other nodes are only counted. */
function openWorld({ before = (state) => state, compute = (result) => result }: Bugs = {}) {
  const nodes = new Map<NodeId, { config: SectionNodeConfig; state: SectionNodeState }>();
  const sent: {
    readonly from: NodeId;
    readonly to: NodeId;
    readonly payload: NodePayload;
    readonly bytes: number;
  }[] = [];
  const outputs: { readonly by: NodeId; readonly output: SectionNodeOutput }[] = [];
  const jobs: SectionNode['jobId'][] = [];
  const blamed: string[] = [];
  const queue: { readonly to: NodeId; readonly event: Parameters<Machine['step']>[2] }[] = [];

  const perform = (by: NodeId, effect: Effect<SectionNode>): void => {
    switch (effect.kind) {
      case 'send': {
        const { key, generation, payload } = effect.message;
        const bytes = encodeNodePayload(payload);
        const decoded = decodeNodePayload(bytes);
        if (!decoded.ok) throw new Error(`the wire refuses ${payload.kind}`);
        for (const to of effect.to) {
          sent.push({ from: by, to, payload, bytes: bytes.length });
          const message = { key, generation, payload: decoded.value };
          queue.push({ to, event: { kind: 'received', from: by, message } });
        }
        return;
      }
      case 'compute': {
        const { id, job } = effect;
        jobs.push(id);
        const result = compute(
          performSectionNodeJob(job, toySuites),
          job.kind === 'verifySealed' ? job.sealed : null,
        );
        queue.push({ to: by, event: { kind: 'computed', id, result } });
        return;
      }
      case 'output':
        outputs.push({ by, output: effect.output });
        return;
      case 'blame':
        blamed.push(effect.fault.kind);
        return;
      default:
        return;
    }
  };
  const step = (to: NodeId, event: Parameters<Machine['step']>[2]): void => {
    const node = nodes.get(to);
    if (node === undefined) return;
    const next = sectionNode.step(node.config, before(node.state), event, context);
    node.state = next.state;
    for (const effect of next.effects) perform(to, effect);
  };
  const settle = (): void => {
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      step(event.to, event.event);
    }
  };
  return {
    sent,
    outputs,
    jobs,
    blamed,
    start: (name: XorName, facts: readonly SectionNodeFact[] = []): NodeId => {
      const { id, config } = simNodeFor(anchor, usualSectionPace, name);
      const first = sectionNode.start(config, facts, context);
      nodes.set(id, { config, state: first.state });
      for (const effect of first.effects) perform(id, effect);
      return id;
    },
    receive: (to: NodeId, from: XorName, ...messages: readonly NodeMessage[]): void => {
      // All messages arrive before the first job ends.
      for (const message of messages) step(to, { kind: 'received', from: nameToId(from), message });
      settle();
    },
    input: (to: NodeId, input: SectionNodeInput): void => {
      step(to, { kind: 'input', input });
      settle();
    },
    round: (to: NodeId): void => {
      step(to, { kind: 'timerFired', timer: { kind: 'pingRound' } });
      settle();
    },
    state: (id: NodeId): SectionNodeState => {
      const node = nodes.get(id);
      if (node === undefined) throw new Error('a node of this world');
      return node.state;
    },
    count: (kind: NodePayload['kind'], from?: NodeId): number =>
      sent.filter((each) => each.payload.kind === kind && (from ?? each.from) === each.from).length,
  };
}
type World = ReturnType<typeof openWorld>;

const ping = (key: Uint8Array, generation = 0n): NodeMessage => ({
  key,
  generation,
  payload: { kind: 'ping', round: 0 },
});
const keyHeld = (world: World, id: NodeId): string =>
  toHex(world.state(id).own?.state.authority.key ?? new Uint8Array());

describe.each([16, 20, 40])('N31: %i handovers behind', (epochs) => {
  const newest = at(epochs);
  const pages = Math.ceil(epochs / maxChainLinks);

  test('a node with only the genesis key is led page by page to the newest state', () => {
    const world = openWorld();
    const elder = world.start(elderOf(newest), factsOf(newest));
    const newcomer = world.start(outsider);
    world.outputs.length = 0;
    // The ping of a shell that knows only the genesis key.
    world.receive(elder, outsider, ping(genesisKey));
    expect(keyHeld(world, newcomer)).toBe(toHex(keyOf(newest)));
    expect(world.count('chainSegment')).toBe(pages - 1);
    expect(world.count('update')).toBe(1);
    expect(world.blamed).toEqual([]);
    expect(chainBetween(world.state(newcomer).tree, genesisKey, keyOf(newest))).toHaveLength(
      epochs,
    );
  });

  test('an offline member asks its old elders → one of them sends the next pages', () => {
    const world = openWorld();
    const awake = [0, 1, 2].map((place) => world.start(elderOf(born, place), factsOf(newest)));
    const [adult] = born.state.authority.members.filter(
      ({ name }) => !born.state.authority.elders.some((elder) => equalBytes(elder.name, name)),
    );
    const behind = world.start(adult?.name ?? outsider, factsOf(born));
    world.round(behind);
    expect(keyHeld(world, behind)).toBe(toHex(keyOf(newest)));
    // All three send the first page, it is verified once, and one of them is asked for the next.
    expect(world.jobs.filter((id) => id.kind === 'verifyLinks')).toHaveLength(pages - 1);
    for (const id of awake) expect(world.count('chainSegment', id)).toBeLessThanOrEqual(pages);
    expect(world.blamed).toEqual([]);
  });

  test('a join request under a superseded key → an update', () => {
    const world = openWorld();
    for (const place of [0, 1]) world.start(elderOf(born, place), factsOf(newest));
    const newcomer = world.start(outsider);
    world.input(newcomer, { kind: 'addProof', update: trustedUpdate(sectionProofOf(sign(born))) });
    world.input(newcomer, { kind: 'join', certificate: null });
    expect(keyHeld(world, newcomer)).toBe(toHex(keyOf(newest)));
    expect(world.blamed).toEqual([]);
  });

  test('a member without a ledger answers a ping → an update', () => {
    const world = openWorld();
    const [adult] = newest.state.authority.members.filter(
      ({ name }) => !newest.state.authority.elders.some((elder) => equalBytes(elder.name, name)),
    );
    const member = world.start(adult?.name ?? outsider);
    const elder = world.start(elderOf(newest), factsOf(newest));
    const [known] = knownSections(world.state(elder).tree);
    for (const page of known?.pages ?? []) {
      world.input(member, { kind: 'addProof', update: trustedUpdate(page) });
    }
    expect(world.state(member).own).toBeNull();
    world.round(elder);
    expect(keyHeld(world, member)).toBe(toHex(keyOf(newest)));
    expect(world.count('update', elder)).toBe(1);
  });

  test('known sections are passed on in pages, each of which can be followed', () => {
    const world = openWorld();
    const elder = world.start(elderOf(newest), factsOf(newest));
    const newcomer = world.start(outsider);
    const [known] = knownSections(world.state(elder).tree);
    expect(known?.pages).toHaveLength(pages);
    for (const page of known?.pages ?? []) {
      world.input(newcomer, { kind: 'addProof', update: trustedUpdate(page) });
    }
    expect(authorityAt(world.state(newcomer).tree, EMPTY_PREFIX)?.authority.key).toEqual(
      keyOf(newest),
    );
  });
});

test('a node whose sender fails after the first page catches up with another elder', () => {
  const world = openWorld();
  const newcomer = world.start(outsider);
  const first = { kind: 'chainSegment', links: at(16).chain.map(encodeSuccessor) } as const;
  world.receive(newcomer, elderOf(at(20)), { key: keyOf(at(20)), generation: 0n, payload: first });
  expect(isKnownKey(world.state(newcomer).tree, keyOf(at(16)))).toBe(true);
  // In the next round another elder starts with the first page again.
  const elder = world.start(elderOf(at(20), 1), factsOf(at(20)));
  world.round(newcomer);
  world.receive(elder, outsider, ping(genesisKey));
  expect(keyHeld(world, newcomer)).toBe(toHex(keyOf(at(20))));
});

describe('sections and their siblings', () => {
  const [zero, one] = both(succeed(at(2), 'telling zero', 'telling one').children);
  let far = one;
  for (let n = 0; n < 20; n++) far = only(succeed(far, `telling far ${n}`).children);
  const inZero = nameUnder(parsePrefix('0') ?? EMPTY_PREFIX, 'adult');

  test('N38: the chain to a certificate’s key twenty handovers ahead is followed in two rounds', () => {
    const world = openWorld();
    const elder = world.start(elderOf(zero), factsOf(zero));
    const relocating = openWorld();
    const knowing = relocating.state(relocating.start(elderOf(far), factsOf(far))).tree;
    const way = segmentsTo(knowing, keyOf(zero), keyOf(far));
    expect(way).toHaveLength(2);
    for (let round = 0; round < 2; round++) {
      for (const payload of way) {
        world.receive(elder, outsider, { key: keyOf(zero), generation: 0n, payload });
      }
    }
    expect(isKnownKey(world.state(elder).tree, keyOf(far))).toBe(true);
    // It leads to no key of its own section: no further page is requested.
    expect(world.count('ping')).toBe(0);
  });

  test('N38: a relocating node sends its stored links to its new section', () => {
    const certificate: RelocationCertificate = {
      relocation: {
        name: elderOf(far),
        age: 6,
        destination: inZero,
        generation: 0n,
        reason: 'reward',
      },
      sourceKey: keyOf(far),
      sourceEpoch: far.state.authority.epoch,
      signature: new Uint8Array(48),
      nameSignature: new Uint8Array(64),
    };
    const cameWith = (facts: readonly SectionNodeFact[]): boolean => {
      const world = openWorld();
      const elder = world.start(elderOf(zero), factsOf(zero));
      const name = nameUnder(parsePrefix('0') ?? EMPTY_PREFIX, 'mover');
      const relocating = world.start(name, facts);
      world.input(relocating, { kind: 'join', certificate });
      world.receive(elder, name, ping(genesisKey));
      for (let round = 0; round < 2; round++) world.round(relocating);
      return isKnownKey(world.state(elder).tree, keyOf(far));
    };
    expect(cameWith(factsOf(far).filter(({ kind }) => kind === 'links'))).toBe(true);
    // The section gets these links from no other node.
    expect(cameWith([])).toBe(false);
  });

  const learnedBy = (world: World) =>
    world.outputs.flatMap(({ output }) => (output.kind === 'learned' ? [output.update.proof] : []));

  test('an adult learns of its sibling section from a state, a page and links', () => {
    const key = keyOf(zero);
    const messageOf = (payload: NodePayload): NodeMessage => ({ key, generation: 0n, payload });
    const proof = sectionProofOf(sign(one, 1));
    const update = messageOf({ kind: 'update', sealed: encodeSealedState(sealedOf(one, 1)) });
    const ways: readonly ((world: World, adult: NodeId) => void)[] = [
      (world, adult) => world.receive(adult, elderOf(one), update),
      (world, adult) => world.input(adult, { kind: 'addProof', update: trustedUpdate(proof) }),
    ];
    for (const send of ways) {
      const world = openWorld();
      const adult = world.start(inZero, factsOf(zero));
      world.outputs.length = 0;
      send(world, adult);
      send(world, adult); // A repetition changes nothing.
      expect(learnedBy(world).map((each) => each.authority?.authority.key)).toEqual([keyOf(one)]);
    }
    const world = openWorld();
    const adult = world.start(inZero, factsOf(zero));
    world.outputs.length = 0;
    const links = far.chain.slice(zero.chain.length, zero.chain.length + 4);
    const way = messageOf({ kind: 'chainSegment', links: links.map(encodeSuccessor) });
    world.receive(adult, elderOf(far), way);
    expect(learnedBy(world)).toEqual([{ links, authority: null }]);
  });

  test('the state of its own section is never `learned`, only `adopted`', () => {
    const world = openWorld();
    const adult = world.start(inZero, factsOf(zero));
    world.outputs.length = 0;
    world.input(adult, {
      kind: 'addProof',
      update: trustedUpdate(sectionProofOf(sign(grow(zero), 0))),
    });
    expect(world.outputs).toEqual([]);
  });

  test('after a restart all links are output again, to redirect clients', () => {
    const world = openWorld();
    world.start(inZero, factsOf(zero));
    world.start(elderOf(at(40)), factsOf(at(40)));
    expect(learnedBy(world).flatMap(({ links }) => links)).toEqual([
      ...zero.chain,
      ...at(40).chain,
    ]);
    expect(world.outputs.at(-1)?.output.kind).toBe('adopted');
  });
});

describe('N31: what a peer can cause a node to send', () => {
  const newest = at(40);
  const ends = [genesisKey, keyOf(at(16)), keyOf(at(32))];

  /** A liar names old keys a hundred times in one round. */
  function flood(bugs: Bugs, keys: readonly Uint8Array[]) {
    const world = openWorld(bugs);
    const elder = world.start(elderOf(newest), factsOf(newest));
    for (let n = 0; n < 100; n++) {
      world.receive(elder, outsider, ping(keys[n % keys.length] ?? genesisKey));
    }
    return { way: world.count('chainSegment'), update: world.count('update') };
  }
  const fault = ({ way, update }: ReturnType<typeof flood>): string =>
    way > 2 || update > 1 ? 'told again' : '';
  const noMemory: Bugs = { before: (state) => ({ ...state, sentUpdates: new Map() }) };

  test('N31: each page and the state once per round, in order', () => {
    expect(flood({}, [genesisKey])).toEqual({ way: 1, update: 0 });
    expect(flood({}, [keyOf(at(39))])).toEqual({ way: 0, update: 1 });
    expect(flood({}, ends)).toEqual({ way: 2, update: 1 });
    expect(flood({}, [...ends].reverse())).toEqual({ way: 0, update: 1 });
    const known = line.slice(0, 40).map(keyOf);
    expect(fault(flood({}, known))).toBe('');
  });

  test('planted: N31: without `sentUpdates` → every page is sent again', () => {
    expect(fault(flood({}, ends))).toBe('');
    expect(fault(flood(noMemory, ends))).toBe('told again');
  });

  test('N31: an unknown key → one query, no update', () => {
    const world = openWorld();
    const elder = world.start(elderOf(newest), factsOf(newest));
    for (let n = 0; n < 20; n++) world.receive(elder, outsider, ping(new Uint8Array(96).fill(n)));
    const toOutsider = world.sent.filter(({ to }) => to === nameToId(outsider));
    expect(toOutsider.filter(({ payload }) => payload.kind !== 'pong')).toHaveLength(1);
    expect(world.count('ping')).toBe(1);
  });
});

describe('N30: which proofs are followed', () => {
  const held = at(20);
  const thief = only(succeed({ ...held, secret: born.secret }, 'thief').children);
  /** Proven but old; never proven; of another network. */
  const lies = [sealedOf(at(5), 5), sealedOf(thief, 1), sealedOf(genesis('telling elsewhere', 1))];

  /** A liar sends all of them to a member. @returns whether any is followed */
  function isFollowed(bugs: Bugs): boolean {
    const world = openWorld(bugs);
    const member = world.start(elderOf(held), factsOf(held));
    for (const lie of lies) {
      const payload = { kind: 'update', sealed: encodeSealedState(lie) } as const;
      world.receive(member, outsider, { key: keyOf(held), generation: 0n, payload });
    }
    const links = thief.chain.slice(-1).map(encodeSuccessor);
    const way = { kind: 'chainSegment', links } as const;
    world.receive(member, outsider, { key: keyOf(held), generation: 0n, payload: way });
    const { tree } = world.state(member);
    const isAdopted = world.outputs.some(
      ({ output }) =>
        output.kind === 'adopted' && !equalBytes(output.sealed.state.authority.key, keyOf(held)),
    );
    return isAdopted || isKnownKey(tree, keyOf(thief));
  }

  const noVerification: Bugs = {
    compute: (result, sealed) =>
      result.kind === 'unverified' && sealed !== null ? { kind: 'verified', sealed } : result,
  };
  const forgetful: Bugs = {
    before: (state) => ({ ...state, own: null, tree: { ...state.tree, sections: new Map() } }),
  };

  test('planted: N30: a stale or unproven proof is followed', () => {
    expect(isFollowed({})).toBe(false);
    expect(isFollowed(noVerification)).toBe(true);
    expect(isFollowed(forgetful)).toBe(true);
  });

  test('N30: two states verified at the same time → the newer one is adopted', () => {
    const older = grow(held);
    const newer = grow(older);
    const world = openWorld();
    const member = world.start(elderOf(held), factsOf(held));
    const otherElder = elderOf(held, 1);
    const update = (living: TestSection): NodeMessage => {
      const payload = { kind: 'update', sealed: encodeSealedState(sealedOf(living)) } as const;
      return { key: keyOf(held), generation: 0n, payload };
    };
    // An elder has two slots, other peers one.
    world.receive(member, otherElder, update(newer), update(older));
    expect(world.jobs.filter((id) => id.kind === 'verifyState')).toHaveLength(2);
    expect(world.state(member).own?.state.authority.generation).toBe(
      newer.state.authority.generation,
    );
  });

  test('N30: an unproven state is blamed, an old one is not', () => {
    const world = openWorld();
    const member = world.start(elderOf(held), factsOf(held));
    const receiveUpdate = (sealed: SealedState): void => {
      const payload = { kind: 'update', sealed: encodeSealedState(sealed) } as const;
      world.receive(member, outsider, { key: keyOf(held), generation: 0n, payload });
    };
    receiveUpdate(sealedOf(at(5), 5));
    expect(world.blamed).toEqual([]);
    receiveUpdate(sealedOf(thief, 1));
    expect(world.blamed).toEqual(['invalidUpdate']);
  });

  test('N30: a state with a ledger it does not name is not followed, and its sender is blamed', () => {
    const world = openWorld();
    const member = world.start(elderOf(held), factsOf(held));
    const next = sealedOf(grow(held));
    const receiveUpdate = (sealed: SealedState): void => {
      const payload = { kind: 'update', sealed: encodeSealedState(sealed) } as const;
      world.receive(member, outsider, { key: keyOf(held), generation: 0n, payload });
    };
    const generation = () => world.state(member).own?.state.authority.generation;
    const { authority, ledger } = next.state;
    receiveUpdate({
      ...next,
      state: { authority, ledger: { ...ledger, vacancies: ledger.vacancies + 1 } },
    });
    expect(world.blamed).toEqual(['invalidUpdate']);
    expect(generation()).toBe(held.state.authority.generation);
    receiveUpdate(next);
    expect(generation()).toBe(authority.generation);
  });
});

describe('N33: one key, two successors', () => {
  const held = at(3);
  const other = only(succeed(at(2), 'telling second').children);

  /** Both records are validly signed; the second must be reported and not followed. */
  function secondRecord(bugs: Bugs) {
    const world = openWorld(bugs);
    const member = world.start(elderOf(at(2)), factsOf(held));
    const links = other.chain.slice(-1).map(encodeSuccessor);
    const way = { kind: 'chainSegment', links } as const;
    world.receive(member, outsider, { key: keyOf(held), generation: 0n, payload: way });
    const { tree } = world.state(member);
    return {
      isShown: world.outputs.some(({ output }) => output.kind === 'forked'),
      isTaken: isKnownKey(tree, keyOf(other)),
    };
  }
  const noMemory: Bugs = {
    before: (state) => {
      const keys = [...state.tree.keys].map(
        ([name, known]) => [name, { ...known, successor: null }] as const,
      );
      return { ...state, tree: { ...state.tree, keys: new Map(keys) } };
    },
  };

  test('planted: N33: the second successor silently replaces the first', () => {
    expect(secondRecord({})).toEqual({ isShown: true, isTaken: false });
    expect(secondRecord(noMemory)).toEqual({ isShown: false, isTaken: true });
  });
});

describe('N35: which elders push', () => {
  const sealed = sealedOf(grow(at(1)));
  const { authority } = sealed.state;
  type Pushed = readonly string[];

  /** All seven elders seal one state. @returns the receivers of each */
  const pushes = (also: (by: NodeId) => Pushed = () => []): readonly Pushed[] =>
    authority.elders.map(({ name }) => {
      const { id, config } = simNodeFor(anchor, usualSectionPace, name);
      const before = sectionNode.start(config, factsOf(at(1)), context).state;
      const { effects } = adoptState(config, before, sealed, 'produced', context);
      const receivers = effects.flatMap((effect) =>
        effect.kind === 'send' && effect.message.payload.kind === 'update' ? effect.to : [],
      );
      return [...new Set([...receivers, ...also(id)])];
    });
  /** Counts members not pushed to by exactly three elders; an elder needs only two others. */
  const faults = (pushed: readonly Pushed[]): number =>
    authority.members.filter(({ name }) => {
      const id = nameToId(name);
      const times = pushed.flat().filter((to) => to === id).length;
      const isElder = authority.elders.some((elder) => equalBytes(elder.name, name));
      return times > 3 || times < (isElder ? 2 : 3);
    }).length;

  test('planted: N35: all elders push a new state to all members', () => {
    expect(faults(pushes())).toBe(0);
    const all = authority.members.map(({ name }) => nameToId(name));
    expect(faults(pushes((by) => all.filter((id) => id !== by)))).toBe(authority.members.length);
  });
});
