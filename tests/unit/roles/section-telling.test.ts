/**
 * Goal: a node that is behind by more handovers than one page holds ends up to date, whoever tells it
 * is made to send every page once per round, and nothing stale, unproven or second is followed.
 * Method: a few machines and one long history, messages through the codecs, jobs done in turn; then
 * the same with one planted bug per rule.
 */
import { describe, expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Effect, NodeId } from '#core/machine.ts';
import type { TicketProof } from '#protocol/membership/index.ts';
import {
  chainBetween,
  encodeSealedState,
  encodeSuccessor,
  isKnownKey,
  maxChainLinks,
  proofOf,
  sectionAt,
  type SealedState,
  storedUpdate,
} from '#protocol/section/index.ts';
import {
  knownSections,
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
import { adopt } from '#roles/section-node/knowledge.ts';
import { wayTo } from '#roles/section-node/way.ts';
import { decodeNodePayload, encodeNodePayload } from '#roles/wire/section.ts';
import { personFor, toySuites, usualPace } from '../../sim/section-world.ts';
import {
  both,
  genesis,
  grow,
  nameUnder,
  only,
  sign,
  succeed,
  type Living,
} from '../section/network.ts';

const born = genesis('telling', 6);
const { anchor } = born;
const { genesisKey } = anchor;
const line: Living[] = [born];
for (let epoch = 1; epoch <= 40; epoch++) {
  line.push(only(succeed(line.at(-1) ?? born, `telling ${epoch}`).children));
}
const at = (epoch: number): Living => line[epoch] ?? born;
const keyOf = ({ state }: Living): Uint8Array => state.authority.key;
const elderOf = ({ state }: Living, place = 0): XorName =>
  state.authority.elders[place]?.name ?? stranger;
const stranger = nameUnder(EMPTY_PREFIX, 'a stranger');

/** @param links how many of the last ones it shows. */
const sealedOf = (living: Living, links = 0): SealedState => {
  const { signature, chain } = sign(living, links);
  return { state: living.state, signature, chain };
};
/** What a node has on its disk that has come all the way. */
const factsOf = (living: Living): readonly SectionNodeFact[] => {
  const links = living.chain.map(encodeSuccessor);
  const pages = Array.from({ length: Math.ceil(links.length / maxChainLinks) }, (_, page) => ({
    kind: 'links' as const,
    links: links.slice(page * maxChainLinks, (page + 1) * maxChainLinks),
  }));
  return [...pages, { kind: 'sealed', sealed: encodeSealedState(sealedOf(living)) }];
};

type Machine = typeof sectionNode;
interface Bugs {
  /** What the machine is given instead of its own state. */
  readonly before?: (state: SectionNodeState) => SectionNodeState;
  readonly compute?: (result: SectionNodeResult, sealed: SealedState | null) => SectionNodeResult;
}

const context = { now: 0, entropy: new Uint8Array(32) };

/** Machines that hear each other; what is for somebody else is only counted. */
function openWorld({ before = (state) => state, compute = (result) => result }: Bugs = {}) {
  const nodes = new Map<NodeId, { config: SectionNodeConfig; state: SectionNodeState }>();
  const sent: {
    readonly from: NodeId;
    readonly to: NodeId;
    readonly payload: NodePayload;
    readonly bytes: number;
  }[] = [];
  const outputs: { readonly by: NodeId; readonly output: SectionNodeOutput }[] = [];
  const jobs: string[] = [];
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
      const { id, config } = personFor(anchor, usualPace, name);
      const first = sectionNode.start(config, facts, context);
      nodes.set(id, { config, state: first.state });
      for (const effect of first.effects) perform(id, effect);
      return id;
    },
    hear: (to: NodeId, from: XorName, ...messages: readonly NodeMessage[]): void => {
      // All are there before the first job is done.
      for (const message of messages) step(to, { kind: 'received', from: nameToId(from), message });
      settle();
    },
    input: (to: NodeId, input: SectionNodeInput): void => {
      step(to, { kind: 'input', input });
      settle();
    },
    round: (to: NodeId): void => {
      step(to, { kind: 'timerFired', timer: 'round' });
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

  test('a node with the genesis key alone is shown the way page by page', () => {
    const world = openWorld();
    const elder = world.start(elderOf(newest), factsOf(newest));
    const newcomer = world.start(stranger);
    world.outputs.length = 0;
    // What a shell says that knows nothing yet.
    world.hear(elder, stranger, ping(genesisKey));
    expect(keyHeld(world, newcomer)).toBe(toHex(keyOf(newest)));
    expect(world.count('way')).toBe(pages - 1);
    expect(world.count('update')).toBe(1);
    expect(world.blamed).toEqual([]);
    expect(chainBetween(world.state(newcomer).tree, genesisKey, keyOf(newest))).toHaveLength(
      epochs,
    );
  });

  test('a member that slept asks its old elders, and one of them leads it on', () => {
    const world = openWorld();
    const awake = [0, 1, 2].map((place) => world.start(elderOf(born, place), factsOf(newest)));
    const [sleeper] = born.state.authority.members.filter(
      ({ name }) => !born.state.authority.elders.some((elder) => equalBytes(elder.name, name)),
    );
    const asleep = world.start(sleeper?.name ?? stranger, factsOf(born));
    world.round(asleep);
    expect(keyHeld(world, asleep)).toBe(toHex(keyOf(newest)));
    // The first page comes from all three, is checked once, and one of them is asked on.
    expect(world.jobs.filter((id) => id.startsWith('way/'))).toHaveLength(pages - 1);
    for (const id of awake) expect(world.count('way', id)).toBeLessThanOrEqual(pages);
    expect(world.blamed).toEqual([]);
  });

  test('a newcomer that asks to come in under a key that is history is told', () => {
    const world = openWorld();
    for (const place of [0, 1]) world.start(elderOf(born, place), factsOf(newest));
    const newcomer = world.start(stranger);
    world.input(newcomer, { kind: 'learn', update: storedUpdate(proofOf(sign(born))) });
    world.input(newcomer, { kind: 'join', ticket: null });
    expect(keyHeld(world, newcomer)).toBe(toHex(keyOf(newest)));
    expect(world.blamed).toEqual([]);
  });

  test('a member that knows its section only by its authority is told when it answers a ping', () => {
    const world = openWorld();
    const [adult] = newest.state.authority.members.filter(
      ({ name }) => !newest.state.authority.elders.some((elder) => equalBytes(elder.name, name)),
    );
    const member = world.start(adult?.name ?? stranger);
    const elder = world.start(elderOf(newest), factsOf(newest));
    const [known] = knownSections(world.state(elder));
    for (const page of known?.pages ?? []) {
      world.input(member, { kind: 'learn', update: storedUpdate(page) });
    }
    expect(world.state(member).own).toBeNull();
    world.round(elder);
    expect(keyHeld(world, member)).toBe(toHex(keyOf(newest)));
    expect(world.count('update', elder)).toBe(1);
  });

  test('what a node knows of sections is given on by pages, and all of it can be followed', () => {
    const world = openWorld();
    const elder = world.start(elderOf(newest), factsOf(newest));
    const newcomer = world.start(stranger);
    const [known] = knownSections(world.state(elder));
    expect(known?.pages).toHaveLength(pages);
    for (const page of known?.pages ?? []) {
      world.input(newcomer, { kind: 'learn', update: storedUpdate(page) });
    }
    expect(sectionAt(world.state(newcomer).tree, EMPTY_PREFIX)?.authority.key).toEqual(
      keyOf(newest),
    );
  });
});

test('a newcomer whose guide is gone after the first page goes on with the next one', () => {
  const world = openWorld();
  const newcomer = world.start(stranger);
  const first = { kind: 'way', links: at(16).chain.map(encodeSuccessor) } as const;
  world.hear(newcomer, elderOf(at(20)), { key: keyOf(at(20)), generation: 0n, payload: first });
  expect(isKnownKey(world.state(newcomer).tree, keyOf(at(16)))).toBe(true);
  // In the next round somebody else begins with the first page again.
  const elder = world.start(elderOf(at(20), 1), factsOf(at(20)));
  world.round(newcomer);
  world.hear(elder, stranger, ping(genesisKey));
  expect(keyHeld(world, newcomer)).toBe(toHex(keyOf(at(20))));
});

describe('sections and their siblings', () => {
  const [zero, one] = both(succeed(at(2), 'telling zero', 'telling one').children);
  let far = one;
  for (let n = 0; n < 20; n++) far = only(succeed(far, `telling far ${n}`).children);
  const inZero = nameUnder(parsePrefix('0') ?? EMPTY_PREFIX, 'adult');

  test('N38: the way to a ticket’s key twenty handovers on is read in two rounds', () => {
    const world = openWorld();
    const elder = world.start(elderOf(zero), factsOf(zero));
    const mover = openWorld();
    const knowing = mover.state(mover.start(elderOf(far), factsOf(far))).tree;
    const way = wayTo(knowing, keyOf(zero), keyOf(far));
    expect(way).toHaveLength(2);
    for (let round = 0; round < 2; round++) {
      for (const payload of way) {
        world.hear(elder, stranger, { key: keyOf(zero), generation: 0n, payload });
      }
    }
    expect(isKnownKey(world.state(elder).tree, keyOf(far))).toBe(true);
    // It leads to no key of its own section: nothing is asked on.
    expect(world.count('ping')).toBe(0);
  });

  test('N38: a mover that begins with the links of its old name brings them to its new section', () => {
    const ticket: TicketProof = {
      moving: {
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
      const mover = world.start(name, facts);
      world.input(mover, { kind: 'join', ticket });
      world.hear(elder, name, ping(genesisKey));
      for (let round = 0; round < 2; round++) world.round(mover);
      return isKnownKey(world.state(elder).tree, keyOf(far));
    };
    expect(cameWith(factsOf(far).filter(({ kind }) => kind === 'links'))).toBe(true);
    // Nobody else tells the section of them.
    expect(cameWith([])).toBe(false);
  });

  const learnedBy = (world: World) =>
    world.outputs.flatMap(({ output }) => (output.kind === 'learned' ? [output.update.proof] : []));

  test('an adult hears of its sibling by a state, by a page, and by links', () => {
    const key = keyOf(zero);
    const word = (payload: NodePayload): NodeMessage => ({ key, generation: 0n, payload });
    const proof = proofOf(sign(one, 1));
    const update = word({ kind: 'update', sealed: encodeSealedState(sealedOf(one, 1)) });
    const ways: readonly ((world: World, adult: NodeId) => void)[] = [
      (world, adult) => world.hear(adult, elderOf(one), update),
      (world, adult) => world.input(adult, { kind: 'learn', update: storedUpdate(proof) }),
    ];
    for (const tell of ways) {
      const world = openWorld();
      const adult = world.start(inZero, factsOf(zero));
      world.outputs.length = 0;
      tell(world, adult);
      tell(world, adult); // Twice the same is no news.
      expect(learnedBy(world).map((each) => each.authority?.authority.key)).toEqual([keyOf(one)]);
    }
    const world = openWorld();
    const adult = world.start(inZero, factsOf(zero));
    world.outputs.length = 0;
    const links = far.chain.slice(zero.chain.length, zero.chain.length + 4);
    const way = word({ kind: 'way', links: links.map(encodeSuccessor) });
    world.hear(adult, elderOf(far), way);
    expect(learnedBy(world)).toEqual([{ links, authority: null }]);
  });

  test('of its own section no state is `learned` before it can be `adopted`', () => {
    const world = openWorld();
    const adult = world.start(inZero, factsOf(zero));
    world.outputs.length = 0;
    world.input(adult, { kind: 'learn', update: storedUpdate(proofOf(sign(grow(zero), 0))) });
    expect(world.outputs).toEqual([]);
  });

  test('after a restart all links are said again: clients are led by them', () => {
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

describe('N31: what a peer can make a node send', () => {
  const newest = at(40);
  const ends = [genesisKey, keyOf(at(16)), keyOf(at(32))];

  /** A liar that never learns names old keys a hundred times in one round. */
  function flood(bugs: Bugs, keys: readonly Uint8Array[]) {
    const world = openWorld(bugs);
    const elder = world.start(elderOf(newest), factsOf(newest));
    for (let n = 0; n < 100; n++) {
      world.hear(elder, stranger, ping(keys[n % keys.length] ?? genesisKey));
    }
    return { way: world.count('way'), update: world.count('update') };
  }
  const fault = ({ way, update }: ReturnType<typeof flood>): string =>
    way > 2 || update > 1 ? 'told again' : '';
  const noMemory: Bugs = { before: (state) => ({ ...state, told: new Map() }) };

  test('N31: every page and the state once per round, in their order', () => {
    expect(flood({}, [genesisKey])).toEqual({ way: 1, update: 0 });
    expect(flood({}, [keyOf(at(39))])).toEqual({ way: 0, update: 1 });
    expect(flood({}, ends)).toEqual({ way: 2, update: 1 });
    expect(flood({}, [...ends].reverse())).toEqual({ way: 0, update: 1 });
    const known = line.slice(0, 40).map(keyOf);
    expect(fault(flood({}, known))).toBe('');
  });

  test('planted: N31: a node that forgets whom it told sends every page again', () => {
    expect(fault(flood({}, ends))).toBe('');
    expect(fault(flood(noMemory, ends))).toBe('told again');
  });

  test('N31: an unknown key is asked about and gets nothing else', () => {
    const world = openWorld();
    const elder = world.start(elderOf(newest), factsOf(newest));
    for (let n = 0; n < 20; n++) world.hear(elder, stranger, ping(new Uint8Array(96).fill(n)));
    const toStranger = world.sent.filter(({ to }) => to === nameToId(stranger));
    expect(toStranger.filter(({ payload }) => payload.kind !== 'pong')).toHaveLength(1);
    expect(world.count('ping')).toBe(1);
  });
});

describe('N30: what is followed', () => {
  const held = at(20);
  const thief = only(succeed({ ...held, secret: born.secret }, 'thief').children);
  /** Proven once, and history; never proven; of another network. */
  const lies = [sealedOf(at(5), 5), sealedOf(thief, 1), sealedOf(genesis('telling elsewhere', 1))];

  /** A liar says all of it to a member; is any of it believed? */
  function believed(bugs: Bugs): boolean {
    const world = openWorld(bugs);
    const member = world.start(elderOf(held), factsOf(held));
    for (const lie of lies) {
      const payload = { kind: 'update', sealed: encodeSealedState(lie) } as const;
      world.hear(member, stranger, { key: keyOf(held), generation: 0n, payload });
    }
    const links = thief.chain.slice(-1).map(encodeSuccessor);
    const way = { kind: 'way', links } as const;
    world.hear(member, stranger, { key: keyOf(held), generation: 0n, payload: way });
    const { tree } = world.state(member);
    const isAdopted = world.outputs.some(
      ({ output }) =>
        output.kind === 'adopted' && !equalBytes(output.sealed.state.authority.key, keyOf(held)),
    );
    return isAdopted || isKnownKey(tree, keyOf(thief));
  }

  const credulous: Bugs = {
    compute: (result, sealed) =>
      result.kind === 'unverified' && sealed !== null ? { kind: 'verified', sealed } : result,
  };
  const forgetful: Bugs = {
    before: (state) => ({ ...state, own: null, tree: { ...state.tree, sections: new Map() } }),
  };

  test('planted: N30: a stale or unproven proof is followed', () => {
    expect(believed({})).toBe(false);
    expect(believed(credulous)).toBe(true);
    expect(believed(forgetful)).toBe(true);
  });

  test('N30: of two states that are checked at once the newer one stays', () => {
    const older = grow(held);
    const newer = grow(older);
    const world = openWorld();
    const member = world.start(elderOf(held), factsOf(held));
    const otherElder = elderOf(held, 1);
    const update = (living: Living): NodeMessage => {
      const payload = { kind: 'update', sealed: encodeSealedState(sealedOf(living)) } as const;
      return { key: keyOf(held), generation: 0n, payload };
    };
    // An elder has two places, everybody else one.
    world.hear(member, otherElder, update(newer), update(older));
    expect(world.jobs.filter((id) => id.startsWith('verify/'))).toHaveLength(2);
    expect(world.state(member).own?.state.authority.generation).toBe(
      newer.state.authority.generation,
    );
  });

  test('N30: who shows what is not proven is blamed, who shows what is old is not', () => {
    const world = openWorld();
    const member = world.start(elderOf(held), factsOf(held));
    const say = (sealed: SealedState): void => {
      const payload = { kind: 'update', sealed: encodeSealedState(sealed) } as const;
      world.hear(member, stranger, { key: keyOf(held), generation: 0n, payload });
    };
    say(sealedOf(at(5), 5));
    expect(world.blamed).toEqual([]);
    say(sealedOf(thief, 1));
    expect(world.blamed).toEqual(['unprovenUpdate']);
  });
});

describe('N33: one key, two successors', () => {
  const held = at(3);
  const other = only(succeed(at(2), 'telling second').children);

  /** Both words are really signed; the second one must be shown, and not taken. */
  function secondWord(bugs: Bugs) {
    const world = openWorld(bugs);
    const member = world.start(elderOf(at(2)), factsOf(held));
    const links = other.chain.slice(-1).map(encodeSuccessor);
    const way = { kind: 'way', links } as const;
    world.hear(member, stranger, { key: keyOf(held), generation: 0n, payload: way });
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

  test('planted: N33: the second successor replaces the first without a word', () => {
    expect(secondWord({})).toEqual({ isShown: true, isTaken: false });
    expect(secondWord(noMemory)).toEqual({ isShown: false, isTaken: true });
  });
});

describe('N35: who pushes', () => {
  const sealed = sealedOf(grow(at(1)));
  const { authority } = sealed.state;
  type Pushed = readonly string[];

  /** All seven elders seal one state; to whom does each say it? */
  const pushes = (also: (by: NodeId) => Pushed = () => []): readonly Pushed[] =>
    authority.elders.map(({ name }) => {
      const { id, config } = personFor(anchor, usualPace, name);
      const before = sectionNode.start(config, factsOf(at(1)), context).state;
      const { effects } = adopt(config, before, sealed, 'made', context);
      const told = effects.flatMap((effect) =>
        effect.kind === 'send' && effect.message.payload.kind === 'update' ? effect.to : [],
      );
      return [...new Set([...told, ...also(id)])];
    });
  /** Members that hear it from another number of elders than three, elders excepted by one. */
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
