/**
 * What up to two elders, and an adult that wants to come in, may do instead of what they should: one
 * lie for each thing that a node checks. A liar's machine is the honest one; its words are changed on
 * the way out, with its own keys and all it knows.
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
import { bindLedger, encodeSealedState, type SealedState } from '#protocol/section/index.ts';
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
  lies as agreementLies,
  lieInAgreement,
  voiceOf,
  type Lie as AgreementLie,
} from './agreement-lies.ts';
import { lies as dkgLies, type Lie as DkgLie } from './dkg-lies.ts';
import { must, type Cast } from './dkg-world.ts';
import type { Prng } from './prng.ts';
import { namedIdentity, toySuites, type Person, type Story } from './section-world.ts';
import { secondListOf, showSecond, type SecondList } from './second-list.ts';
import type { Corrupt } from './world.ts';

/** What all liars of one run know: the state of every node, as it was after its last event. */
export type Gossip = ReadonlyMap<NodeId, SectionNodeState>;

export interface SectionLie {
  readonly name: string;
  /** With one of these honest nodes blame it; none where its words prove nothing against it. */
  readonly faults: readonly string[];
  readonly corrupt: (person: Person, gossip: Gossip) => Corrupt<SectionNode>;
  /** What its own jobs give instead of the truth. */
  readonly dkg?: DkgLie;
}

/** Names that liars speak for and that never asked: none of them may ever be a member. */
export const ghostName = (of: XorName): XorName => {
  const name = labelledHash('safe/toy/ghost', of);
  name[0] = of[0] ?? 0;
  name[31] = 5;
  return toXorName(name);
};

type Edit = (
  message: NodeMessage,
  payload: NodePayload,
  self: Speaker,
  to: NodeId,
  prng: Prng,
) => readonly NodeMessage[];

interface Speaker {
  readonly person: Person;
  /** 1…7, or 0: among the elders of the state it knows. */
  readonly index: number;
  readonly state: SectionNodeState;
  readonly own: SealedState;
}

const say =
  (edit: Edit) =>
  (person: Person, gossip: Gossip): Corrupt<SectionNode> =>
  (message, to, prng) => {
    const state = gossip.get(person.id);
    const own = state?.own ?? null;
    if (state === undefined || own === null) return [message];
    const elder = own.state.authority.elders.find(({ name }) => equalBytes(name, person.name));
    const self = { person, state, own, index: elder?.index ?? 0 };
    return edit(message, message.payload, self, to, prng);
  };

/** Changes payloads of one kind and lets the others pass. */
const inPayload = <K extends NodePayload['kind']>(
  kind: K,
  edit: (
    payload: Extract<NodePayload, { readonly kind: K }>,
    self: Speaker,
    to: NodeId,
    prng: Prng,
  ) => readonly NodePayload[],
) =>
  say((message, payload, self, to, prng) =>
    payload.kind === kind
      ? edit(payload as Extract<NodePayload, { readonly kind: K }>, self, to, prng).map((each) => ({
          ...message,
          payload: each,
        }))
      : [message],
  );

/** Says one more thing whenever it asks around. */
const beside = (more: (self: Speaker, to: NodeId, prng: Prng) => readonly NodePayload[]) =>
  inPayload('ping', (ping, self, to, prng) => [ping, ...more(self, to, prng)]);

const isOdd = (to: NodeId): boolean => (parseInt(to.slice(0, 2), 16) & 1) === 1;
const flip = (bytes: Uint8Array): Uint8Array =>
  bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte));

function endorsementOf(self: Speaker, body: ActBody): NodePayload {
  const { identity } = toySuites;
  const { own, person, index } = self;
  const { signature } = endorse(identity, own.state, index, person.name, body);
  const generation = own.state.authority.generation + 1n;
  return { kind: 'endorse', generation, body: actBodyBytes(body), signature };
}

function joinOf(name: XorName): ActBody {
  const { dealings } = toySuites;
  const sharingKey = dealings.sharingKey(dealings.toSharingSecret(name));
  return { kind: 'join', name, sharingKey, ticket: null };
}

/** Somebody honest, the same for both liars: the first member that neither of them is. */
const scapegoat = ({ own, person }: Speaker): XorName =>
  must(own.state.authority.members.find(({ name }) => !equalBytes(name, person.name))).name;

function forged(sealed: SealedState, change: (state: SealedState) => SealedState): NodePayload {
  return { kind: 'update', sealed: encodeSealedState(change(sealed)) };
}

/** The state a generation further, so that it would be news, with a member less. */
function further({ state, signature, chain }: SealedState): SealedState {
  const { authority, ledger } = state;
  const members = authority.members.slice(1);
  const generation = authority.generation + 1n;
  const { elders } = authority;
  return {
    state: bindLedger({ authority: { ...authority, elders, members, generation }, ledger }),
    signature,
    chain,
  };
}

const ownLies: readonly SectionLie[] = [
  { name: 'silence', faults: [], corrupt: () => () => [] },
  {
    name: 'wrong churn share (N36)',
    faults: ['invalidShare'],
    corrupt: inPayload('share', (share) => [
      share.of === 'churn' ? { ...share, signature: flip(share.signature) } : share,
    ]),
  },
  {
    name: 'wrong seal share (N6)',
    faults: ['invalidShare'],
    corrupt: inPayload('share', (share) => [
      share.of === 'seal' ? { ...share, signature: flip(share.signature) } : share,
    ]),
  },
  {
    name: 'endorses a joiner that is not there (N7, N40)',
    faults: [],
    corrupt: beside((self) =>
      self.index === 0
        ? []
        : [
            endorsementOf(
              self,
              joinOf(ghostName(self.own.state.authority.members[0]?.name ?? self.person.name)),
            ),
          ],
    ),
  },
  {
    name: 'wants an honest member gone (C3, N7)',
    faults: [],
    corrupt: beside((self) =>
      self.index === 0
        ? []
        : [
            endorsementOf(self, { kind: 'leave', name: scapegoat(self) }),
            endorsementOf(self, { kind: 'demote', name: scapegoat(self) }),
          ],
    ),
  },
  {
    name: 'endorses in the name of another (N7)',
    faults: ['falseEndorsement'],
    corrupt: beside((self) => {
      if (self.index === 0) return [];
      const index = (self.index % 7) + 1;
      return [endorsementOf({ ...self, index }, { kind: 'places', count: 40 })].map((each) =>
        each.kind === 'endorse' ? { ...each, signature: flip(each.signature) } : each,
      );
    }),
  },
  {
    name: 'an update with a member less (N11)',
    faults: ['unprovenUpdate'],
    corrupt: beside(({ own }) => [forged(own, further)]),
  },
  {
    name: 'an update with a wrong signature',
    faults: ['unprovenUpdate'],
    corrupt: beside(({ own }) => [
      forged(own, (sealed) => ({ ...further(sealed), signature: flip(sealed.signature) })),
    ]),
  },
  {
    name: 'an update of a key that nobody made (N30)',
    faults: [],
    corrupt: beside(({ own }) => [
      forged(own, (sealed) => {
        const { state } = further(sealed);
        const key = flip(state.authority.key);
        return { ...sealed, state: { ...state, authority: { ...state.authority, key } } };
      }),
    ]),
  },
  {
    name: 'an update whose chain has a wrong link (N20)',
    faults: ['unprovenUpdate'],
    corrupt: beside(({ own, state }) => {
      const link = [...state.tree.keys.values()].map((known) => known.link).find((each) => each);
      if (link === undefined || link === null) return [];
      const epoch = link.record.epoch;
      const record = { ...link.record, membersRoot: flip(link.record.membersRoot), epoch };
      return [forged(own, (sealed) => ({ ...further(sealed), chain: [{ ...link, record }] }))];
    }),
  },
  {
    name: 'an update that is no state',
    faults: ['malformedUpdate'],
    corrupt: beside(() => [{ kind: 'update', sealed: Uint8Array.of(1, 2, 3) }]),
  },
  {
    name: 'wrong ticket share (N38)',
    faults: [],
    corrupt: inPayload('ticketShare', (share) => [{ ...share, signature: flip(share.signature) }]),
  },
  {
    name: 'asks for a ticket that it has no right to (N38)',
    faults: [],
    corrupt: beside(({ own }) => [
      { kind: 'askTicket', ticket: labelledHash('safe/toy/ticket', own.state.authority.key) },
    ]),
  },
  {
    name: 'a join for somebody else (N40)',
    faults: ['malformedJoin'],
    corrupt: beside((self) => [
      { kind: 'join', body: actBodyBytes(joinOf(ghostName(self.person.name))) },
    ]),
  },
  {
    name: 'a ready proof for an invented key (N13)',
    faults: ['falseReadiness'],
    corrupt: beside((self) =>
      self.own.state.ledger.sessions.flatMap((session) =>
        session.children.map((_, child): NodePayload => {
          const secret = labelledHash('safe/toy/invented', self.person.name);
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
            signature: identity.sign(self.person.name, bytes),
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
    name: 'a snapshot root that nobody can fetch (N23)',
    faults: [],
    corrupt: inPayload('handover', (payload, self) => [
      withRoot(payload, self, labelledHash('safe/toy/unfetchable', self.person.name)),
    ]),
  },
  {
    name: 'two snapshot roots (N23)',
    faults: ['twoRoots'],
    corrupt: inPayload('handover', (payload, self, to) => [
      isOdd(to)
        ? withRoot(payload, self, labelledHash('safe/toy/second root', self.person.name))
        : payload,
    ]),
  },
  {
    name: 'sealed sets without number, of roots without lists (N9, N23)',
    faults: ['twoRoots'],
    corrupt: (person, gossip) => {
      const flooded = new Set<NodeId>();
      return inPayload('handover', (payload, self, to) => {
        const sets = flooded.has(to) ? [] : setsOf(payload, self);
        if (sets.length > 0) flooded.add(to);
        return [payload, ...sets];
      })(person, gossip);
    },
  },
  {
    name: 'a successor share for another record (N20)',
    faults: ['badShare'],
    corrupt: inPayload('handover', (payload) => {
      const { message } = payload;
      if (message.kind !== 'news' || message.share === null) return [payload];
      const share = { ...message.share, record: flip(message.share.record) };
      return [{ ...payload, message: { ...message, share } }];
    }),
  },
  {
    name: 'a wrong successor share (N20)',
    faults: ['badShare'],
    corrupt: inPayload('handover', (payload) => {
      const { message } = payload;
      if (message.kind !== 'news' || message.share === null) return [payload];
      const share = { ...message.share, signature: flip(message.share.signature) };
      return [{ ...payload, message: { ...message, share } }];
    }),
  },
  {
    name: 'receipts in the name of others (N27)',
    faults: ['badReceipt'],
    corrupt: inPayload('handover', (payload, self) => {
      const { message } = payload;
      if (message.kind !== 'news') return [payload];
      const receipts = [1, 2, 3, 4, 5].map((elder) => ({
        child: 0,
        elder,
        signature: namedIdentity.sign(self.person.name, Uint8Array.of(elder)),
      }));
      return [payload, { ...payload, message: { ...message, receipts } }];
    }),
  },
  {
    name: 'words of another session and key (N14)',
    faults: [],
    corrupt: say((message, payload) => {
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
      const said: NodeMessage[] = [];
      return (message, _to, prng) => {
        if (said.length < 400) said.push(message);
        const old = prng.chance(0.3) ? prng.pick(said) : message;
        return old === message ? [message] : [message, old];
      };
    },
  },
  {
    name: 'headers of a generation that is not there (N30)',
    faults: [],
    corrupt: say((message, _payload, _self, _to, prng) => [
      { ...message, generation: BigInt(prng.below(1_000)) },
    ]),
  },
];

function withRoot(
  payload: Extract<NodePayload, { readonly kind: 'handover' }>,
  { person, state }: Speaker,
  root: Uint8Array,
): NodePayload {
  const { message } = payload;
  const closing = state.ending?.closing;
  if (message.kind !== 'news' || closing === undefined) return payload;
  const roots = message.roots.map((each) => {
    const elder = closing.authority.elders.find(({ index }) => index === each.elder);
    if (elder === undefined || !equalBytes(elder.name, person.name)) return each;
    const bytes = snapshotBytes(closing, each.elder, root);
    return { elder: each.elder, root, signature: namedIdentity.sign(person.name, bytes) };
  });
  return { ...payload, message: { ...message, roots } };
}

/** Sixteen sets for each of twelve rounds: four true roots and one of its own, another in each set. */
function setsOf(
  { message }: Extract<NodePayload, { readonly kind: 'handover' }>,
  self: Speaker,
): readonly NodePayload[] {
  const { person, own, index, state } = self;
  const { authority, ledger } = own.state;
  const closing = state.ending?.closing;
  if (message.kind !== 'news' || closing === undefined || index === 0) return [];
  const others = message.roots.filter(({ elder }) => elder !== index).slice(0, 4);
  if (ledger.phase.kind !== 'closing' || others.length < 4) return [];
  const generation = authority.generation + 1n;
  const voice = voiceOf(index - 1, (_generation, round, phase, body) =>
    namedIdentity.sign(person.name, statementBytes(scopeOf(own), round, phase, person.name, body)),
  );
  return Array.from({ length: 12 }, (_, at) => at + 1).flatMap((round): NodePayload[] => {
    const proposals = Array.from({ length: 16 }, (_, n) => {
      const root = labelledHash('safe/toy/one of many roots', Uint8Array.of(index, round, n));
      const signature = namedIdentity.sign(person.name, snapshotBytes(closing, index, root));
      const snapshots = [...others, { elder: index, root, signature }];
      const body: ActBody = {
        kind: 'sealedSet',
        snapshots: snapshots.sort((a, b) => a.elder - b.elder),
        sealedRoot: root,
      };
      return encodeAct({ body, endorsements: [] });
    });
    const hashes = proposals.map(proposalHash).sort(compareBytes);
    const reports = [voice.report(generation, round, null, hashes)];
    return [
      { kind: 'agreement', generation, message: { kind: 'reports', generation, reports } },
      { kind: 'agreement', generation, message: { kind: 'proposals', generation, proposals } },
    ];
  });
}

/** What statements of the generation after this state are bound to. */
const scopeOf = ({ state: { authority } }: SealedState) => ({
  networkId: authority.networkId,
  key: authority.key,
  epoch: authority.epoch,
  generation: authority.generation + 1n,
  elders: authority.elders.map(({ name }) => name),
  identity: toySuites.identity,
});

/** By what an agreement finds a lie out; the others prove nothing about who told them. */
const agreementFaults: Partial<Record<AgreementLie, string>> = {
  twoVotes: 'equivocation',
  twoReports: 'equivocation',
  strongWithoutVotes: 'invalidCertificate',
  forgedReport: 'invalidSignature',
  futureRound: 'invalidReports',
  otherGeneration: 'invalidSignature',
  invalidProposal: 'invalidProposal',
  wrongValue: 'wrongValue',
  fewReports: 'invalidReports',
  falseDecision: 'invalidDecision',
  foreignVote: 'notItsOwn',
};

/** What it says in an agreement, with the scope of the state it knows. */
const inAgreement = (lie: AgreementLie): SectionLie => ({
  name: `agreement: ${lie}`,
  faults: [agreementFaults[lie]].filter((fault) => fault !== undefined),
  corrupt: (person, gossip) => {
    const speakers = new Map<number, ReturnType<typeof lieInAgreement>>();
    return inPayload('agreement', (payload, self, to, prng) => {
      const { own, index } = self;
      const { authority } = own.state;
      if (index === 0 || payload.generation !== authority.generation + 1n) return [payload];
      const scope = scopeOf(own);
      const voice = voiceOf(index - 1, (_generation, round, phase, body) =>
        namedIdentity.sign(person.name, statementBytes(scope, round, phase, person.name, body)),
      );
      const speak =
        speakers.get(index) ??
        lieInAgreement(index - 1, new Set([lie]), (_generation, honest) => {
          const state = gossip.get(person.id) ?? self.state;
          return (lie === 'twoVotes' && otherAct(state, honest)) || ghostAct(self);
        });
      speakers.set(index, speak);
      const said = speak(voice, payload.message, to, isOdd(to), prng);
      return said.map((message) => ({ ...payload, message }));
    })(person, gossip);
  },
});

/** An act that is valid, and not all that this vote is for: a vote for it is a second vote. */
function otherAct({ desk }: SectionNodeState, honest: AgreementMessage): Uint8Array | undefined {
  if (desk?.agreement?.kind !== 'open' || honest.kind !== 'vote') return undefined;
  const voted = honest.vote.value.map(toHex).join();
  for (const [id, held] of desk.agreement.proposals) {
    if (held.kind === 'valid' && id !== voted) return held.bytes;
  }
  return undefined;
}

/** An act that one elder alone wants. */
function ghostAct(self: Speaker): Uint8Array {
  const body = joinOf(ghostName(self.person.name));
  const { signature } = endorse(
    toySuites.identity,
    self.own.state,
    self.index,
    self.person.name,
    body,
  );
  const act = encodeAct({ body, endorsements: [{ elder: self.index, signature }] });
  return act;
}

/** What a candidate says in a key generation. */
const inKeyGeneration = (lie: DkgLie): SectionLie => ({
  name: `dkg: ${lie.name}`,
  // A section asks for what a list names; hardly anybody hears both of two dealings here, as in
  // dkg.test.ts, where candidates stay apart for longer.
  faults: lie.name.startsWith('two dealings') ? [] : lie.faults,
  dkg: lie,
  corrupt: (person, gossip) => {
    const told = new Map<string, ReturnType<DkgLie['corrupt']>>();
    return inPayload('dkg', (payload, self, to, prng) => {
      const id = `${toHex(payload.session)}.${payload.child}`;
      const plan = self.state.sessions.get(id)?.plan;
      if (plan === undefined) return [payload];
      const cast = castOfPlan(plan);
      const liar = cast.ids.indexOf(person.id) + 1;
      const speak = told.get(id) ?? lie.corrupt(cast, liar);
      told.set(id, speak);
      return speak(payload.message, to, prng).map((message) => ({ ...payload, message }));
    })(person, gossip);
  },
});

/**
 * D12: a key that only some candidates hold a share of, and all can be the choice of the section. Two
 * honest candidates are never shown what it is made of.
 */
const secondList: SectionLie = {
  name: 'dkg: a second list with another dealing, shown to all but two (D12)',
  faults: [],
  corrupt: (person, gossip) => {
    const made = new Map<string, SecondList>();
    return inPayload('dkg', (payload, self, to) => {
      const id = `${toHex(payload.session)}.${payload.child}`;
      const session = (gossip.get(person.id) ?? self.state).sessions.get(id);
      if (session === undefined) return [payload];
      const cast = castOfPlan(session.plan);
      const config = cast.config(cast.ids.indexOf(person.id) + 1);
      const second = made.get(id) ?? secondListOf(config, session.state);
      if (second === null) return [payload];
      made.set(id, second);
      const hidden = cast.ids.filter((each) => !gossip.has(each)).slice(-2);
      return showSecond(second, payload.message, to, hidden).map((message) => ({
        ...payload,
        message,
      }));
    })(person, gossip);
  },
};

type Plan = NonNullable<ReturnType<SectionNodeState['sessions']['get']>>['plan'];

/** The seven of one child of a session: in a toy world everybody's seed is its name. */
function castOfPlan(plan: Plan): Cast {
  const candidates = must(plan.session.children[plan.child]).candidates;
  const ids = candidates.map(nameToId);
  const configs = new Map(
    candidates.map((name, at): [NodeId, DkgConfig] => [
      must(ids[at]),
      {
        self: must(ids[at]),
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
  return { configs, ids, config: (index) => must(configs.get(must(ids[index - 1]))) };
}

export const sectionLies: readonly SectionLie[] = [
  ...ownLies,
  ...agreementLies.filter((lie) => lie !== 'silent').map(inAgreement),
  ...dkgLies.filter(({ name }) => name !== 'silence').map(inKeyGeneration),
  secondList,
];

export const lieNamed = (part: string): SectionLie =>
  must(sectionLies.find(({ name }) => name.startsWith(part)));

/** N10: tells an elder that asks what it said of statements that it never made. */
export const inventedWords: SectionLie = {
  name: 'words that the asker never said (N10)',
  faults: [],
  corrupt: inPayload('recalled', (payload, _self, _to, prng) => [
    {
      ...payload,
      words: (['vote', 'report', 'strong'] as const).map((phase, round) => ({
        round,
        phase,
        body: prng.bytes(32),
        signature: prng.bytes(64),
      })),
    },
  ]),
};

/** Nobody listens to an adult that votes and endorses. */
export const meddlingAdult: SectionLie = {
  name: 'an adult that votes and endorses',
  faults: ['notElder'],
  corrupt: beside((self, _to, prng) => {
    const generation = self.own.state.authority.generation + 1n;
    const hashes = [prng.bytes(32)];
    return [
      { kind: 'agreement', generation, message: { kind: 'ask', generation, hashes } },
      endorsementOf({ ...self, index: 1 }, { kind: 'places', count: 64 }),
    ];
  }),
};

/** Up to two elders that lie, by seed; both tell one lie, or each its own. */
export function drawLiars(
  prng: Prng,
  elders: readonly Person[],
  most = 2,
  only?: SectionLie,
): ReadonlyMap<NodeId, { readonly person: Person; readonly lie: SectionLie }> {
  const liars = new Map<NodeId, { readonly person: Person; readonly lie: SectionLie }>();
  const count = only === undefined ? prng.below(most + 1) : most;
  const together = prng.chance(0.4) ? prng.pick(sectionLies) : null;
  while (liars.size < count) {
    const person = prng.pick(elders);
    liars.set(person.id, { person, lie: only ?? together ?? prng.pick(sectionLies) });
  }
  return liars;
}

/** The story with these liars in it. */
export function withLiars(
  story: Story,
  liars: ReadonlyMap<NodeId, { readonly person: Person; readonly lie: SectionLie }>,
): Story {
  const gossip = new Map<NodeId, SectionNodeState>();
  const corrupt = new Map(story.corrupt);
  for (const [id, { person, lie }] of liars) corrupt.set(id, lie.corrupt(person, gossip));
  const dealers = new Map(
    [...liars.values()].flatMap(({ person, lie }) =>
      lie.dkg?.dealt === undefined ? [] : [[toHex(person.name), lie.dkg.dealt] as const],
    ),
  );
  const plans = new Map<string, Plan>();
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
        gossip.set(node.id, node.state);
        for (const { plan } of node.state.sessions.values()) {
          plans.set(toHex(childSessionId(plan.session.id, plan.child)), plan);
        }
      }
      story.watch?.(observation, api);
    },
  };
}

export const ghostsOf = (people: readonly Person[]): ReadonlySet<NodeId> =>
  new Set(people.map(({ name }) => nameToId(ghostName(name))));
