/**
 * Runs the section's machine: signs and opens its messages, stores its facts, runs its jobs on threads
 * and passes its outputs to the callbacks. Decides nothing.
 */
import { randomBytes } from 'node:crypto';
import { nameToId, toXorName, type XorName } from '#address/xor-name.ts';
import { assert, assertNever } from '#core/assert.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import {
  encodeRelocationCertificate,
  renameBytes,
  type RelocationCertificate,
} from '#protocol/membership/index.ts';
import {
  decodeSealedState,
  createTree,
  sectionFor,
  signedAuthorityOf,
  type SectionTree,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { firstStateHint } from '#roles/section-node/joining/first-state-hint.ts';
import { restoreLinks } from '#roles/section-node/stored-facts/stored-links.ts';
import { sectionNode } from '#roles/section-node/machine.ts';
import type { JoinRefusal, NodeMessage } from '#roles/section-node/messages.ts';
import {
  isMalformed,
  type SectionNode,
  type SectionNodeConfig,
  type SectionNodeFact,
  type SectionNodeInput,
  type SectionNodeOutput,
} from '#roles/section-node/state.ts';
import { openEnvelope, signEnvelope } from '#roles/wire/node-envelope.ts';
import { decodeNodePayload, encodeNodePayload } from '#roles/wire/section-messages.ts';
import { startDriver, type Driver } from '#runtime/driver.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { startStateSearch, type StateAnswer, type StateSearch } from '../joining/state-search.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import { createSigner, isSignedBy } from '../keys/native-ed25519.ts';
import type { NodeIdentity } from '../data-folder/node-identity.ts';
import { createSectionTreeReader, type NodeQuery } from './section-reader.ts';
import { copyLinks, isNewNode, sectionFactStore } from './section-facts.ts';
import type { OpenSection, SectionCallbacks } from './section-handle.ts';
import { systemClock } from '../system-clock.ts';

export interface SectionRunnerOptions {
  readonly identity: NodeIdentity;
  readonly anchor: TrustAnchor;
  readonly facts: FactStore;
  readonly jobs: JobPool;
  readonly metrics: Metrics;
  readonly suites: SectionNodeConfig['suites'];
  /** For founders, at their first start: the result of genesis. */
  readonly genesis: {
    readonly sealed: Uint8Array;
    readonly secretShare: Uint8Array;
    readonly index: number;
  } | null;
  /** Asks some nodes for the newest signed authority, others each time; empty without an answer. */
  readonly requestStates: () => Promise<readonly StateAnswer[]>;
  /** Signed address records of other sections' elders, unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
  /** A relocating node's certificate; null for other nodes. */
  readonly certificate: RelocationCertificate | null;
  /** Dials a joiner at its addresses (N40). */
  readonly reach: (name: Uint8Array) => Promise<boolean>;
}

/** Interval for resending unanswered messages. */
const resendMs = 1_000;
const roundMs = 5_000;
/** N40: half a minute of rounds in which others answered. */
const graceRounds = 6;

export const sectionRunner =
  (options: SectionRunnerOptions): OpenSection =>
  async (ports) => {
    const { identity, anchor, facts, metrics, certificate, genesis } = options;
    const config = configOf(options);
    const sectionStore = sectionFactStore(facts, config.self);
    if (certificate !== null) {
      await copyLinks(facts, config.self, nameToId(certificate.relocation.name));
    }
    const stored = await sectionStore.load();
    const input = (value: SectionNodeInput): void => driver.push({ kind: 'input', input: value });
    const lookup = createStateLookup(options, config.name, treeFrom(stored, anchor), input);
    /** Senders of messages in progress with a part that does not decode. */
    const malformed = new Set<NodeId>();
    const driver: Driver<SectionNode> = await startDriver(sectionNode, config, {
      clock: systemClock,
      randomBytes: (length) => new Uint8Array(randomBytes(length)),
      facts: { ...sectionStore, load: async () => stored },
      compute: (job) => options.jobs.run('sectionNode', job),
      transport: { send: createSender(options, ports) },
      // The first step's outputs may be answered only after `driver` is assigned.
      onOutput: (output) => {
        lookup.onOutput(output);
        setImmediate(() => perform(options, ports, output, input));
      },
      onFault: (fault) => {
        if (isMalformed(fault)) malformed.add(fault.culprit);
        ports.blamed(fault.kind, fault.culprit);
      },
      onFailure: ports.onFailure,
    });
    if (isNewNode(stored)) {
      input(genesis === null ? { kind: 'join', certificate } : startAsFounder(genesis));
    }
    lookup.start();

    return {
      receive: async (from, bytes) => {
        const name = fromHex(from);
        if (!name.ok) return true;
        const opened = openEnvelope(anchor.networkId, identity.name, name.value, bytes, isSignedBy);
        const payload = opened.ok ? decodeNodePayload(opened.value.payload) : opened;
        if (!opened.ok || !payload.ok) {
          metrics.count('safe_messages_refused_total', opened.ok ? 'payload' : opened.error);
          ports.blamed('malformedEnvelope', from);
          return false;
        }
        metrics.count('safe_messages_in_total', `section/${payload.value.kind}`);
        metrics.count('safe_bytes_in_total', `section/${payload.value.kind}`, bytes.length);
        const { key, generation } = opened.value;
        const message = { key, generation, payload: payload.value };
        driver.push({ kind: 'received', from, message });
        await driver.idle();
        return !malformed.delete(from);
      },
      setVacancies: (vacancies, until) =>
        input({ kind: 'setVacancies', vacancies, once: until === 'once' }),
      input,
      misbehaved: (id, issue) => {
        const name = fromHex(id);
        if (name.ok) input({ kind: 'misbehaved', name: toXorName(name.value), issue });
      },
      stop: () => {
        lookup.stop();
        driver.stop();
      },
    };
  };

const configOf = ({ identity, anchor, suites }: SectionRunnerOptions): SectionNodeConfig => ({
  self: nameToId(identity.name),
  name: toXorName(identity.name),
  identitySeed: identity.seed,
  sharingKey: identity.sharing.key,
  sharingSecret: identity.sharing.secret,
  anchor,
  suites,
  paceMs: resendMs,
  roundMs,
  graceRounds,
});

function startAsFounder(genesis: NonNullable<SectionRunnerOptions['genesis']>): SectionNodeInput {
  const sealed = decodeSealedState(genesis.sealed);
  assert(sealed.ok, 'a genesis result has a sealed state');
  return { kind: 'startAsFounder', ...genesis, key: sealed.value.state.authority.key };
}

function createSender({ identity, anchor }: SectionRunnerOptions, ports: SectionCallbacks) {
  const sign = createSigner(identity.seed);
  return (to: NodeId, { key, generation, payload }: NodeMessage): void => {
    const name = fromHex(to);
    if (!name.ok || name.value.length !== 32) return;
    const envelope = {
      from: identity.name,
      to: name.value,
      key,
      generation,
      id: new Uint8Array(randomBytes(16)),
      payload: encodeNodePayload(payload),
    };
    const bytes = signEnvelope(anchor.networkId, envelope, sign);
    ports.send(to, bytes, `section/${payload.kind}`);
  };
}

/** Searches for the section's state until the machine has one that names this node. */
function createStateLookup(
  { anchor, jobs, records, requestStates }: SectionRunnerOptions,
  own: XorName,
  tree: SectionTree,
  input: (value: SectionNodeInput) => void,
) {
  let [isStateKnown, isMember] = [false, false];
  let search: StateSearch | undefined;
  const updateSearch = (): void => {
    if (isStateKnown) search?.onStateKnown();
    if (isMember) search?.onMember();
  };
  const reader = createSectionTreeReader({
    initial: { tree, fork: null },
    jobs,
    records,
    onLearned: (update) => input({ kind: 'addProof', update }),
  });
  const take = async (state: SignedAuthority, ask: NodeQuery): Promise<void> => {
    const hint = firstStateHint(anchor, own, state);
    if (hint !== null) return input(hint);
    // Another section: its node shows the key path to ours, or the next node does.
    await reader.read(ask, own).catch(() => false);
    isStateKnown ||= sectionFor(reader.pins().tree, own) !== undefined;
    updateSearch();
  };
  return {
    start: (): void => {
      search = startStateSearch(requestStates, take);
      updateSearch();
    },
    onOutput: (output: SectionNodeOutput): void => {
      isStateKnown ||= output.kind === 'adopted';
      isMember ||= output.kind === 'adopted' && output.role !== 'outsider';
      updateSearch();
    },
    stop: (): void => search?.stop(),
  };
}

function perform(
  options: SectionRunnerOptions,
  ports: SectionCallbacks,
  output: SectionNodeOutput,
  input: (value: SectionNodeInput) => void,
): void {
  switch (output.kind) {
    case 'adopted': {
      const { sealed, previous, role, share } = output;
      ports.onAdopted({
        role,
        signed: signedAuthorityOf(sealed),
        previous,
        share: share === null ? null : { secretShare: share.secretShare, index: share.index },
      });
      return;
    }
    case 'learned':
      return ports.onUpdate(output.update);
    case 'sectionEvents':
      for (const { kind } of output.events) ports.onEvent(kind, output.generation);
      return;
    case 'probe': {
      const { name } = output;
      void options
        .reach(name)
        .catch(() => false)
        .then((reachable) => input({ kind: 'reached', name, reachable }));
      return;
    }
    case 'refused':
      return ports.onJoinRefused(joinRefusalSentences[output.reason]);
    case 'removed':
      return ports.onRemoved();
    case 'stateLost':
      options.metrics.count('safe_state_lost_total', 'section');
      return ports.onStateLost();
    case 'relocate': {
      const { details, sourceKey, sourceEpoch, signature } = output;
      // The old key signs the new name once that is ground.
      const certificate = {
        relocation: details,
        sourceKey,
        sourceEpoch,
        signature,
        nameSignature: unsigned,
      };
      return ports.onRelocate({
        certificate: encodeRelocationCertificate(certificate),
        age: details.age,
        destination: details.destination,
      });
    }
    case 'forked':
      return ports.onEvent('forked', output.first.record.finalGeneration);
    case 'sealMoney':
    case 'fetch':
    case 'serve':
    case 'page':
    case 'merge':
    case 'release':
      return ports.money(output, input);
    default:
      return assertNever(output);
  }
}

/** The chain that this node, under this or its old name, has verified and stored. */
const treeFrom = (stored: readonly SectionNodeFact[], anchor: TrustAnchor): SectionTree =>
  restoreLinks(
    createTree(anchor),
    stored.flatMap((fact) => (fact.kind === 'links' ? fact.links : [])),
  );

const unsigned = new Uint8Array(64);

/** N38: a relocation certificate with the new name signed by the old key. */
export function certificateFor(
  networkId: Uint8Array,
  certificate: RelocationCertificate,
  old: Uint8Array,
  name: Uint8Array,
): RelocationCertificate {
  const bytes = renameBytes(networkId, certificate.relocation, toXorName(name));
  return { ...certificate, nameSignature: createSigner(old)(bytes) };
}

const joinRefusalSentences: Readonly<Record<JoinRefusal, string>> = {
  noVacancy: 'The section has no vacancy now: this node keeps asking.',
  wrongSection: 'The name belongs to another section: this node keeps looking for that one.',
  wrongAge:
    'The section takes new nodes of age 5 only: start a new one in another folder with --data DIR.',
  unreachable:
    'An elder cannot reach this node at its addresses: open its port, or choose an address others can reach with --listen.',
  departed:
    'This node was a member once and is gone for good: start a new one in another folder with --data DIR.',
  wrongProof: 'The relocation certificate is not accepted: this node keeps asking.',
};
