/**
 * The section's machine in the real world: its messages in signed envelopes, its facts in the
 * node's own store, its jobs on threads. Decides nothing; what it puts out goes to the ports.
 */
import { randomBytes } from 'node:crypto';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { assert, assertNever } from '#core/assert.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { encodeTicketProof, newNameBytes, type TicketProof } from '#protocol/membership/index.ts';
import {
  decodeSealedState,
  emptyTree,
  sectionFor,
  signedAuthorityOf,
  type SectionTree,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { hintIn } from '#roles/section-node/first-hint.ts';
import { recallLinks } from '#roles/section-node/links.ts';
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
import { openEnvelope, sealEnvelope } from '#roles/wire/envelope.ts';
import { decodeNodePayload, encodeNodePayload } from '#roles/wire/section.ts';
import { startDriver, type Driver } from '#runtime/driver.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { startStateSearch, type StateAnswer, type StateSearch } from './first-state.ts';
import type { Metrics } from './metrics.ts';
import { createSigner, isSignedBy } from './native-ed25519.ts';
import type { NodeIdentity } from './node-folder.ts';
import { createSectionReader, type AskNode } from './read-sections.ts';
import { bringLinks, isNew, sectionFacts } from './section-facts.ts';
import type { OpenSection, SectionPorts } from './section-port.ts';
import { systemClock } from './system-clock.ts';

export interface MachineSectionOptions {
  readonly identity: NodeIdentity;
  readonly anchor: TrustAnchor;
  readonly facts: FactStore;
  readonly jobs: JobPool;
  readonly metrics: Metrics;
  readonly suites: SectionNodeConfig['suites'];
  /** Founders, at their first start: what the birth left. */
  readonly founded: {
    readonly sealed: Uint8Array;
    readonly secretShare: Uint8Array;
    readonly index: number;
  } | null;
  /** Asks some nodes for the newest signed authority, each time others; empty when nobody answered. */
  readonly ask: () => Promise<readonly StateAnswer[]>;
  /** Signed address records of other sections' elders, unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
  /** The proof of a node that was told to move; null for everybody else. */
  readonly ticket: TicketProof | null;
  /** Reaches a joiner at its addresses (N40). */
  readonly reach: (name: Uint8Array) => Promise<boolean>;
}

/** Unanswered words are repeated this often, and peers asked whether they are there. */
const paceMs = 1_000;
const roundMs = 5_000;
/** N40: half a minute of rounds in which others answered. */
const graceRounds = 6;

export const machineSection =
  (options: MachineSectionOptions): OpenSection =>
  async (ports) => {
    const { identity, anchor, facts, jobs, metrics } = options;
    const sign = createSigner(identity.seed);
    const self = nameToId(identity.name);
    const memory = sectionFacts(facts, self);
    if (options.ticket !== null) {
      await bringLinks(facts, self, nameToId(options.ticket.moving.name));
    }
    const stored = await memory.load();

    const config: SectionNodeConfig = {
      self,
      name: toXorName(identity.name),
      identitySeed: identity.seed,
      sharingKey: identity.sharing.key,
      sharingSecret: identity.sharing.secret,
      anchor,
      suites: options.suites,
      paceMs,
      roundMs,
      graceRounds,
      silentUnder: null,
    };

    const send = (to: NodeId, message: NodeMessage): void => {
      const name = fromHex(to);
      if (!name.ok || name.value.length !== 32) return;
      const { key, generation, payload } = message;
      const envelope = {
        from: identity.name,
        to: name.value,
        key,
        generation,
        id: new Uint8Array(randomBytes(16)),
        payload: encodeNodePayload(payload),
      };
      const bytes = sealEnvelope(anchor.networkId, envelope, sign);
      ports.send(to, bytes, `section/${payload.kind}`);
    };

    const input = (value: SectionNodeInput): void => {
      driver.push({ kind: 'input', input: value });
      driver.idle().catch((error: unknown) => ports.failed(error));
    };
    let [isStateKnown, isMember] = [false, false];
    /** Senders of messages under way in which something does not decode. */
    const malformed = new Set<NodeId>();
    const search: { now?: StateSearch } = {};
    const noteSearch = (): void => {
      if (isStateKnown) search.now?.known();
      if (isMember) search.now?.settled();
    };
    const driver: Driver<SectionNode> = await startDriver(sectionNode, config, {
      clock: systemClock,
      randomBytes: (length) => new Uint8Array(randomBytes(length)),
      facts: { ...memory, load: async () => stored },
      compute: (job) => jobs.run('sectionNode', job),
      transport: { send },
      // What the first step puts out may be answered only when the driver is there.
      onOutput: (output) => {
        isStateKnown ||= output.kind === 'adopted';
        isMember ||= output.kind === 'adopted' && output.standing !== 'outside';
        noteSearch();
        setImmediate(() => perform(options, ports, output, input));
      },
      onFault: (fault) => {
        if (isMalformed(fault)) malformed.add(fault.culprit);
        ports.blamed(fault.kind, fault.culprit);
      },
    });
    const { founded } = options;
    if (isNew(stored) && founded !== null) {
      const sealed = decodeSealedState(founded.sealed);
      assert(sealed.ok, 'a birth leaves a sealed state');
      const { key } = sealed.value.state.authority;
      input({ kind: 'found', ...founded, key });
    } else if (isNew(stored)) {
      input({ kind: 'join', ticket: options.ticket });
    }

    const reader = createSectionReader({
      begun: { tree: knownBy(stored, anchor), fork: null },
      jobs,
      records: options.records,
      learnt: (update) => input({ kind: 'learn', update }),
    });
    const take = async (told: SignedAuthority, ask: AskNode): Promise<void> => {
      const hint = hintIn(anchor, config.name, told);
      if (hint !== null) return input(hint);
      // Another section: it shows the way to ours, or the next node does.
      await reader.read(ask, config.name).catch(() => false);
      isStateKnown ||= sectionFor(reader.pins().tree, config.name) !== undefined;
      noteSearch();
    };
    search.now = startStateSearch(options.ask, take);
    noteSearch();

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
        driver.push({
          kind: 'received',
          from,
          message: { key, generation, payload: payload.value },
        });
        await driver.idle().catch((error: unknown) => ports.failed(error));
        return !malformed.delete(from);
      },
      storage: (places, until) => input({ kind: 'placesWanted', places, once: until === 'once' }),
      tell: input,
      misbehaved: (id, issue) => {
        const name = fromHex(id);
        if (name.ok) input({ kind: 'misbehaved', name: toXorName(name.value), issue });
      },
      stop: () => {
        search.now?.stop();
        driver.stop();
      },
    };
  };

function perform(
  options: MachineSectionOptions,
  ports: SectionPorts,
  output: SectionNodeOutput,
  input: (value: SectionNodeInput) => void,
): void {
  switch (output.kind) {
    case 'adopted': {
      const { sealed, previous, standing, share } = output;
      ports.adopted({
        role: standing === 'outside' ? 'outsider' : standing,
        signed: signedAuthorityOf(sealed),
        previous,
        share: share === null ? null : { secretShare: share.secretShare, index: share.index },
      });
      return;
    }
    case 'learned':
      return ports.learned(output.update);
    case 'happened':
      for (const { kind } of output.events) ports.happened(kind, output.generation);
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
      return ports.refusedJoin(sentences[output.reason]);
    case 'removed':
      return ports.removed();
    case 'forgot':
      options.metrics.count('safe_memory_lost_total', 'section');
      return ports.forgot();
    case 'relocate': {
      const { moving, sourceKey, sourceEpoch, signature } = output;
      // The new name's signature by the old one follows once the name is ground.
      const ticket = { moving, sourceKey, sourceEpoch, signature, nameSignature: unsigned };
      return ports.relocate({
        ticket: encodeTicketProof(ticket),
        age: moving.age,
        destination: moving.destination,
      });
    }
    case 'forked':
      return ports.happened('forked', output.first.record.finalGeneration);
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

/** What this node, or the one it was before it moved, has verified and kept. */
const knownBy = (stored: readonly SectionNodeFact[], anchor: TrustAnchor): SectionTree =>
  recallLinks(
    emptyTree(anchor),
    stored.flatMap((fact) => (fact.kind === 'links' ? fact.links : [])),
  );

const unsigned = new Uint8Array(64);

/** N38: the ticket of a move with the new name signed by the old one. */
export function ticketFor(
  networkId: Uint8Array,
  ticket: TicketProof,
  old: Uint8Array,
  name: Uint8Array,
): TicketProof {
  const bytes = newNameBytes(networkId, ticket.moving, toXorName(name));
  return { ...ticket, nameSignature: createSigner(old)(bytes) };
}

const sentences: Readonly<Record<JoinRefusal, string>> = {
  noPlaces: 'The section has no place to give now: this node asks again by itself.',
  wrongSection: 'The name belongs to another section: this node looks for that one by itself.',
  wrongAge:
    'The section takes new nodes of age 5 only: start a new one in another folder with --data DIR.',
  unreachable:
    'An elder cannot reach this node at its addresses: open its port, or choose an address others can reach with --listen.',
  departed:
    'This node was a member once and is gone for good: start a new one in another folder with --data DIR.',
  wrongProof: 'The relocation proof is not accepted: this node asks again by itself.',
};
