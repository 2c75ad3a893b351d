/**
 * A section, or a network of them, in the simulator: founders with a dealt key, nodes that join and
 * move, and a shell that answers what a node's shell answers. Money is a root per elder here; the
 * real one is in `scenarios/seal.ts` and `scenarios/section-life.ts`.
 */
import { nameToId, type XorName } from '#address/xor-name.ts';
import { compareBytes, concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { pagesFor } from '#protocol/anti-entropy/index.ts';
import { newNameBytes, type TicketProof } from '#protocol/membership/index.ts';
import {
  authoritySigningBytes,
  bindLedger,
  emptyLedger,
  emptyTree,
  encodeSealedState,
  networkIdOf,
  placementOf,
  proofOf,
  sectionAt,
  sectionFor,
  signedAuthorityOf,
  storedUpdate,
  type SealedState,
  type SectionProof,
  type SectionState,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import {
  hintIn,
  keepLinks,
  performSectionNodeJob,
  sectionNode,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeInput,
  type SectionNodeJob,
  type SectionNodeResult,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { namedIdentity, toyCurves, toySuites, type Curves } from './curves.ts';
import { createPrng, type Prng } from './prng.ts';
import { createStateCheck, inspected, type SectionMachine } from './section-check.ts';
import {
  run,
  type Corrupt,
  type Faults,
  type NodeView,
  type Observation,
  type Report,
  type Scenario,
  type WorldApi,
} from './world.ts';

export { namedIdentity, toySuites };

export type SectionApi = WorldApi<SectionNodeConfig, SectionNodeState, SectionNode>;
export type SectionObservation = Observation<SectionNodeState, SectionNode>;
export type SectionView = NodeView<SectionNodeState>;

export interface Person {
  readonly id: NodeId;
  readonly name: XorName;
  readonly config: SectionNodeConfig;
}

export interface Pace {
  readonly paceMs: number;
  readonly roundMs: number;
  readonly graceRounds: number;
}

export const usualPace: Pace = { paceMs: 400, roundMs: 1_000, graceRounds: 6 };

export interface Founding {
  readonly anchor: TrustAnchor;
  readonly curves: Curves;
  readonly people: readonly Person[];
  readonly elders: readonly Person[];
  readonly sealed: SealedState;
  readonly inputs: Scenario<SectionNodeConfig, SectionNodeState, SectionNode>['inputs'];
  readonly pace: Pace;
}

/** A toy name with these leading bits and this age. */
export const nameFor = toyCurves.nameFor;

export function personFor(
  anchor: TrustAnchor,
  pace: Pace,
  name: XorName,
  { suites, seedOf }: Curves = toyCurves,
): Person {
  const { toSharingSecret, sharingKey } = suites.dealings;
  const sharingSecret = toSharingSecret(labelledHash('safe/toy/sharing', name));
  const config: SectionNodeConfig = {
    self: nameToId(name),
    name,
    identitySeed: seedOf(name),
    sharingKey: sharingKey(sharingSecret),
    sharingSecret,
    anchor,
    suites,
    ...pace,
    silentUnder: null,
  };
  return { id: config.self, name, config };
}

interface Founded {
  readonly genesisOutput: SectionState['authority']['genesisOutput'];
  readonly curves: Curves;
}

/** Seven elders and some adults, with ages; the key is dealt from one place, as only a test may. */
export function found(
  prng: Prng,
  ages: readonly number[],
  pace: Pace = usualPace,
  bitsOf: (at: number) => string = () => '',
  ledger: Partial<SectionState['ledger']> = {},
  { genesisOutput = null, curves = toyCurves }: Partial<Founded> = {},
): Founding {
  const { scalars } = curves;
  const { threshold } = curves.suites;
  const secrets = Array.from({ length: 5 }, () => scalars.reduce(prng.bytes(48)));
  const key = threshold.publicKey(secrets[0] ?? new Uint8Array(32));
  const networkId = networkIdOf(key, 'toy');
  const anchor = { genesisKey: key, networkId };
  const names = ages.map((age, at) => curves.nameFor(prng, age, bitsOf(at)));
  const people = names.map((name) => personFor(anchor, pace, name, curves));
  const elders = people.slice(0, 7).sort((a, b) => compareBytes(a.name, b.name));
  const shares = elders.map((_, at) => scalars.evaluate(secrets, at + 1));
  const state = bindLedger({
    authority: {
      networkId,
      prefix: { bitCount: 0, bits: new Uint8Array(32) },
      key,
      epoch: 0n,
      generation: 0n,
      elders: elders.map(({ name }, at) => ({
        name,
        publicShare: threshold.publicKey(shares[at] ?? new Uint8Array(32)),
        index: at + 1,
      })),
      members: people
        .map(({ name, config }) => ({
          name,
          joined: 0n,
          placement: placementOf(name, new Uint8Array(32)),
          sharingKey: config.sharingKey,
        }))
        .sort((a, b) => compareBytes(a.name, b.name)),
      ledgerRoot: new Uint8Array(32),
      genesisOutput,
    },
    ledger: { ...emptyLedger, ...ledger },
  });
  const bytes = authoritySigningBytes(state.authority);
  const signature = threshold.sign(secrets[0] ?? new Uint8Array(32), 'AUTHORITY', bytes);
  const sealed: SealedState = { state, signature, chain: [] };
  const encoded = encodeSealedState(sealed);
  const inputs = people.map(({ id }) => {
    const at = elders.findIndex((elder) => elder.id === id);
    const secretShare = shares[at];
    return secretShare === undefined
      ? ({ atMs: 0, to: id, input: { kind: 'know', sealed: encoded } } as const)
      : ({
          atMs: 0,
          to: id,
          input: { kind: 'found', sealed: encoded, key, secretShare, index: at + 1 },
        } as const);
  });
  return { anchor, curves, people, elders, sealed, inputs, pace };
}

export interface Story {
  readonly founding: Founding;
  readonly faults: Faults;
  readonly healAtMs: number;
  readonly endAtMs: number;
  /** As the world's: all has come that must come. */
  readonly isOver?: (nodes: readonly SectionView[]) => boolean;
  readonly corrupt?: ReadonlyMap<NodeId, Corrupt<SectionNode>>;
  /** What happens from outside, each once, when its time has come. */
  readonly deeds?: readonly { readonly atMs: number; readonly do: (api: SectionApi) => void }[];
  /** Another machine than the honest one, for every node: a planted bug. */
  readonly machine?: SectionMachine;
  /** What a job gives in the end. */
  readonly compute?: (job: SectionNodeJob, result: SectionNodeResult) => SectionNodeResult;
  /** How long a shell takes for money, lists and merges; without it next to nothing. */
  readonly shellMs?: number;
  /** Nobody can reach these; none of them may become a member (N40). */
  readonly unreachable?: ReadonlySet<NodeId>;
  /** Names that speak and are no nodes: blamed they may be. */
  readonly strangers?: ReadonlySet<NodeId>;
  /** Sees everything; may keep what it saw. */
  readonly watch?: (observation: SectionObservation, api: SectionApi) => void;
}

export interface StoryEnd {
  readonly report: Report<SectionNodeState>;
  readonly violations: readonly string[];
  readonly api: SectionApi | undefined;
}

/** Runs a story with the shell's answers and the checks that hold in all of them. */
export function tell(story: Story, seed: number): StoryEnd {
  const { founding } = story;
  const check = createChecker(story.unreachable ?? new Set(), story.strangers);
  const keys = new Map<NodeId, Uint8Array>();
  const { suites } = founding.curves;
  const deeds = [...(story.deeds ?? [])].sort((a, b) => a.atMs - b.atMs);
  let api: SectionApi | undefined;
  const prng = createPrng(seed ^ 0x5eed);
  const report = run<SectionNodeConfig, SectionNodeState, SectionNode>(
    {
      machine: inspected(
        story.machine ?? sectionNode,
        check.report,
        new Set(story.corrupt?.keys()),
      ),
      whenRolledBack: (config) => ({ ...config, silentUnder: keys.get(config.self) ?? null }),
      configs: new Map(founding.people.map(({ id, config }) => [id, config])),
      inputs: founding.inputs,
      compute: (job) => {
        const result = performSectionNodeJob(job, suites);
        return story.compute?.(job, result) ?? result;
      },
      faults: story.faults,
      healAtMs: story.healAtMs,
      endAtMs: story.endAtMs,
      ...(story.isOver === undefined ? {} : { isOver: story.isOver }),
      ...(story.corrupt === undefined ? {} : { corrupt: story.corrupt }),
      react: (observation, given) => {
        api = given;
        const own = observation.node.state.own ?? founding.sealed;
        keys.set(observation.node.id, own.state.authority.key);
        check.members(observation, given);
        tellFounder(founding, observation, given);
        while ((deeds[0]?.atMs ?? Infinity) <= given.nowMs) deeds.shift()?.do(given);
        shell(story, observation, given, prng);
        story.watch?.(observation, given);
      },
    },
    seed,
    check.observe,
  );
  return { report, violations: check.violations, api };
}

/** A founder's shell tells it again of its share when a crash swallowed the first time. */
function tellFounder({ inputs }: Founding, { node }: SectionObservation, api: SectionApi): void {
  if (node.state.own !== null || !node.up) return;
  const input = inputs.find(({ to }) => to === node.id);
  if (input !== undefined && api.nowMs % 7 === 0) api.input(node.id, input.input, 50);
}

/** The answers of a node's shell: it reaches joiners, seals toy money, moves nodes. */
function shell(
  { founding: { anchor, curves, pace }, unreachable, shellMs = 0 }: Story,
  { node, outputs }: SectionObservation,
  api: SectionApi,
  prng: Prng,
): void {
  const isUp = (id: NodeId): boolean =>
    unreachable?.has(id) !== true && api.nodes().some((each) => each.id === id && !each.stopped);
  for (const output of outputs) {
    switch (output.kind) {
      case 'probe': {
        const { name } = output;
        const reachable = isUp(nameToId(name));
        api.input(node.id, { kind: 'reached', name, reachable }, 5);
        break;
      }
      case 'sealMoney': {
        const { key } = output;
        api.input(node.id, { kind: 'moneySealed', key, root: toyRoot(node.id, key) }, 5 + shellMs);
        break;
      }
      case 'fetch': {
        const { key, root, elder, from } = output;
        if (!from.some(isUp)) break;
        // A root of nothing is served by nobody.
        const isReal = api.nodes().some(({ id }) => equalBytes(toyRoot(id, key), root));
        if (elder !== null && !isReal) break;
        const input =
          elder === null
            ? ({ kind: 'inherited', key, sealedRoot: root } as const)
            : ({ kind: 'snapshotHeld', key, elder, root } as const);
        api.input(node.id, input, 10 + prng.below(40) + shellMs);
        break;
      }
      case 'merge': {
        const { key, snapshots } = output;
        const parts = snapshots.map(({ elder, root }) => concat(Uint8Array.of(elder), root));
        const root = labelledHash('safe/toy/merged', ...parts);
        api.input(node.id, { kind: 'merged', key, snapshots, root }, 5 + shellMs);
        break;
      }
      case 'relocate': {
        const { moving, sourceKey, sourceEpoch, signature } = output;
        const bits = [...moving.destination.slice(0, 2)]
          .map((byte) => byte.toString(2).padStart(8, '0'))
          .join('');
        const name = curves.nameFor(prng, moving.age, bits);
        const nameSignature = curves.suites.identity.sign(
          curves.seedOf(moving.name),
          newNameBytes(anchor.networkId, moving, name),
        );
        const ticket: TicketProof = { moving, sourceKey, sourceEpoch, signature, nameSignature };
        api.stop(node.id);
        arrive(api, personFor(anchor, pace, name, curves), node, ticket);
        break;
      }
      default:
        break;
    }
  }
}

/**
 * A node comes and asks `guide` where it belongs. Its disk is empty but for the links of its old name, if it
 * moves here with a ticket.
 */
export function arrive(
  api: SectionApi,
  person: Person,
  guide: SectionView,
  ticket: TicketProof | null = null,
): void {
  const links = ticket === null ? [] : keepLinks(emptyTree(person.config.anchor), guide.state.tree);
  const facts = links.flatMap((each) => (each.kind === 'persist' ? [each.fact] : []));
  api.spawn(person.id, person.config, undefined, facts);
  const tickets = ticketsIn.get(api) ?? new Map<NodeId, TicketProof>();
  ticketsIn.set(api, tickets);
  if (ticket !== null) tickets.set(person.id, ticket);
  askIn(api, person, guide, ticket);
}

/** A shell has the ticket of its move on disk; what it said of it before a crash may be lost. */
const ticketsIn = new WeakMap<SectionApi, Map<NodeId, TicketProof>>();

export const ticketOf = (api: SectionApi, id: NodeId): TicketProof | null =>
  ticketsIn.get(api)?.get(id) ?? null;

/** Answers to a node's first question come as often as its shell asks. */
const askedAgainMs = [1, 1_000, 2_000, 4_000, 8_000, 16_000];

/** What a shell says to a node whose disk is empty: that it shall come in, and what it was told. */
function askIn(
  api: SectionApi,
  { id, config }: Pick<Person, 'id' | 'config'>,
  guide: SectionView,
  ticket: TicketProof | null,
): void {
  api.input(id, { kind: 'join', ticket }, 1);
  for (const atMs of askedAgainMs) {
    hintsOf(config, guide.state).forEach((input, n) => api.input(id, input, 1 + atMs + n));
  }
}

/** What a node's shell makes of the answers of one member (node/machine-section.ts). */
export function hintsOf(
  { anchor, name }: Pick<SectionNodeConfig, 'anchor' | 'name'>,
  guide: SectionNodeState,
): readonly SectionNodeInput[] {
  if (guide.own === null) return [];
  const hint = hintIn(anchor, name, signedAuthorityOf(guide.own));
  // A birth has an empty ledger; a section that is founded here may have lived before.
  if (hint?.kind === 'know') return [{ kind: 'know', sealed: encodeSealedState(guide.own) }];
  if (hint !== null) return [hint];
  return wayPagesFor(guide, name).map((page) => ({ kind: 'learn', update: storedUpdate(page) }));
}

/** The pages that a node shows to whoever asks it for the section of this name. */
function wayPagesFor({ tree }: SectionNodeState, name: XorName): readonly SectionProof[] {
  const authority = sectionFor(tree, name);
  const signed = authority && sectionAt(tree, authority.prefix);
  return signed === undefined ? [] : pagesFor(tree, tree.anchor.genesisKey, signed);
}

/** As at every start on an empty disk, when a crash swallowed the first time. */
export function arriveAgain(api: SectionApi, { id, config }: Person): void {
  const views = api.nodes();
  const node = views.find((each) => each.id === id);
  const guide = views.find(({ state }) => state.own !== null);
  if (node?.up !== true || node.stopped || guide === undefined) return;
  const { joining, own, tree } = node.state;
  const knowsNobody = tree.sections.size === 0;
  if (own === null && (joining === null || knowsNobody)) {
    askIn(api, { id, config }, guide, ticketOf(api, id));
  }
}

const toyRoot = (id: NodeId, key: Uint8Array): Uint8Array =>
  labelledHash('safe/toy/snapshot', utf8(id), key);

/**
 * What must hold after every event, of all honest nodes together: one sealed state per key and
 * generation, one successor per key, one key in force per prefix, nobody honest blamed.
 */
export function createChecker(
  unreachable: ReadonlySet<NodeId> = new Set(),
  strangers: ReadonlySet<NodeId> = new Set(),
): {
  readonly observe: (observation: SectionObservation) => void;
  readonly members: (observation: SectionObservation, api: SectionApi) => void;
  readonly report: (what: string) => void;
  readonly violations: readonly string[];
} {
  const states = new Map<string, string>();
  const successors = new Map<string, string>();
  const violations: string[] = [];
  const dishonest = new Set<NodeId>(strangers);
  const rolledBack = new Set<NodeId>();
  const report = (what: string): void => {
    violations.push(what);
  };
  const checkState = createStateCheck(report);
  const once = (map: Map<string, string>, key: string, value: string, what: string): void => {
    const before = map.get(key);
    if (before === undefined) map.set(key, value);
    else if (before !== value) violations.push(`${what}: ${key}`);
  };
  return {
    violations,
    report,
    members: ({ node, outputs }, api) => {
      if (!node.honest) return;
      for (const output of outputs) {
        if (output.kind !== 'adopted') continue;
        const { members } = output.sealed.state.authority;
        const known = new Set(api.nodes().map(({ id }) => id));
        for (const id of members.map(({ name }) => nameToId(name))) {
          if (!known.has(id)) report('N7: a member that nobody is');
          if (unreachable.has(id)) report('N40: a member that nobody can reach');
        }
      }
    },
    observe: ({ node, outputs, faults }) => {
      if (node.rolledBack) rolledBack.add(node.id);
      if (!node.honest) {
        dishonest.add(node.id);
        return;
      }
      for (const fault of faults) {
        // N10 keeps it silent under its key; what it forgot of a key generation still shows.
        const forgot = node.rolledBack || (rolledBack.has(fault.culprit) && fault.kind === 'dkg');
        if (!dishonest.has(fault.culprit) && !forgot) {
          violations.push(`honest node blamed: ${fault.kind} ${innerKind(fault)}`);
        }
      }
      for (const output of outputs) {
        if (output.kind === 'forked') violations.push('two successors of one key');
        if (output.kind !== 'adopted' && output.kind !== 'learned') continue;
        if (output.kind === 'adopted') checkState(output.sealed.state);
        const { authority, links } =
          output.kind === 'adopted'
            ? proofOf(signedAuthorityOf(output.sealed))
            : output.update.proof;
        if (authority !== null) {
          const { key, generation } = authority.authority;
          const text = toHex(labelledHash('check', authoritySigningBytes(authority.authority)));
          once(states, `${toHex(key).slice(-16)}/${generation}`, text, 'two states');
        }
        for (const { record } of links) {
          const next = record.children.map((child) => toHex(child.key).slice(-16)).join(' ');
          once(successors, toHex(record.parentKey).slice(-16), next, 'two successors');
        }
      }
    },
  };
}

const innerKind = (fault: object): string =>
  'fault' in fault &&
  typeof fault.fault === 'object' &&
  fault.fault !== null &&
  'kind' in fault.fault
    ? String(fault.fault.kind)
    : '';

/** All nodes as they stand, in the middle of a run or at its end. */
export type Nodes = Pick<Report<SectionNodeState>, 'nodes'>;

/** Nodes that are up and honest and belong to the network at the end. */
export const living = (report: Nodes): readonly SectionView[] =>
  report.nodes.filter((node) => node.up && !node.stopped && node.honest);

/** Where nodes stand, for messages of failed checks. */
export const standing = ({ state, id }: SectionView): string => {
  const authority = state.own?.state.authority;
  if (authority === undefined) return `${id.slice(0, 4)}: knows nothing`;
  const bits = authority.prefix.bitCount;
  const phase = state.own?.state.ledger.phase.kind;
  const seat = state.desk === null ? '-' : state.desk.stage.kind;
  return `${id.slice(0, 4)}: ${bits} bits, epoch ${authority.epoch}, generation ${authority.generation}, ${phase}, ${seat}`;
};

/** Violations of "every honest node ends up to date": all agree with the newest of their prefix. */
export function checkUpToDate(report: Nodes): readonly string[] {
  const views = living(report).filter(({ state }) => state.wasMember);
  const newest = new Map<string, bigint>();
  for (const { state } of views) {
    const authority = state.own?.state.authority;
    if (authority === undefined) continue;
    const bits = toHex(authority.prefix.bits).slice(0, 8) + authority.prefix.bitCount;
    const before = newest.get(bits) ?? -1n;
    if (authority.generation > before) newest.set(bits, authority.generation);
  }
  return views.flatMap((view) => {
    const authority = view.state.own?.state.authority;
    if (authority === undefined) return [`member without state: ${standing(view)}`];
    const bits = toHex(authority.prefix.bits).slice(0, 8) + authority.prefix.bitCount;
    return authority.generation === newest.get(bits) ? [] : [`behind: ${standing(view)}`];
  });
}

/** Violations of "every named elder can sign": of those that live. */
export const checkElders = (report: Nodes): readonly string[] =>
  living(report).flatMap((view) => {
    const { own, shares } = view.state;
    if (view.rolledBack) return []; // It may have lost what its key generation gave it.
    if (own === null || own.state.ledger.phase.kind !== 'open') return [];
    const { authority } = own.state;
    const isElder = authority.elders.some(({ name }) => nameToId(name) === view.id);
    return !isElder || shares.has(toHex(authority.key)) ? [] : [`no share: ${standing(view)}`];
  });

export const quiet: Faults = {
  latencyMs: [5, 30],
  dropProbability: 0,
  duplicateProbability: 0,
  crashProbability: 0,
  restartAfterMs: [100, 500],
  cutProbability: 0,
  computeMs: [0, 5],
};

export const rough: Faults = {
  latencyMs: [5, 80],
  dropProbability: 0.05,
  duplicateProbability: 0.05,
  crashProbability: 0.0005,
  restartAfterMs: [100, 800],
  cutProbability: 0.0005,
  computeMs: [0, 20],
  straggle: { probability: 0.02, upToMs: 600 },
  partition: { probability: 0.0001, forMs: [200, 1_500] },
};
