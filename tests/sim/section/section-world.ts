/**
 * A section, or a network of them, in the simulator: founders with a dealt key, nodes that join and
 * relocate, and a shell that answers like a node's shell. Money is one root per elder here; the
 * real one is in `scenarios/seal.ts` and `scenarios/section-life.ts`.
 */
import { nameToId, type XorName } from '#address/xor-name.ts';
import { compareBytes, concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { renameBytes, type RelocationCertificate } from '#protocol/membership/index.ts';
import {
  authoritySigningBytes,
  withLedgerRoot,
  emptyLedger,
  createTree,
  encodeSealedState,
  networkIdOf,
  placementOf,
  sectionProofOf,
  authorityAt,
  sectionFor,
  signedAuthorityOf,
  trustedUpdate,
  type SealedState,
  type SectionProof,
  type SectionState,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import {
  firstStateHint,
  persistNewLinks,
  performSectionNodeJob,
  sectionNode,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeInput,
  type SectionNodeJob,
  type SectionNodeResult,
  type SectionNodeState,
} from '#roles/section-node/index.ts';
import { namedIdentity, toyCurves, toySuites, type Curves } from '../toys/curves.ts';
import { createPrng, type Prng } from '../prng.ts';
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
} from '../world.ts';
import { pagesFor } from '../../support/known-sections.ts';

export { namedIdentity, toySuites };

export type SectionApi = WorldApi<SectionNodeConfig, SectionNodeState, SectionNode>;
export type SectionObservation = Observation<SectionNodeState, SectionNode>;
export type SectionNodeView = NodeView<SectionNodeState>;

export interface SimNode {
  readonly id: NodeId;
  readonly name: XorName;
  readonly config: SectionNodeConfig;
}

export interface SectionPace {
  readonly paceMs: number;
  readonly roundMs: number;
  readonly graceRounds: number;
}

export const usualSectionPace: SectionPace = { paceMs: 400, roundMs: 1_000, graceRounds: 6 };

export interface SectionFounding {
  readonly anchor: TrustAnchor;
  readonly curves: Curves;
  readonly simNodes: readonly SimNode[];
  readonly elders: readonly SimNode[];
  readonly sealed: SealedState;
  readonly inputs: Scenario<SectionNodeConfig, SectionNodeState, SectionNode>['inputs'];
  readonly pace: SectionPace;
}

/** A toy name with these leading bits and this age. */
export const nameFor = toyCurves.nameFor;

export function simNodeFor(
  anchor: TrustAnchor,
  pace: SectionPace,
  name: XorName,
  { suites, seedOf }: Curves = toyCurves,
): SimNode {
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
  };
  return { id: config.self, name, config };
}

interface FoundingOptions {
  readonly genesisOutput: SectionState['authority']['genesisOutput'];
  readonly curves: Curves;
}

/**
 * Seven elders and some adults, with ages; the key comes from a single dealer, as only a test may
 * do.
 */
export function foundSection(
  prng: Prng,
  ages: readonly number[],
  pace: SectionPace = usualSectionPace,
  bitsOf: (at: number) => string = () => '',
  ledger: Partial<SectionState['ledger']> = {},
  { genesisOutput = null, curves = toyCurves }: Partial<FoundingOptions> = {},
): SectionFounding {
  const { scalars } = curves;
  const { threshold } = curves.suites;
  const secrets = Array.from({ length: 5 }, () => scalars.reduce(prng.bytes(48)));
  const key = threshold.publicKey(secrets[0] ?? new Uint8Array(32));
  const networkId = networkIdOf(key, 'toy');
  const anchor = { genesisKey: key, networkId };
  const names = ages.map((age, at) => curves.nameFor(prng, age, bitsOf(at)));
  const simNodes = names.map((name) => simNodeFor(anchor, pace, name, curves));
  const elders = simNodes.slice(0, 7).sort((a, b) => compareBytes(a.name, b.name));
  const shares = elders.map((_, at) => scalars.evaluate(secrets, at + 1));
  const state = withLedgerRoot({
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
      members: simNodes
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
  const inputs = simNodes.map(({ id }) => {
    const at = elders.findIndex((elder) => elder.id === id);
    const secretShare = shares[at];
    return secretShare === undefined
      ? ({ atMs: 0, to: id, input: { kind: 'addState', sealed: encoded } } as const)
      : ({
          atMs: 0,
          to: id,
          input: { kind: 'startAsFounder', sealed: encoded, key, secretShare, index: at + 1 },
        } as const);
  });
  return { anchor, curves, simNodes, elders, sealed, inputs, pace };
}

export interface SectionStory {
  /** Nodes detect a rolled-back disk by themselves; otherwise the world informs them at their start. */
  readonly detectsLoss?: true;
  readonly founding: SectionFounding;
  readonly faults: Faults;
  readonly healAtMs: number;
  readonly endAtMs: number;
  /** As `isOver` of the world: true when the story is complete. */
  readonly isOver?: (nodes: readonly SectionNodeView[]) => boolean;
  readonly corrupt?: ReadonlyMap<NodeId, Corrupt<SectionNode>>;
  /** External events, each once at its time. */
  readonly externalEvents?: readonly {
    readonly atMs: number;
    readonly do: (api: SectionApi) => void;
  }[];
  /** Another machine than the honest one, for every node: a planted bug. */
  readonly machine?: SectionMachine;
  /** Replaces the result of a job. */
  readonly compute?: (job: SectionNodeJob, result: SectionNodeResult) => SectionNodeResult;
  /** Duration of money, lists and merges in the shell; almost zero by default. */
  readonly shellMs?: number;
  /** Unreachable nodes; none of them may become a member (N40). */
  readonly unreachable?: ReadonlySet<NodeId>;
  /** Names that send messages and are not nodes: they may be blamed. */
  readonly outsiders?: ReadonlySet<NodeId>;
  /** Receives every observation; may store it. */
  readonly watch?: (observation: SectionObservation, api: SectionApi) => void;
}

export interface SectionStoryEnd {
  readonly report: Report<SectionNodeState>;
  readonly violations: readonly string[];
  readonly api: SectionApi | undefined;
}

/** Each start finds the fact that this disk is old, as a real node persists once it has asked the others (N10). */
const withLostState = (
  { start, step }: SectionMachine,
  lostKeys: ReadonlyMap<NodeId, Uint8Array>,
): SectionMachine => ({
  start: (config, facts, context) => {
    const key = lostKeys.get(config.self);
    return start(config, key ? [...facts, { kind: 'stateLost', key }] : facts, context);
  },
  step,
});

/** Runs a story with the shell's answers and the checks that apply to all stories. */
export function runSectionStory(story: SectionStory, seed: number): SectionStoryEnd {
  const { founding } = story;
  const check = createChecker(story.unreachable ?? new Set(), story.outsiders);
  const keys = new Map<NodeId, Uint8Array>();
  const lostKeys = new Map<NodeId, Uint8Array>();
  const machine = story.machine ?? sectionNode;
  const { suites } = founding.curves;
  const deeds = [...(story.externalEvents ?? [])].sort((a, b) => a.atMs - b.atMs);
  let api: SectionApi | undefined;
  const prng = createPrng(seed ^ 0x5eed);
  const report = run<SectionNodeConfig, SectionNodeState, SectionNode>(
    {
      machine: inspected(
        story.detectsLoss === true ? machine : withLostState(machine, lostKeys),
        check.report,
        new Set(story.corrupt?.keys()),
        lostKeys,
      ),
      whenRolledBack: (config) => {
        const key = keys.get(config.self);
        if (key !== undefined) lostKeys.set(config.self, key);
        return config;
      },
      configs: new Map(founding.simNodes.map(({ id, config }) => [id, config])),
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
        repeatFoundingInput(founding, observation, given);
        while ((deeds[0]?.atMs ?? Infinity) <= given.nowMs) deeds.shift()?.do(given);
        answerAsShell(story, observation, given, prng);
        story.watch?.(observation, given);
      },
    },
    seed,
    check.observe,
  );
  return { report, violations: check.violations, api };
}

/** A founder's shell repeats its share when a crash lost the first input. */
function repeatFoundingInput(
  { inputs }: SectionFounding,
  { node }: SectionObservation,
  api: SectionApi,
): void {
  if (node.state.own !== null || !node.up) return;
  const input = inputs.find(({ to }) => to === node.id);
  if (input !== undefined && api.nowMs % 7 === 0) api.input(node.id, input.input, 50);
}

/** The answers of a node's shell: it contacts joining nodes, seals toy money, relocates nodes. */
function answerAsShell(
  { founding: { anchor, curves, pace }, unreachable, shellMs = 0 }: SectionStory,
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
        // No node can serve an invented root.
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
        const { details: relocation, sourceKey, sourceEpoch, signature } = output;
        const bits = [...relocation.destination.slice(0, 2)]
          .map((byte) => byte.toString(2).padStart(8, '0'))
          .join('');
        const name = curves.nameFor(prng, relocation.age, bits);
        const nameSignature = curves.suites.identity.sign(
          curves.seedOf(relocation.name),
          renameBytes(anchor.networkId, relocation, name),
        );
        const certificate: RelocationCertificate = {
          relocation,
          sourceKey,
          sourceEpoch,
          signature,
          nameSignature,
        };
        api.stop(node.id);
        joinNode(api, simNodeFor(anchor, pace, name, curves), node, certificate);
        break;
      }
      default:
        break;
    }
  }
}

/**
 * A node asks `guide` for its section. Its disk is empty except for the links of its old name when
 * it relocates.
 */
export function joinNode(
  api: SectionApi,
  simNode: SimNode,
  guide: SectionNodeView,
  certificate: RelocationCertificate | null = null,
): void {
  const links =
    certificate === null
      ? []
      : persistNewLinks(createTree(simNode.config.anchor), guide.state.tree);
  const facts = links.flatMap((each) => (each.kind === 'persist' ? [each.fact] : []));
  api.spawn(simNode.id, simNode.config, undefined, facts);
  const certificates = relocationCertificates.get(api) ?? new Map<NodeId, RelocationCertificate>();
  relocationCertificates.set(api, certificates);
  if (certificate !== null) certificates.set(simNode.id, certificate);
  sendJoinInputs(api, simNode, guide, certificate);
}

/**
 * The certificate of a relocating node is on its shell's disk; its `join` input before a crash may
 * be lost.
 */
const relocationCertificates = new WeakMap<SectionApi, Map<NodeId, RelocationCertificate>>();

export const relocationCertificateOf = (
  api: SectionApi,
  id: NodeId,
): RelocationCertificate | null => relocationCertificates.get(api)?.get(id) ?? null;

/** Answers to a node's first request arrive as often as its shell repeats it. */
const joinRetryMs = [1, 1_000, 2_000, 4_000, 8_000, 16_000];

/** Inputs of a shell whose node has an empty disk: a join and the answers it received. */
function sendJoinInputs(
  api: SectionApi,
  { id, config }: Pick<SimNode, 'id' | 'config'>,
  guide: SectionNodeView,
  certificate: RelocationCertificate | null,
): void {
  api.input(id, { kind: 'join', certificate }, 1);
  for (const atMs of joinRetryMs) {
    hintsOf(config, guide.state).forEach((input, n) => api.input(id, input, 1 + atMs + n));
  }
}

/**
 * The inputs that a node's shell makes from one member's answers (node/section/section-runner.ts).
 */
export function hintsOf(
  { anchor, name }: Pick<SectionNodeConfig, 'anchor' | 'name'>,
  guide: SectionNodeState,
): readonly SectionNodeInput[] {
  if (guide.own === null) return [];
  const hint = firstStateHint(anchor, name, signedAuthorityOf(guide.own));
  // Genesis has an empty ledger; a section founded here may be older.
  if (hint?.kind === 'addState')
    return [{ kind: 'addState', sealed: encodeSealedState(guide.own) }];
  if (hint !== null) return [hint];
  return keyPathPagesFor(guide, name).map((page) => ({
    kind: 'addProof',
    update: trustedUpdate(page),
  }));
}

/** The pages that a node sends on request for the section of this name. */
function keyPathPagesFor({ tree }: SectionNodeState, name: XorName): readonly SectionProof[] {
  const authority = sectionFor(tree, name);
  const signed = authority && authorityAt(tree, authority.prefix);
  return signed === undefined ? [] : pagesFor(tree, tree.anchor.genesisKey, signed);
}

/** As at every start on an empty disk, when a crash lost the first inputs. */
export function rejoinNode(api: SectionApi, { id, config }: SimNode): void {
  const views = api.nodes();
  const node = views.find((each) => each.id === id);
  const guide = views.find(({ state }) => state.own !== null);
  if (node?.up !== true || node.stopped || guide === undefined) return;
  const { joining, own, tree, wasMember } = node.state;
  const isNew = joining === null && !wasMember;
  // A shell's first input is `join`; here a crash can take it and leave the answers that follow it.
  if (isNew || (own === null && tree.sections.size === 0)) {
    sendJoinInputs(api, { id, config }, guide, relocationCertificateOf(api, id));
  }
}

const toyRoot = (id: NodeId, key: Uint8Array): Uint8Array =>
  labelledHash('safe/toy/snapshot', utf8(id), key);

/**
 * Conditions after every event, over all honest nodes: one sealed state per key and generation, one
 * successor per key, one current key per prefix, no honest node blamed.
 */
export function createChecker(
  unreachable: ReadonlySet<NodeId> = new Set(),
  outsiders: ReadonlySet<NodeId> = new Set(),
): {
  readonly observe: (observation: SectionObservation) => void;
  readonly members: (observation: SectionObservation, api: SectionApi) => void;
  readonly report: (what: string) => void;
  readonly violations: readonly string[];
} {
  const states = new Map<string, string>();
  const successors = new Map<string, string>();
  const violations: string[] = [];
  const dishonest = new Set<NodeId>(outsiders);
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
          if (!known.has(id)) report('N7: a member that is no node');
          if (unreachable.has(id)) report('N40: an unreachable member');
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
        // N10 makes it abstain under its key; lost facts of a key generation still show.
        const hasLostState =
          node.rolledBack || (rolledBack.has(fault.culprit) && fault.kind === 'dkg');
        if (!dishonest.has(fault.culprit) && !hasLostState) {
          violations.push(`honest node blamed: ${fault.kind} ${innerKind(fault)}`);
        }
      }
      for (const output of outputs) {
        if (output.kind === 'forked') violations.push('two successors of one key');
        if (output.kind !== 'adopted' && output.kind !== 'learned') continue;
        if (output.kind === 'adopted') checkState(output.sealed.state);
        const { authority, links } =
          output.kind === 'adopted'
            ? sectionProofOf(signedAuthorityOf(output.sealed))
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

/** All nodes in their present state, during a run or at its end. */
export type NodeViews = Pick<Report<SectionNodeState>, 'nodes'>;

/** Nodes that are up and honest and belong to the network at the end. */
export const livingNodes = (report: NodeViews): readonly SectionNodeView[] =>
  report.nodes.filter((node) => node.up && !node.stopped && node.honest);

/** A node's state, for messages of failed checks. */
export const describeNode = ({ state, id }: SectionNodeView): string => {
  const authority = state.own?.state.authority;
  if (authority === undefined) return `${id.slice(0, 4)}: knows nothing`;
  const bits = authority.prefix.bitCount;
  const phase = state.own?.state.ledger.phase.kind;
  const seat = state.pendingGeneration === null ? '-' : state.pendingGeneration.stage.kind;
  return `${id.slice(0, 4)}: ${bits} bits, epoch ${authority.epoch}, generation ${authority.generation}, ${phase}, ${seat}`;
};

/** Violations of "every honest node ends up to date": all agree with the newest of their prefix. */
export function checkUpToDate(report: NodeViews): readonly string[] {
  const views = livingNodes(report).filter(({ state }) => state.wasMember);
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
    if (authority === undefined) return [`member without state: ${describeNode(view)}`];
    const bits = toHex(authority.prefix.bits).slice(0, 8) + authority.prefix.bitCount;
    return authority.generation === newest.get(bits) ? [] : [`behind: ${describeNode(view)}`];
  });
}

/** Violations of "every named elder can sign": of those that are running. */
export const checkElders = (report: NodeViews): readonly string[] =>
  livingNodes(report).flatMap((view) => {
    const { own, shares } = view.state;
    if (view.rolledBack) return []; // It may have lost its share.
    if (own === null || own.state.ledger.phase.kind !== 'open') return [];
    const { authority } = own.state;
    const isElder = authority.elders.some(({ name }) => nameToId(name) === view.id);
    return !isElder || shares.has(toHex(authority.key)) ? [] : [`no share: ${describeNode(view)}`];
  });

export const faultlessNetwork: Faults = {
  latencyMs: [5, 30],
  dropProbability: 0,
  duplicateProbability: 0,
  crashProbability: 0,
  restartAfterMs: [100, 500],
  cutProbability: 0,
  computeMs: [0, 5],
};

export const faultyNetwork: Faults = {
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
