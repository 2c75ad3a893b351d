/**
 * Makes a generated payload its sender's own: everything that receivers verify is signed with the
 * keys that the sender really has. The rest stays as generated.
 */
import { equalBytes } from '#core/codec/bytes.ts';
import {
  proposalHash,
  roundChangeBody,
  roundChangesDigest,
  statementBytes,
  precommitBody,
  prevoteBody,
  type AgreementMessage,
  type RoundChange,
  type StatementPhase,
  type Value,
} from '#protocol/agreement/index.ts';
import { toValue } from '#protocol/agreement/statements.ts';
import {
  childSessionId,
  listHash,
  performDkgJob,
  type DkgMessage,
  type SignedReadiness,
  type SignedDealing,
  type SignedKey,
  type ProposedList,
} from '#protocol/dkg/index.ts';
import {
  dealingHash,
  keyBytes,
  readinessBytes,
  proposedListBytes,
  voucherBytes,
  type Binding,
} from '#protocol/dkg/transcript.ts';
import { inheritanceReceiptBytes, type HandoverMessage } from '#protocol/handover/index.ts';
import {
  actBodyBytes,
  decodeAct,
  decodeActBody,
  encodeAct,
  endorse,
  readyBytes,
  snapshotBytes,
  withEndorsements,
  type ActBody,
  type ReadyProof,
} from '#protocol/membership/index.ts';
import type { SealedState } from '#protocol/section/index.ts';
import { dkgInstanceId } from '#roles/section-node/dkg/instance-id.ts';
import type { SessionPlan } from '#roles/section-node/state.ts';
import type { NodePayload, SectionNodeState } from '#roles/section-node/index.ts';
import { anotherSignature } from '../toys/curves.ts';
import type { SimNode } from '../section/section-world.ts';
import { actBodyShape, actKinds, bodyFrom, inElderOrder } from './fillings.ts';
import { caseOf, makeCase, type Making } from './make-values.ts';

/** The sender and its knowledge: unknown peers know what the lying members know. */
export interface Sender {
  readonly simNode: SimNode;
  readonly state: SectionNodeState;
  readonly own: SealedState;
  /** 1…7 among the elders; 0 for all others. */
  readonly index: number;
}

/** Generated acts and dealings that liars may cite, offer and send; shared by all liars. */
export interface InventedValues {
  readonly acts: Uint8Array[];
  readonly dealings: { readonly sessionId: Uint8Array; readonly dealing: SignedDealing }[];
}

/** Limit of stored inventions of one kind. */
const remembered = 64;

export function signAsSender(
  payload: NodePayload,
  sender: Sender,
  making: Making,
  inventions: InventedValues,
): NodePayload {
  const self: Self = { ...sender, making, inventions, sign: signerOf(sender, making) };
  switch (payload.kind) {
    case 'agreement': {
      if (sender.index === 0) return payload;
      const generation = sender.own.state.authority.generation + 1n;
      const isNext = making.prng.chance(0.9);
      const at = isNext ? generation : payload.generation;
      const message = inAgreement(self, { ...payload.message, generation: at });
      return { ...payload, generation: at, message };
    }
    case 'endorse': {
      const body = decodeActBody(payload.body);
      if (!body.ok || sender.index === 0) return payload;
      const { identity } = self.simNode.config.suites;
      const { own, index, simNode } = self;
      const { identitySeed } = simNode.config;
      const endorsed = ownBody(self, body.value);
      const { signature } = endorse(identity, own.state, index, identitySeed, endorsed);
      const generation = own.state.authority.generation + 1n;
      return { ...payload, generation, body: actBodyBytes(endorsed), signature };
    }
    case 'join': {
      const body = decodeActBody(payload.body);
      if (!body.ok || body.value.kind !== 'join') return payload;
      return { ...payload, body: actBodyBytes({ ...body.value, name: self.simNode.name }) };
    }
    case 'dkg': {
      const at = ofNow(self, payload);
      const plan = planOf(self, at.session, at.child);
      return plan === undefined
        ? payload
        : { ...payload, ...at, message: inKeyGeneration(self, plan, payload.message) };
    }
    case 'ready': {
      const at = ofNow(self, payload);
      return { ...payload, ...at, proof: vouched(self, at.session, at.child, payload.proof) };
    }
    case 'handover':
      return { ...payload, message: inHandover(self, payload.message) };
    default:
      return payload;
  }
}

interface Self extends Sender {
  readonly making: Making;
  readonly inventions: InventedValues;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
}

/** Sometimes uses another nonce than the machine would. */
const signerOf =
  ({ simNode: { config } }: Sender, { prng }: Making) =>
  (bytes: Uint8Array): Uint8Array =>
    prng.chance(0.3)
      ? anotherSignature(config.identitySeed, bytes, prng.bytes(8))
      : config.suites.identity.sign(config.identitySeed, bytes);

interface SessionChild {
  readonly session: Uint8Array;
  readonly child: number;
}

/** Replaces the session of a message by a key generation that is open now. */
function ofNow({ own, making: { prng } }: Self, { session, child }: SessionChild): SessionChild {
  const { sessions } = own.state.ledger;
  const isOpen = sessions.some(({ id }) => equalBytes(id, session));
  if (isOpen || sessions.length === 0 || prng.chance(0.1)) return { session, child };
  const { id, children } = prng.pick(sessions);
  return { session: id, child: prng.below(children.length) };
}

function keep<T>(list: T[], item: T): void {
  list.push(item);
  if (list.length > remembered) list.shift();
}

/** An act with the sender's own endorsement, or for a sealed set its own root. */
export function ownAct(self: Self, bytes: Uint8Array): Uint8Array {
  const decoded = decodeAct(bytes);
  if (!decoded.ok) return bytes;
  const body = ownBody(self, decoded.value.body);
  const { identity } = self.simNode.config.suites;
  const { own, index, simNode, making } = self;
  const signed = endorse(identity, own.state, index, simNode.config.identitySeed, body);
  const isProven = body.kind === 'handover' || body.kind === 'sealedSet';
  const act = isProven ? { body, endorsements: [] } : { body, endorsements: [signed] };
  const made = encodeAct(
    making.prng.chance(0.3) ? withEndorsements(act, decoded.value.endorsements) : act,
  );
  keep(self.inventions.acts, made);
  return made;
}

function ownBody(self: Self, body: ActBody): ActBody {
  const closing = self.state.activeHandover?.closingState;
  const { making, index } = self;
  if (body.kind === 'handover') {
    const ready = body.ready.map((proof, child) =>
      withInventedVouchers(self, body.sessionId, child, proof),
    );
    return { ...body, ready };
  }
  if (body.kind !== 'sealedSet' || closing === undefined || index === 0) return body;
  const others = self.state.activeHandover?.state?.roots ?? new Map();
  const root = making.prng.bytes(32);
  const mine = { elder: index, root, signature: self.sign(snapshotBytes(closing, index, root)) };
  const snapshots = inElderOrder([...body.snapshots, ...others.values(), mine]);
  return { ...body, snapshots };
}

/** New acts of one kind: sixteen unseen ones cost as much as one statement. */
function freshActs(self: Self, count: number): void {
  const { making } = self;
  const isEnding = self.state.activeHandover !== null && making.prng.chance(0.6);
  const kind = isEnding ? 'sealedSet' : caseOf(making, actKinds);
  for (let n = 0; n < count; n++) {
    const body = bodyFrom(makeCase(making, actBodyShape, kind));
    const bare = self.making.prng.chance(0.5) && body.kind === 'sealedSet';
    ownAct(self, encodeAct({ body: bare ? { ...body, snapshots: [] } : body, endorsements: [] }));
  }
}

/** What was invented, offered and cited: half of the time the same by both. */
function inventedValue(self: Self, given: Value): Value {
  const { making, inventions } = self;
  const { prng } = making;
  if (prng.chance(0.4)) freshActs(self, prng.pick([1, 16]));
  const count = Math.min(inventions.acts.length, prng.pick([1, 2, 16, 16]));
  if (count === 0 || prng.chance(0.3)) return unique(given);
  return unique(inventions.acts.slice(-count).map(proposalHash));
}

const unique = (value: Value): Value =>
  toValue(value).filter((hash, at, all) => at === 0 || !equalBytes(hash, all[at - 1] ?? hash));

function inAgreement(self: Self, message: AgreementMessage): AgreementMessage {
  const voter = self.index - 1;
  const { authority } = self.own.state;
  const scope = {
    networkId: authority.networkId,
    key: authority.key,
    epoch: authority.epoch,
    generation: message.generation,
    elders: authority.elders.map(({ name }) => name),
    identity: self.simNode.config.suites.identity,
  };
  const stated = (round: number, phase: StatementPhase, body: Uint8Array): Uint8Array =>
    self.sign(statementBytes(scope, round, phase, self.simNode.name, body));
  const ownReport = (report: RoundChange): RoundChange => {
    const round = Math.max(1, report.round);
    const proposals = inventedValue(self, report.proposals);
    // A lock of the highest possible round has no encoding: it cannot be signed.
    const highest = report.highest?.round === 2 ** 32 - 1 ? null : report.highest;
    const signature = stated(round, 'roundChange', roundChangeBody(highest, proposals));
    return { voter, round, highest, proposals, signature };
  };
  switch (message.kind) {
    case 'prevote': {
      const { round } = message.prevote;
      const proposals = message.proposals.map((each) => ownAct(self, each));
      const roundChanges = round === 0 ? [] : message.prevote.roundChanges;
      const value = inventedValue(self, message.prevote.value);
      const signature = stated(
        round,
        'prevote',
        prevoteBody(value, roundChangesDigest(roundChanges)),
      );
      return { ...message, proposals, prevote: { voter, round, value, roundChanges, signature } };
    }
    case 'precommit': {
      const { certificate } = message.precommit;
      const signature = stated(certificate.round, 'precommit', precommitBody(certificate.value));
      return { ...message, precommit: { voter, certificate, signature } };
    }
    case 'roundChanges': {
      const [first, ...rest] = message.roundChanges;
      return first === undefined
        ? message
        : { ...message, roundChanges: [ownReport(first), ...rest.slice(0, 2)] };
    }
    case 'proposals': {
      // Proposals that others wait for because they were cited; otherwise new ones.
      const cited = self.inventions.acts.slice(-16);
      const proposals =
        cited.length > 0 && self.making.prng.chance(0.6)
          ? cited
          : message.proposals.map((each) => ownAct(self, each));
      return { ...message, proposals };
    }
    default:
      return message;
  }
}

function planOf({ state }: Sender, session: Uint8Array, child: number): SessionPlan | undefined {
  return state.sessions.get(dkgInstanceId(session, child))?.plan;
}

const bindingOf = (plan: SessionPlan): Binding => ({
  networkId: plan.networkId,
  sessionId: childSessionId(plan.session.id, plan.child),
});

/** 1…7, or 0 for a node that is no candidate. */
const candidateOf = ({ simNode }: Sender, { session, child }: SessionPlan): number =>
  (session.children[child]?.candidates ?? []).findIndex((name) => equalBytes(name, simNode.name)) +
  1;

function inKeyGeneration(self: Self, plan: SessionPlan, message: DkgMessage): DkgMessage {
  const candidate = candidateOf(self, plan);
  const binding = bindingOf(plan);
  const { sessionId } = binding;
  if (candidate === 0) return { ...message, sessionId };
  switch (message.kind) {
    case 'status':
      return { ...message, sessionId };
    case 'parts':
      return {
        ...message,
        sessionId,
        keys: message.keys.map((key): SignedKey => {
          const mine = { ...key, candidate };
          return { ...mine, signature: self.sign(keyBytes(binding, mine)) };
        }),
        lists: message.lists.map((list) => ownList(self, plan, candidate, list)),
        readiness: message.readiness.map((each): SignedReadiness => {
          const mine = { ...each, candidate };
          return { ...mine, signature: self.sign(readinessBytes(binding, mine)) };
        }),
      };
    case 'dealing': {
      const made = secondDealing(self, plan, candidate, message.dealing);
      return { ...message, sessionId, dealing: made };
    }
  }
}

/** Real dealings of the others, and one of its own that few have seen. */
function ownList(
  self: Self,
  plan: SessionPlan,
  candidate: number,
  list: ProposedList,
): ProposedList {
  const binding = bindingOf(plan);
  const held = self.state.sessions.get(dkgInstanceId(plan.session.id, plan.child))?.state;
  const byDealer = new Map(
    [...(held?.dealings.values() ?? [])].map(({ dealing, hash }) => [dealing.dealer, hash]),
  );
  const second = self.inventions.dealings.findLast(
    ({ sessionId, dealing }) =>
      equalBytes(sessionId, binding.sessionId) && dealing.dealer === candidate,
  );
  if (second !== undefined) byDealer.set(candidate, dealingHash(binding, second.dealing));
  const { prng } = self.making;
  // Most lists can be completed by others: a key that only some know is the stronger attack.
  const odd = prng.chance(0.3) ? 0.15 : 0;
  const dealings = list.dealings.map((given, at) =>
    prng.chance(odd) ? given : (byDealer.get(at + 1) ?? null),
  );
  const mine = { candidate, dealings };
  return { ...mine, signature: self.sign(proposedListBytes(binding, mine)) };
}

function secondDealing(
  self: Self,
  plan: SessionPlan,
  candidate: number,
  given: SignedDealing,
): SignedDealing {
  const binding = bindingOf(plan);
  const { sessionId } = binding;
  const { prng } = self.making;
  const known = self.inventions.dealings.filter((each) => equalBytes(each.sessionId, sessionId));
  if (known.length > 0 && prng.chance(0.7)) return prng.pick(known).dealing;
  const held = self.state.sessions.get(dkgInstanceId(plan.session.id, plan.child))?.state;
  const keys = [1, 2, 3, 4, 5, 6, 7].map((index) => held?.keys.get(index) ?? null);
  const result = performDkgJob(
    {
      kind: 'deal',
      binding,
      dealer: candidate,
      list: keys,
      fallbackKeys: plan.fallbackKeys,
      identitySeed: self.simNode.config.identitySeed,
      seed: prng.bytes(32),
    },
    self.simNode.config.suites,
  );
  if (result.kind !== 'dealt') return given;
  keep(self.inventions.dealings, { sessionId, dealing: result.dealing });
  return result.dealing;
}

/**
 * The same proof with the sender's own voucher signed differently: another act with the same
 * content.
 */
function withInventedVouchers(
  self: Self,
  session: Uint8Array,
  child: number,
  proof: ReadyProof,
): ReadyProof {
  const open = self.own.state.ledger.sessions.find(({ id }) => equalBytes(id, session));
  const planned = open?.children[child];
  if (open === undefined || planned === undefined || self.making.prng.chance(0.3)) return proof;
  const { candidates } = planned;
  const own = candidates.findIndex((name) => equalBytes(name, self.simNode.name)) + 1;
  const { networkId } = self.own.state.authority;
  const binding = { networkId, sessionId: childSessionId(session, child) };
  const { list, key, publicShares } = proof;
  const message = readyBytes(self.own.state, open, child, listHash(binding, list), {
    key,
    publicShares,
  });
  const vouchers = proof.vouchers.map((each) =>
    each.candidate === own
      ? { ...each, signature: self.sign(voucherBytes(binding, message)) }
      : each,
  );
  return { ...proof, vouchers };
}

/** Adds the sender's own voucher; sometimes all of the proof is for an invented key. */
function vouched(self: Self, session: Uint8Array, child: number, proof: ReadyProof): ReadyProof {
  const { prng } = self.making;
  const open = self.own.state.ledger.sessions.find(({ id }) => equalBytes(id, session));
  const planned = open?.children[child];
  if (open === undefined || planned === undefined) return proof;
  const candidate = planned.candidates.findIndex((name) => equalBytes(name, self.simNode.name)) + 1;
  const { networkId } = self.own.state.authority;
  const binding = { networkId, sessionId: childSessionId(session, child) };
  const { threshold } = self.simNode.config.suites;
  const secret = new Uint8Array(32);
  secret.set(prng.bytes(7), 25);
  const isInvented = prng.chance(0.4);
  const key = isInvented ? threshold.publicKey(secret) : proof.key;
  const publicShares = isInvented ? proof.publicShares.map(() => key) : proof.publicShares;
  const hash = listHash(binding, proof.list);
  const message = readyBytes(self.own.state, open, child, hash, { key, publicShares });
  const voucher = self.sign(voucherBytes(binding, message));
  return {
    ...proof,
    key,
    publicShares,
    signature: isInvented ? threshold.sign(secret, 'READY', message) : proof.signature,
    vouchers: proof.vouchers.map((each) =>
      isInvented || each.candidate === candidate ? { ...each, signature: voucher } : each,
    ),
  };
}

function inHandover(self: Self, message: HandoverMessage): HandoverMessage {
  const closing = self.state.activeHandover?.closingState;
  if (message.kind !== 'progress' || closing === undefined) return message;
  const record = self.state.activeHandover?.state?.successor?.record;
  const { phase } = closing.ledger;
  const charters = phase.kind === 'open' ? [] : phase.charters;
  return {
    ...message,
    roots: message.roots.map((each, at) => {
      if (self.index === 0 || (at > 0 && each.elder !== self.index)) return each;
      const bytes = snapshotBytes(closing, self.index, each.root);
      return { ...each, elder: self.index, signature: self.sign(bytes) };
    }),
    receipts: message.receipts.map((each) => {
      const elder = charters[each.child]?.elders.find(({ name }) =>
        equalBytes(name, self.simNode.name),
      );
      if (elder === undefined || record === undefined) return each;
      const signature = self.sign(inheritanceReceiptBytes(record, each.child));
      return { ...each, elder: elder.index, signature };
    }),
  };
}
