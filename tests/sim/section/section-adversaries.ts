/**
 * Lies of up to two elders, and of an adult that wants to become one: one lie for each check of a
 * node. A liar runs the honest machine; its messages are changed when sent, with its own keys and
 * all its knowledge.
 */
import { nameToId, toXorName, type XorName } from '#address/xor-name.ts';
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { proposalHash, statementBytes, type AgreementMessage } from '#protocol/agreement/index.ts';
import type { DkgConfig } from '#protocol/dkg/index.ts';
import {
  actBodyBytes,
  encodeAct,
  endorse,
  readyBytes,
  snapshotBytes,
  type ActBody,
} from '#protocol/membership/index.ts';
import { withLedgerRoot, encodeSealedState, type SealedState } from '#protocol/section/index.ts';
import { childSessionId } from '#protocol/dkg/index.ts';
import type {
  NodeMessage,
  NodePayload,
  SectionNode,
  SectionNodeJob,
  SectionNodeResult,
  SectionNodeState,
} from '#roles/section-node/index.ts';
import {
  agreementLies,
  applyAgreementLie,
  signingElderOf,
  type AgreementLie,
} from '../agreement/agreement-adversaries.ts';
import { dkgLies, type DkgLie } from '../dkg/dkg-adversaries.ts';
import { valueOf, type DkgCast } from '../dkg/dkg-world.ts';
import type { Prng } from '../prng.ts';
import { namedIdentity, toySuites, type SimNode, type SectionStory } from './section-world.ts';
import { secondListOf, sendSecondList, type SecondList } from '../dkg/second-list.ts';
import type { Corrupt } from '../world.ts';

/** Shared knowledge of all liars of one run: the state of each liar after its last event. */
export type AdversaryKnowledge = ReadonlyMap<NodeId, SectionNodeState>;

export interface SectionLie {
  readonly name: string;
  /** Honest nodes blame it with one of these; empty where its messages prove nothing against it. */
  readonly faults: readonly string[];
  readonly corrupt: (simNode: SimNode, knowledge: AdversaryKnowledge) => Corrupt<SectionNode>;
  /** False results of its own jobs. */
  readonly dkgLie?: DkgLie;
}

/**
 * Names for which liars send acts without a request of the node: they must never become members.
 */
export const ghostName = (of: XorName): XorName => {
  const name = labelledHash('safe/toy/ghost', of);
  name[0] = of[0] ?? 0;
  name[31] = 5;
  return toXorName(name);
};

type Edit = (
  message: NodeMessage,
  payload: NodePayload,
  self: LyingElder,
  to: NodeId,
  prng: Prng,
) => readonly NodeMessage[];

interface LyingElder {
  readonly simNode: SimNode;
  /** 1…7 among the elders of the state it knows, or 0. */
  readonly index: number;
  readonly state: SectionNodeState;
  readonly own: SealedState;
}

const changePayloads =
  (edit: Edit) =>
  (simNode: SimNode, knowledge: AdversaryKnowledge): Corrupt<SectionNode> =>
  (message, to, prng) => {
    const state = knowledge.get(simNode.id);
    const own = state?.own ?? null;
    if (state === undefined || own === null) return [message];
    const elder = own.state.authority.elders.find(({ name }) => equalBytes(name, simNode.name));
    const self = { simNode, state, own, index: elder?.index ?? 0 };
    return edit(message, message.payload, self, to, prng);
  };

/** Changes payloads of one kind and passes the others on. */
const inPayload = <K extends NodePayload['kind']>(
  kind: K,
  edit: (
    payload: Extract<NodePayload, { readonly kind: K }>,
    self: LyingElder,
    to: NodeId,
    prng: Prng,
  ) => readonly NodePayload[],
) =>
  changePayloads((message, payload, self, to, prng) =>
    payload.kind === kind
      ? edit(payload as Extract<NodePayload, { readonly kind: K }>, self, to, prng).map((each) => ({
          ...message,
          payload: each,
        }))
      : [message],
  );

/** Adds messages to every ping. */
const alsoSend = (more: (self: LyingElder, to: NodeId, prng: Prng) => readonly NodePayload[]) =>
  inPayload('ping', (ping, self, to, prng) => [ping, ...more(self, to, prng)]);

const isOdd = (to: NodeId): boolean => (parseInt(to.slice(0, 2), 16) & 1) === 1;
const flip = (bytes: Uint8Array): Uint8Array =>
  bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte));

function endorsementOf(self: LyingElder, body: ActBody): NodePayload {
  const { identity } = toySuites;
  const { own, simNode, index } = self;
  const { signature } = endorse(identity, own.state, index, simNode.name, body);
  const generation = own.state.authority.generation + 1n;
  return { kind: 'endorse', generation, body: actBodyBytes(body), signature };
}

function joinOf(name: XorName): ActBody {
  const { dealings } = toySuites;
  const sharingKey = dealings.sharingKey(dealings.toSharingSecret(name));
  return { kind: 'join', name, sharingKey, certificate: null };
}

/** The member that this liar accuses: the first one other than itself. */
const accusedElder = ({ own, simNode }: LyingElder): XorName =>
  valueOf(own.state.authority.members.find(({ name }) => !equalBytes(name, simNode.name))).name;

function forged(sealed: SealedState, change: (state: SealedState) => SealedState): NodePayload {
  return { kind: 'update', sealed: encodeSealedState(change(sealed)) };
}

/** The state one generation further, so that it looks new, with one member less. */
function nextGeneration({ state, signature, chain }: SealedState): SealedState {
  const { authority, ledger } = state;
  const members = authority.members.slice(1);
  const generation = authority.generation + 1n;
  const { elders } = authority;
  return {
    state: withLedgerRoot({ authority: { ...authority, elders, members, generation }, ledger }),
    signature,
    chain,
  };
}

const ownLies: readonly SectionLie[] = [
  { name: 'silence', faults: [], corrupt: () => () => [] },
  {
    name: 'wrong churn share (N36)',
    faults: ['badShare'],
    corrupt: inPayload('share', (share) => [
      share.of === 'churn' ? { ...share, signature: flip(share.signature) } : share,
    ]),
  },
  {
    name: 'wrong seal share (N6)',
    faults: ['badShare'],
    corrupt: inPayload('share', (share) => [
      share.of === 'seal' ? { ...share, signature: flip(share.signature) } : share,
    ]),
  },
  {
    name: 'endorses a joiner that is not there (N7, N40)',
    faults: [],
    corrupt: alsoSend((self) =>
      self.index === 0
        ? []
        : [
            endorsementOf(
              self,
              joinOf(ghostName(self.own.state.authority.members[0]?.name ?? self.simNode.name)),
            ),
          ],
    ),
  },
  {
    name: 'endorses that an honest member leave (TRACE-C3, N7)',
    faults: [],
    corrupt: alsoSend((self) =>
      self.index === 0
        ? []
        : [
            endorsementOf(self, { kind: 'leave', name: accusedElder(self) }),
            endorsementOf(self, { kind: 'demote', name: accusedElder(self) }),
          ],
    ),
  },
  {
    name: 'endorses in the name of another (N7)',
    faults: ['invalidEndorsement'],
    corrupt: alsoSend((self) => {
      if (self.index === 0) return [];
      const index = (self.index % 7) + 1;
      return [endorsementOf({ ...self, index }, { kind: 'vacancies', count: 40 })].map((each) =>
        each.kind === 'endorse' ? { ...each, signature: flip(each.signature) } : each,
      );
    }),
  },
  {
    name: 'an update with one member missing (N11)',
    faults: ['invalidUpdate'],
    corrupt: alsoSend(({ own }) => [forged(own, nextGeneration)]),
  },
  {
    name: 'an update with a wrong signature',
    faults: ['invalidUpdate'],
    corrupt: alsoSend(({ own }) => [
      forged(own, (sealed) => ({ ...nextGeneration(sealed), signature: flip(sealed.signature) })),
    ]),
  },
  {
    name: 'an update of an invented key (N30)',
    faults: [],
    corrupt: alsoSend(({ own }) => [
      forged(own, (sealed) => {
        const { state } = nextGeneration(sealed);
        const key = flip(state.authority.key);
        return { ...sealed, state: { ...state, authority: { ...state.authority, key } } };
      }),
    ]),
  },
  {
    name: 'an update whose chain has a wrong link (N20)',
    faults: ['invalidUpdate'],
    corrupt: alsoSend(({ own, state }) => {
      const link = [...state.tree.keys.values()].map((known) => known.link).find((each) => each);
      if (link === undefined || link === null) return [];
      const epoch = link.record.epoch;
      const record = { ...link.record, membersRoot: flip(link.record.membersRoot), epoch };
      return [
        forged(own, (sealed) => ({ ...nextGeneration(sealed), chain: [{ ...link, record }] })),
      ];
    }),
  },
  {
    name: 'an update that is no state',
    faults: ['malformedUpdate'],
    corrupt: alsoSend(() => [{ kind: 'update', sealed: Uint8Array.of(1, 2, 3) }]),
  },
  {
    name: 'wrong share of a relocation certificate (N38)',
    faults: [],
    corrupt: inPayload('certificateShare', (share) => [
      { ...share, signature: flip(share.signature) },
    ]),
  },
  {
    name: 'requests a relocation certificate that it has no right to (N38)',
    faults: [],
    corrupt: alsoSend(({ own }) => [
      {
        kind: 'requestCertificateShare',
        certificateId: labelledHash('safe/toy/ticket', own.state.authority.key),
      },
    ]),
  },
  {
    name: 'a join for another node (N40)',
    faults: ['malformedJoin'],
    corrupt: alsoSend((self) => [
      { kind: 'join', body: actBodyBytes(joinOf(ghostName(self.simNode.name))) },
    ]),
  },
  {
    name: 'a ready proof for an invented key (N13)',
    faults: ['invalidReadinessProof'],
    corrupt: alsoSend((self) =>
      self.own.state.ledger.sessions.flatMap((session) =>
        session.children.map((_, child): NodePayload => {
          const secret = labelledHash('safe/toy/invented', self.simNode.name);
          secret.fill(0, 0, 25);
          const { threshold, identity } = toySuites;
          const key = threshold.publicKey(secret);
          const publicShares = Array.from({ length: 7 }, () => key);
          const dealings = Array.from({ length: 7 }, (__, at) =>
            at < 5 ? labelledHash('safe/toy/dealing', Uint8Array.of(at)) : null,
          );
          const dealt = { key, publicShares };
          const bytes = readyBytes(self.own.state, session, child, secret, dealt);
          const vouchers = [1, 2, 3, 4, 5].map((candidate) => ({
            candidate,
            signature: identity.sign(self.simNode.name, bytes),
          }));
          const proof = {
            ...dealt,
            list: dealings,
            signature: threshold.sign(secret, 'READY', bytes),
            vouchers,
          };
          return { kind: 'ready', session: session.id, child, proof };
        }),
      ),
    ),
  },
  {
    name: 'a snapshot root that no node can fetch (N23)',
    faults: [],
    corrupt: inPayload('handover', (payload, self) => [
      withRoot(payload, self, labelledHash('safe/toy/unfetchable', self.simNode.name)),
    ]),
  },
  {
    name: 'two snapshot roots (N23)',
    faults: ['rootEquivocation'],
    corrupt: inPayload('handover', (payload, self, to) => [
      isOdd(to)
        ? withRoot(payload, self, labelledHash('safe/toy/second root', self.simNode.name))
        : payload,
    ]),
  },
  {
    name: 'very many sealed sets, of roots without lists (N9, N23)',
    faults: ['rootEquivocation'],
    corrupt: (simNode, knowledge) => {
      const flooded = new Set<NodeId>();
      return inPayload('handover', (payload, self, to) => {
        const sets = flooded.has(to) ? [] : setsOf(payload, self);
        if (sets.length > 0) flooded.add(to);
        return [payload, ...sets];
      })(simNode, knowledge);
    },
  },
  {
    name: 'a successor share for another record (N20)',
    faults: ['badShare'],
    corrupt: inPayload('handover', (payload) => {
      const { message } = payload;
      if (message.kind !== 'progress' || message.share === null) return [payload];
      const share = { ...message.share, record: flip(message.share.record) };
      return [{ ...payload, message: { ...message, share } }];
    }),
  },
  {
    name: 'a wrong successor share (N20)',
    faults: ['badShare'],
    corrupt: inPayload('handover', (payload) => {
      const { message } = payload;
      if (message.kind !== 'progress' || message.share === null) return [payload];
      const share = { ...message.share, signature: flip(message.share.signature) };
      return [{ ...payload, message: { ...message, share } }];
    }),
  },
  {
    name: 'receipts in the name of others (N27)',
    faults: ['badReceipt'],
    corrupt: inPayload('handover', (payload, self) => {
      const { message } = payload;
      if (message.kind !== 'progress') return [payload];
      const receipts = [1, 2, 3, 4, 5].map((elder) => ({
        child: 0,
        elder,
        signature: namedIdentity.sign(self.simNode.name, Uint8Array.of(elder)),
      }));
      return [payload, { ...payload, message: { ...message, receipts } }];
    }),
  },
  {
    name: 'messages of another session and key (N14)',
    faults: [],
    corrupt: changePayloads((message, payload) => {
      if (payload.kind === 'dkg') {
        return [message, { ...message, payload: { ...payload, session: flip(payload.session) } }];
      }
      if (payload.kind === 'handover') {
        return [message, { ...message, payload: { ...payload, key: flip(payload.key) } }];
      }
      return [message];
    }),
  },
  {
    name: 'everything a second time, much later (N11)',
    faults: [],
    corrupt: () => {
      const sent: NodeMessage[] = [];
      return (message, _to, prng) => {
        if (sent.length < 400) sent.push(message);
        const old = prng.chance(0.3) ? prng.pick(sent) : message;
        return old === message ? [message] : [message, old];
      };
    },
  },
  {
    name: 'headers of a generation that is not there (N30)',
    faults: [],
    corrupt: changePayloads((message, _payload, _self, _to, prng) => [
      { ...message, generation: BigInt(prng.below(1_000)) },
    ]),
  },
];

function withRoot(
  payload: Extract<NodePayload, { readonly kind: 'handover' }>,
  { simNode, state }: LyingElder,
  root: Uint8Array,
): NodePayload {
  const { message } = payload;
  const closing = state.activeHandover?.closingState;
  if (message.kind !== 'progress' || closing === undefined) return payload;
  const roots = message.roots.map((each) => {
    const elder = closing.authority.elders.find(({ index }) => index === each.elder);
    if (elder === undefined || !equalBytes(elder.name, simNode.name)) return each;
    const bytes = snapshotBytes(closing, each.elder, root);
    return { elder: each.elder, root, signature: namedIdentity.sign(simNode.name, bytes) };
  });
  return { ...payload, message: { ...message, roots } };
}

/**
 * Sixteen sets for each of twelve rounds: four true roots and one of its own, different in each
 * set.
 */
function setsOf(
  { message }: Extract<NodePayload, { readonly kind: 'handover' }>,
  self: LyingElder,
): readonly NodePayload[] {
  const { simNode, own, index, state } = self;
  const { authority, ledger } = own.state;
  const closing = state.activeHandover?.closingState;
  if (message.kind !== 'progress' || closing === undefined || index === 0) return [];
  const others = message.roots.filter(({ elder }) => elder !== index).slice(0, 4);
  if (ledger.phase.kind !== 'closing' || others.length < 4) return [];
  const generation = authority.generation + 1n;
  const signer = signingElderOf(index - 1, (_generation, round, phase, body) =>
    namedIdentity.sign(
      simNode.name,
      statementBytes(scopeOf(own), round, phase, simNode.name, body),
    ),
  );
  return Array.from({ length: 12 }, (_, at) => at + 1).flatMap((round): NodePayload[] => {
    const proposals = Array.from({ length: 16 }, (_, n) => {
      const root = labelledHash('safe/toy/one of many roots', Uint8Array.of(index, round, n));
      const signature = namedIdentity.sign(simNode.name, snapshotBytes(closing, index, root));
      const snapshots = [...others, { elder: index, root, signature }];
      const body: ActBody = {
        kind: 'sealedSet',
        snapshots: snapshots.sort((a, b) => a.elder - b.elder),
        sealedRoot: root,
      };
      return encodeAct({ body, endorsements: [] });
    });
    const hashes = proposals.map(proposalHash).sort(compareBytes);
    const roundChanges = [signer.roundChange(generation, round, null, hashes)];
    return [
      {
        kind: 'agreement',
        generation,
        message: { kind: 'roundChanges', generation, roundChanges },
      },
      { kind: 'agreement', generation, message: { kind: 'proposals', generation, proposals } },
    ];
  });
}

/** The scope of statements of the generation after this state. */
const scopeOf = ({ state: { authority } }: SealedState) => ({
  networkId: authority.networkId,
  key: authority.key,
  epoch: authority.epoch,
  generation: authority.generation + 1n,
  elders: authority.elders.map(({ name }) => name),
  identity: toySuites.identity,
});

/** The agreement fault of each lie; the others prove nothing against their sender. */
const agreementFaults: Partial<Record<AgreementLie, string>> = {
  twoPrevotes: 'equivocation',
  twoRoundChanges: 'equivocation',
  precommitWithoutPrevotes: 'invalidCertificate',
  forgedRoundChange: 'invalidSignature',
  futureRound: 'invalidRoundChanges',
  otherGeneration: 'invalidSignature',
  invalidProposal: 'invalidProposal',
  invalidValue: 'invalidValue',
  fewRoundChanges: 'invalidRoundChanges',
  falseDecision: 'invalidDecision',
  foreignPrevote: 'forgedAuthor',
};

/** An agreement lie, with the scope of the state the liar knows. */
const inAgreement = (lie: AgreementLie): SectionLie => ({
  name: `agreement: ${lie}`,
  faults: [agreementFaults[lie]].filter((fault) => fault !== undefined),
  corrupt: (simNode, knowledge) => {
    const liarsByIndex = new Map<number, ReturnType<typeof applyAgreementLie>>();
    return inPayload('agreement', (payload, self, to, prng) => {
      const { own, index } = self;
      const { authority } = own.state;
      if (index === 0 || payload.generation !== authority.generation + 1n) return [payload];
      const scope = scopeOf(own);
      const signer = signingElderOf(index - 1, (_generation, round, phase, body) =>
        namedIdentity.sign(simNode.name, statementBytes(scope, round, phase, simNode.name, body)),
      );
      const applyLie =
        liarsByIndex.get(index) ??
        applyAgreementLie(index - 1, new Set([lie]), (_generation, honest) => {
          const state = knowledge.get(simNode.id) ?? self.state;
          return (lie === 'twoPrevotes' && otherAct(state, honest)) || ghostAct(self);
        });
      liarsByIndex.set(index, applyLie);
      const sent = applyLie(signer, payload.message, to, isOdd(to), prng);
      return sent.map((message) => ({ ...payload, message }));
    })(simNode, knowledge);
  },
});

/** A valid act other than this vote's value: a vote for it is a second vote. */
function otherAct(
  { pendingGeneration }: SectionNodeState,
  honest: AgreementMessage,
): Uint8Array | undefined {
  if (pendingGeneration?.agreement?.kind !== 'open' || honest.kind !== 'prevote') return undefined;
  const voted = honest.prevote.value.map(toHex).join();
  for (const [id, held] of pendingGeneration.agreement.proposals) {
    if (held.kind === 'valid' && id !== voted) return held.bytes;
  }
  return undefined;
}

/** An act that only this elder wants. */
function ghostAct(self: LyingElder): Uint8Array {
  const body = joinOf(ghostName(self.simNode.name));
  const { signature } = endorse(
    toySuites.identity,
    self.own.state,
    self.index,
    self.simNode.name,
    body,
  );
  const act = encodeAct({ body, endorsements: [{ elder: self.index, signature }] });
  return act;
}

/** A candidate's lie in a key generation. */
const inKeyGeneration = (lie: DkgLie): SectionLie => ({
  name: `dkg: ${lie.name}`,
  // Nodes request the dealings that a list names; here hardly any node receives both of two
  // dealings, as in tests/sim/dkg/dkg.test.ts, where candidates stay separated for longer.
  faults: lie.name.startsWith('two dealings') ? [] : lie.faults,
  dkgLie: lie,
  corrupt: (simNode, knowledge) => {
    const bySession = new Map<string, ReturnType<DkgLie['corrupt']>>();
    return inPayload('dkg', (payload, self, to, prng) => {
      const id = `${toHex(payload.session)}.${payload.child}`;
      const plan = self.state.sessions.get(id)?.plan;
      if (plan === undefined) return [payload];
      const cast = castOfPlan(plan);
      const liar = cast.ids.indexOf(simNode.id) + 1;
      const applyLie = bySession.get(id) ?? lie.corrupt(cast, liar);
      bySession.set(id, applyLie);
      return applyLie(payload.message, to, prng).map((message) => ({ ...payload, message }));
    })(simNode, knowledge);
  },
});

/**
 * DKG-D12: a key that only some candidates hold a share of, but that the section may choose. Two honest
 * candidates never receive its dealings.
 */
const secondList: SectionLie = {
  name: 'dkg: a second list with another dealing, shown to all but two (DKG-D12)',
  faults: [],
  corrupt: (simNode, knowledge) => {
    const made = new Map<string, SecondList>();
    return inPayload('dkg', (payload, self, to) => {
      const id = `${toHex(payload.session)}.${payload.child}`;
      const session = (knowledge.get(simNode.id) ?? self.state).sessions.get(id);
      if (session === undefined) return [payload];
      const cast = castOfPlan(session.plan);
      const config = cast.config(cast.ids.indexOf(simNode.id) + 1);
      const second = made.get(id) ?? secondListOf(config, session.state);
      if (second === null) return [payload];
      made.set(id, second);
      const hidden = cast.ids.filter((each) => !knowledge.has(each)).slice(-2);
      return sendSecondList(second, payload.message, to, hidden).map((message) => ({
        ...payload,
        message,
      }));
    })(simNode, knowledge);
  },
};

type SessionPlanOf = NonNullable<ReturnType<SectionNodeState['sessions']['get']>>['plan'];

/** The seven of one child of a session: in the toy world a node's seed is its name. */
function castOfPlan(plan: SessionPlanOf): DkgCast {
  const candidates = valueOf(plan.session.children[plan.child]).candidates;
  const ids = candidates.map(nameToId);
  const configs = new Map(
    candidates.map((name, at): [NodeId, DkgConfig] => [
      valueOf(ids[at]),
      {
        self: valueOf(ids[at]),
        identitySeed: name,
        networkId: plan.networkId,
        sessionId: childSessionId(plan.session.id, plan.child),
        candidates,
        fallbackKeys: plan.fallbackKeys,
        fallbackSecret: toySuites.dealings.toSharingSecret(labelledHash('safe/toy/sharing', name)),
        readyBytes: (list, keys) =>
          readyBytes({ authority: plan }, plan.session, plan.child, list, keys),
        gossipEveryMs: 1_000,
        suites: toySuites,
      },
    ]),
  );
  return { configs, ids, config: (index) => valueOf(configs.get(valueOf(ids[index - 1]))) };
}

export const sectionLies: readonly SectionLie[] = [
  ...ownLies,
  ...agreementLies.filter((lie) => lie !== 'unresponsive').map(inAgreement),
  ...dkgLies.filter(({ name }) => name !== 'silence').map(inKeyGeneration),
  secondList,
];

export const sectionLieNamed = (part: string): SectionLie =>
  valueOf(sectionLies.find(({ name }) => name.startsWith(part)));

/** N10: answers a state recovery query with statements that the asking elder never made. */
export const inventedStatements: SectionLie = {
  name: 'statements that the asking elder never made (N10)',
  faults: [],
  corrupt: inPayload('stateAnswer', (payload, _self, _to, prng) => [
    {
      ...payload,
      statements: (['prevote', 'roundChange', 'precommit'] as const).map((phase, round) => ({
        round,
        phase,
        body: prng.bytes(32),
        signature: prng.bytes(64),
      })),
    },
  ]),
};

/** Votes and endorsements of an adult must be ignored. */
export const meddlingAdult: SectionLie = {
  name: 'an adult that votes and endorses',
  faults: ['notElder'],
  corrupt: alsoSend((self, _to, prng) => {
    const generation = self.own.state.authority.generation + 1n;
    const hashes = [prng.bytes(32)];
    return [
      { kind: 'agreement', generation, message: { kind: 'requestProposals', generation, hashes } },
      endorsementOf({ ...self, index: 1 }, { kind: 'vacancies', count: 64 }),
    ];
  }),
};

/** Up to two lying elders, by seed; both with the same lie, or each with its own. */
export function drawLiars(
  prng: Prng,
  elders: readonly SimNode[],
  most = 2,
  only?: SectionLie,
): ReadonlyMap<NodeId, { readonly simNode: SimNode; readonly lie: SectionLie }> {
  const liars = new Map<NodeId, { readonly simNode: SimNode; readonly lie: SectionLie }>();
  const count = only === undefined ? prng.below(most + 1) : most;
  const together = prng.chance(0.4) ? prng.pick(sectionLies) : null;
  while (liars.size < count) {
    const simNode = prng.pick(elders);
    liars.set(simNode.id, { simNode, lie: only ?? together ?? prng.pick(sectionLies) });
  }
  return liars;
}

/** Adds these liars to the story. */
export function withLiars(
  story: SectionStory,
  liars: ReadonlyMap<NodeId, { readonly simNode: SimNode; readonly lie: SectionLie }>,
): SectionStory {
  const knowledge = new Map<NodeId, SectionNodeState>();
  const corrupt = new Map(story.corrupt);
  for (const [id, { simNode, lie }] of liars) corrupt.set(id, lie.corrupt(simNode, knowledge));
  const dealers = new Map(
    [...liars.values()].flatMap(({ simNode, lie }) =>
      lie.dkgLie?.dealt === undefined ? [] : [[toHex(simNode.name), lie.dkgLie.dealt] as const],
    ),
  );
  const plans = new Map<string, SessionPlanOf>();
  const compute = (job: SectionNodeJob, result: SectionNodeResult): SectionNodeResult => {
    if (job.kind !== 'dkg' || job.job.kind !== 'deal' || result.kind !== 'dkg') return result;
    const dealt = dealers.get(toHex(job.job.identitySeed));
    const plan = plans.get(toHex(job.job.binding.sessionId));
    if (dealt === undefined || plan === undefined || result.result.kind !== 'dealt') return result;
    const dealing = dealt(castOfPlan(plan), job.job.dealer, result.result.dealing);
    return { kind: 'dkg', result: { kind: 'dealt', dealing } };
  };
  return {
    ...story,
    corrupt,
    compute: (job, result) => compute(job, story.compute?.(job, result) ?? result),
    watch: (observation, api) => {
      const { node } = observation;
      if (liars.has(node.id)) {
        knowledge.set(node.id, node.state);
        for (const { plan } of node.state.sessions.values()) {
          plans.set(toHex(childSessionId(plan.session.id, plan.child)), plan);
        }
      }
      story.watch?.(observation, api);
    },
  };
}

export const ghostsOf = (simNodes: readonly SimNode[]): ReadonlySet<NodeId> =>
  new Set(simNodes.map(({ name }) => nameToId(ghostName(name))));
