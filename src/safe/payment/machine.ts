/**
 * One payment, from the written bundle to registered outputs: PREPARE, COMMIT, REGISTER at all
 * elders, five answers each. Holds no secret, so it runs in the service worker and survives it.
 */
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { stay, type Effect, type Machine, type NodeId, type Step } from '#core/machine.ts';
import { keyAt, onlyCited, sectionKeyHash, type Certificate } from '#money/certificate.ts';
import { verifySealed } from '#money/sealed.ts';
import { decodeTransaction, txidOf } from '#money/transaction.ts';
import { outputName, verifyAck, type MintAnswer } from '#protocol/mint/index.ts';
import { verifyVote, type SpentbookAnswer } from '#protocol/spentbook/index.ts';
import { sharesRequired } from './jobs.ts';
import type { PaymentMessage } from './messages.ts';
import {
  counts,
  isCurrent,
  missingPaths,
  planOf,
  sectionAt,
  viewOf,
  withPath,
} from './sections.ts';
import type {
  AskingPhase,
  Collection,
  Payment,
  PaymentConfig,
  PaymentElder,
  PaymentFact,
  PaymentSections,
  PaymentState,
  WaitingReason,
} from './state.ts';

/** The pause doubles this often at most: sixteen times the first one. */
const maxDoublings = 4;
/** One more than may lie: at least one honest elder among them. */
const oneHonestAmong = 3;
/** After so many rounds without progress the person is told. */
const patientRounds = 2;
const onlyBallot = 0;

type Outcome = Step<PaymentState, Payment>;
type Collecting = PaymentState['phase'] & { readonly kind: 'preparing' | 'committing' };

export const payment: Machine<PaymentConfig, PaymentState, Payment> = {
  start: (config, facts) => {
    const state = recall(config, facts);
    return proceed(config, state, announce(state), true);
  },

  step: (config, state, event) => {
    switch (event.kind) {
      case 'received': {
        if (isOver(state)) return stay(state);
        const heard = { ...state, heard: new Set(state.heard).add(event.from) };
        const { message } = event;
        if (message.kind === 'slotAnswer') {
          return onSlotAnswer(config, heard, event.from, message.answer);
        }
        if (message.kind === 'outputAnswer') {
          return onOutputAnswer(config, heard, event.from, message.answer);
        }
        return stay(state);
      }
      case 'computed':
        return onComputed(config, state, event.id, event.result);
      case 'timerFired':
        return isOver(state) ? stay(state) : repeat(config, state);
      case 'input':
        if (isOver(state)) return stay(state);
        if (event.input.kind === 'repeat') return repeat(config, state);
        return onSections(config, state, event.input.sections);
      default:
        return assertNever(event);
    }
  },
};

const isOver = ({ phase }: PaymentState): boolean =>
  phase.kind === 'registered' || phase.kind === 'replaced';

const noShares: Collection = {
  certificate: null,
  shares: new Map(),
  dropped: new Set(),
  combining: false,
};

/** The state that the bundle and the facts tell; what was only in flight is asked again. */
function recall(config: PaymentConfig, facts: readonly PaymentFact[]): PaymentState {
  const { bundle, sections } = config;
  const decoded = decodeTransaction(bundle.transaction);
  assert(decoded.ok, 'a payment bundle holds a transaction');
  const plan = planOf(decoded.value, sections, missingPaths(sections, bundle.sources));
  const prepared: (Certificate | null)[] = plan.slots.map((_, i) => bundle.prepared?.[i] ?? null);
  const committed: (Certificate | null)[] = plan.slots.map(
    (_, i) => bundle.certificates?.[i] ?? null,
  );
  let ended: PaymentState['phase'] | undefined;
  for (const fact of facts) {
    // How many inputs there are is the transaction's to say, whatever a store holds.
    if ('index' in fact && fact.index >= plan.slots.length) continue;
    if (fact.kind === 'prepared') prepared[fact.index] = fact.certificate;
    else if (fact.kind === 'committed') committed[fact.index] = fact.certificate;
    else if (fact.kind === 'replaced') ended = { kind: 'replaced', by: fact.by };
    else ended = { kind: 'registered', certificates: complete(committed) ?? [] };
  }
  const fresh: PaymentState = {
    plan,
    sections,
    turn: 0,
    phase: { kind: 'proving', missing: [] },
    sources: bundle.sources,
    prepared,
    committed,
    round: 0,
    heard: new Set(),
    conflicts: new Set(),
    refusals: new Set(),
    checking: new Map(),
    hinted: new Set(),
    told: null,
  };
  return ended === undefined ? enter(withoutVoid(fresh)) : { ...fresh, phase: ended };
}

/** N34, f.6: drops what an ended epoch made void; the new one signs the same bytes again. */
function withoutVoid(state: PaymentState): PaymentState {
  const { plan, sections, prepared, committed } = state;
  const kept = (
    list: readonly (Certificate | null)[],
    holds: (slot: Uint8Array, certificate: Certificate) => boolean,
  ): readonly (Certificate | null)[] =>
    list.map((certificate, i) => {
      const slot = plan.slots[i]?.name;
      return slot !== undefined && certificate !== null && holds(slot, certificate)
        ? certificate
        : null;
    });
  return {
    ...state,
    prepared: kept(prepared, (slot, each) => isCurrent(sections, slot, each)),
    committed: kept(committed, (slot, each) => counts(sections, slot, plan.txid, each)),
  };
}

/** A handover somewhere: certificates of the old epoch fall, the same bytes go to the new elders. */
function onSections(
  config: PaymentConfig,
  before: PaymentState,
  sections: PaymentSections,
): Outcome {
  const { plan, sources } = before;
  const same = viewOf(plan, before.sections, sources) === viewOf(plan, sections, sources);
  if (same) return stay({ ...before, sections });
  const state = enter(
    withoutVoid({
      ...before,
      sections,
      turn: before.turn + 1,
      plan: planOf(plan.transaction, sections, missingPaths(sections, sources)),
      checking: new Map(),
      conflicts: new Set(),
    }),
  );
  return proceed(config, state, [], true);
}

/** Said again after a start, because the shell may have died before it heard. */
function announce({ phase }: PaymentState): readonly Effect<Payment>[] {
  if (phase.kind === 'replaced') return [output({ kind: 'replaced', by: phase.by })];
  if (phase.kind === 'registered') {
    const { certificates } = phase;
    return [output({ kind: 'final', certificates }), output({ kind: 'registered', certificates })];
  }
  return [];
}

/** The phase that the certificates in hand allow, from its beginning, with fresh patience. */
function enter(state: PaymentState): PaymentState {
  const anew = {
    ...state,
    round: 0,
    heard: new Set<NodeId>(),
    refusals: new Set<NodeId>(),
    told: null,
  };
  const collect = (list: readonly (Certificate | null)[]): readonly Collection[] =>
    list.map((certificate) => ({ ...noShares, certificate }));
  const certificates = complete(state.committed);
  if (certificates !== undefined) {
    const acks = state.plan.transaction.outputs.map(() => new Set<NodeId>());
    return { ...anew, phase: { kind: 'registering', certificates, acks } };
  }
  const prepared = complete(state.prepared);
  if (prepared !== undefined) {
    const collections = collect(state.committed);
    return { ...anew, phase: { kind: 'committing', prepared, collections } };
  }
  const missing = missingPaths(state.sections, state.sources);
  return missing.length > 0
    ? { ...anew, phase: { kind: 'proving', missing } }
    : { ...anew, phase: { kind: 'preparing', collections: collect(state.prepared) } };
}

/** Enters the next phase as far as the certificates reach, and asks for what is missing. */
function proceed(
  config: PaymentConfig,
  state: PaymentState,
  before: readonly Effect<Payment>[],
  starting = false,
): Outcome {
  if (isOver(state)) {
    return { state, effects: [...before, { kind: 'clearTimer', timer: 'repeat' }] };
  }
  const next = enter(state);
  const moved = starting || next.phase.kind !== state.phase.kind;
  // Within a phase the requests are out already; the timer repeats what is missing.
  if (!moved) return { state, effects: before };
  const effects = [...before];
  if (next.phase.kind === 'registering') {
    effects.push(output({ kind: 'final', certificates: next.phase.certificates }));
  } else if (next.phase.kind === 'committing') {
    effects.push(output({ kind: 'prepared', prepared: next.phase.prepared }));
  }
  effects.push(...ask(config, next), setTimer(config, next));
  return { state: next, effects };
}

/** The identical request to every elder that has not answered it usefully (R0). */
function ask(config: PaymentConfig, state: PaymentState): readonly Effect<Payment>[] {
  const { phase, plan, sections, sources } = state;
  const { transaction } = config.bundle;
  const effects: Effect<Payment>[] = [];
  const send = (
    address: Uint8Array,
    skip: (id: NodeId) => boolean,
    message: (section: Uint8Array) => PaymentMessage,
  ): void => {
    const at = sectionAt(sections, address);
    if (at === undefined) return;
    const to = at.elders.map(({ name }) => toHex(name)).filter((id) => !skip(id));
    if (to.length > 0) {
      effects.push({ kind: 'send', to, message: message(sectionKeyHash(at.key)) });
    }
  };
  const nobody = (): boolean => false;
  if (phase.kind === 'proving') {
    for (const [index, { slot, epoch }] of phase.missing.entries()) {
      const request = requestAt(plan, phase.kind, index);
      const message = { kind: 'prove', request, slot, epoch } as const;
      send(slot, nobody, () => ({ kind: 'slot', slot, message }));
    }
  } else if (phase.kind === 'preparing' || phase.kind === 'committing') {
    for (const [index, { name: slot }] of plan.slots.entries()) {
      const collection = phase.collections[index];
      if (collection === undefined || collection.certificate !== null) continue;
      const { shares, dropped } = collection;
      const request = requestAt(plan, phase.kind, index);
      send(
        slot,
        (id) => shares.has(id) || dropped.has(id),
        (section) => {
          const message =
            phase.kind === 'preparing'
              ? ({ kind: 'prepare', request, section, slot, transaction, sources } as const)
              : ({
                  kind: 'commit',
                  request,
                  section,
                  slot,
                  transaction,
                  prepared: phase.prepared,
                } as const);
          return { kind: 'slot', slot, message };
        },
      );
    }
  } else if (phase.kind === 'registering') {
    for (const [index, { oneTimeKey: key }] of plan.transaction.outputs.entries()) {
      const acks = phase.acks[index];
      if (acks === undefined || acks.size >= sharesRequired) continue;
      const request = requestAt(plan, phase.kind, index);
      const entry = { transaction, certificates: phase.certificates, index };
      send(
        outputName(key),
        (id) => acks.has(id),
        (section) => {
          const message = { kind: 'register', request, section, key, ...entry } as const;
          return { kind: 'output', key, message };
        },
      );
    }
  }
  return effects;
}

function repeat(config: PaymentConfig, state: PaymentState): Outcome {
  const patient: PaymentState = { ...state, round: state.round + 1, hinted: new Set() };
  // Who says that its key has ended is there and well: a handover only takes its time.
  const handsOver = state.hinted.size >= oneHonestAmong;
  const reason: WaitingReason | undefined =
    patient.round >= patientRounds && !handsOver
      ? { kind: 'tooFewElders', answered: patient.heard.size }
      : undefined;
  // A conflict or a refusal says more than silence does.
  const said =
    reason && patient.told === null ? tell(patient, reason) : { state: patient, effects: [] };
  return {
    state: { ...said.state, heard: new Set() },
    effects: [...said.effects, ...ask(config, said.state), setTimer(config, said.state)],
  };
}

const setTimer = (config: PaymentConfig, { round }: PaymentState): Effect<Payment> => ({
  kind: 'setTimer',
  timer: 'repeat',
  afterMs: config.repeatEveryMs * 2 ** Math.min(round, maxDoublings),
});

/** The elder of the section that keeps this address, if the answer came from one. */
const elderAt = (
  state: PaymentState,
  address: Uint8Array,
  from: NodeId,
): PaymentElder | undefined =>
  sectionAt(state.sections, address)?.elders.find(({ name }) => toHex(name) === from);

function onSlotAnswer(
  config: PaymentConfig,
  state: PaymentState,
  from: NodeId,
  answer: SpentbookAnswer,
): Outcome {
  const { phase, plan, sections } = state;
  if (phase.kind === 'proving') return onProof(config, state, phase, from, answer);
  if (phase.kind !== 'preparing' && phase.kind !== 'committing') return stay(state);
  const index = plan.requests[phase.kind].findIndex((id) => equalBytes(id, answer.request));
  const slot = plan.slots[index];
  if (slot === undefined) return stay(state); // Late: an answer of an earlier phase.
  const elder = elderAt(state, slot.name, from);
  if (elder === undefined) return stay(state);
  const { keyImage } = slot;
  const place = `${index}|${state.turn}|${from}`;
  switch (answer.kind) {
    case 'prepared':
      return phase.kind === 'preparing'
        ? onShare(state, phase, index, from, answer.share)
        : stay(state);
    case 'committed':
      return phase.kind === 'committing'
        ? onShare(state, phase, index, from, answer.share)
        : stay(state);
    case 'spent': {
      const { transaction, certificate } = answer;
      const known = onlyCited(sections, [certificate]);
      const job = {
        kind: 'checkSpent',
        sections: known,
        keyImage,
        transaction,
        certificate,
      } as const;
      return check(state, `spent|${place}`, job, answer);
    }
    case 'conflict': {
      const { vote, transaction } = answer;
      const section = sectionAt(sections, slot.name);
      const honest =
        section !== undefined &&
        equalBytes(vote.elder, elder.name) &&
        !equalBytes(vote.txid, plan.txid) &&
        verifyVote({ ...section, networkId: sections.networkId }, config.identity, keyImage, vote);
      if (!honest) return lied(state, from, answer);
      const { txid } = vote;
      const known = onlyCited(sections, []);
      const job = { kind: 'checkConflict', sections: known, keyImage, txid, transaction } as const;
      return check(state, `conflict|${place}`, job, answer);
    }
    case 'bound': {
      const decoded = decodeTransaction(answer.transaction);
      if (!decoded.ok) return lied(state, from, answer);
      const txid = txidOf(decoded.value);
      const root = keyAt(sections, slot.name, answer.epoch)?.sealedRoot;
      if (root === undefined || root === null) return hint(state, slot.name, from);
      if (!verifySealed(root, slot.name, txid, answer.path)) return lied(state, from, answer);
      const { transaction } = answer;
      const known = onlyCited(sections, []);
      const job = { kind: 'checkConflict', sections: known, keyImage, txid, transaction } as const;
      return check(state, `bound|${place}`, job, answer);
    }
    case 'malformed':
      return onRefusal(state, from, answer.what);
    case 'notAllowed':
      return onRefusal(state, from, answer.rule);
    case 'sealed':
    case 'otherKey':
      return onKeyHint(state, slot.name, from, answer);
    case 'unproven':
      return hint(state, answer.slot, from);
    case 'busy':
    case 'proof':
      return stay(state); // The timer repeats; a proof is late.
    default:
      return assertNever(answer);
  }
}

function onProof(
  config: PaymentConfig,
  state: PaymentState,
  phase: PaymentState['phase'] & { readonly kind: 'proving' },
  from: NodeId,
  answer: SpentbookAnswer,
): Outcome {
  if (answer.kind !== 'proof' || answer.path === null) return stay(state);
  const { plan, sections } = state;
  const index = plan.requests.proving.findIndex((id) => equalBytes(id, answer.request));
  const missing = phase.missing[index];
  if (missing === undefined) return stay(state);
  const { slot, epoch, txid } = missing;
  const root = keyAt(sections, slot, epoch)?.sealedRoot;
  if (elderAt(state, slot, from) === undefined || root === undefined || root === null) {
    return stay(state);
  }
  if (!verifySealed(root, slot, txid, answer.path)) return lied(state, from, answer);
  const sources = withPath(state.sources, missing, answer.path);
  const left = missingPaths(sections, sources);
  const next = { ...state, sources, plan: planOf(plan.transaction, sections, left) };
  const proving = { ...phase, missing: left };
  return left.length > 0
    ? proceed(config, { ...next, phase: proving }, [], true)
    : proceed(config, { ...next, phase: proving }, []);
}

/** An elder that is behind is no news; one that is sealed or ahead is. */
function onKeyHint(
  state: PaymentState,
  address: Uint8Array,
  from: NodeId,
  answer: { readonly kind: string; readonly epoch: bigint },
): Outcome {
  const known = sectionAt(state.sections, address)?.epoch;
  const behind = known !== undefined && answer.epoch < known;
  return behind ? stay(state) : hint(state, address, from);
}

function hint(state: PaymentState, address: Uint8Array, elder: NodeId): Outcome {
  if (state.hinted.has(elder)) return stay(state);
  return {
    state: { ...state, hinted: new Set(state.hinted).add(elder) },
    effects: [output({ kind: 'outdated', address, elder })],
  };
}

const lied = (
  state: PaymentState,
  culprit: NodeId,
  answer: SpentbookAnswer | MintAnswer,
): Outcome => ({ state, effects: [blame({ kind: 'badEvidence', culprit, answer })] });

function onShare(
  state: PaymentState,
  phase: Collecting,
  index: number,
  from: NodeId,
  share: Uint8Array,
): Outcome {
  const collection = phase.collections[index];
  if (collection === undefined || collection.certificate !== null) return stay(state);
  if (collection.shares.has(from) || collection.dropped.has(from)) return stay(state);
  const shares = new Map(collection.shares).set(from, share);
  return combineWhenEnough(state, phase, index, { ...collection, shares });
}

function combineWhenEnough(
  state: PaymentState,
  phase: Collecting,
  index: number,
  collection: Collection,
): Outcome {
  const enough = collection.shares.size >= sharesRequired && !collection.combining;
  const next = enough ? { ...collection, combining: true } : collection;
  const now = { ...state, phase: withCollection(phase, index, next) };
  if (!enough) return stay(now);
  const { plan, sections, turn } = state;
  const slot = plan.slots[index];
  const section = slot && sectionAt(sections, slot.name);
  assert(slot !== undefined && section !== undefined, 'a collection belongs to a known slot');
  const { keyImage } = slot;
  const { networkId } = sections;
  const { prefix, key, epoch } = section;
  const shares = section.elders.flatMap(({ name, index: at, publicShare }) => {
    const from = toHex(name);
    const share = collection.shares.get(from);
    return share === undefined ? [] : [{ from, index: at, publicShare, share }];
  });
  const job = {
    kind: 'combine',
    section: { networkId, prefix, key, epoch },
    phase: phase.kind === 'preparing' ? 'PREPARE' : 'COMMIT',
    statement: { keyImage, ballot: onlyBallot, txid: plan.txid },
    shares,
  } as const;
  return { state: now, effects: [{ kind: 'compute', id: `${phase.kind}|${index}|${turn}`, job }] };
}

const withCollection = (phase: Collecting, index: number, collection: Collection): Collecting => ({
  ...phase,
  collections: phase.collections.map((each, i) => (i === index ? collection : each)),
});

/** Starts a check of evidence unless one for this elder and place is already running. */
function check(
  state: PaymentState,
  id: string,
  job: Payment['job'],
  answer: SpentbookAnswer | MintAnswer,
): Outcome {
  if (state.checking.has(id)) return stay(state);
  return {
    state: { ...state, checking: new Map(state.checking).set(id, answer) },
    effects: [{ kind: 'compute', id, job }],
  };
}

function onRefusal(state: PaymentState, from: NodeId, what: string): Outcome {
  const refusals = new Set(state.refusals).add(from);
  const now = { ...state, refusals };
  return refusals.size >= oneHonestAmong ? tell(now, { kind: 'refused', what }) : stay(now);
}

function onOutputAnswer(
  config: PaymentConfig,
  state: PaymentState,
  from: NodeId,
  answer: MintAnswer,
): Outcome {
  const { phase, plan, sections, turn } = state;
  if (phase.kind !== 'registering') return stay(state);
  const index = plan.requests.registering.findIndex((id) => equalBytes(id, answer.request));
  const key = plan.transaction.outputs[index]?.oneTimeKey;
  if (key === undefined) return stay(state);
  const address = outputName(key);
  const section = sectionAt(sections, address);
  const elder = elderAt(state, address, from);
  if (elder === undefined || section === undefined) return stay(state);
  switch (answer.kind) {
    case 'registered': {
      const acked = { key, txid: plan.txid };
      const signer = { ...section, networkId: sections.networkId };
      return verifyAck(signer, config.identity, elder.name, acked, answer.signature)
        ? onAck(state, phase, index, from)
        : lied(state, from, answer);
    }
    case 'duplicate': {
      const { entry } = answer;
      const job = { kind: 'checkDuplicate', sections, oneTimeKey: key, entry } as const;
      return check(state, `duplicate|${index}|${turn}|${from}`, job, answer);
    }
    case 'unregistrable':
      return onRefusal(state, from, answer.what);
    case 'sealed':
    case 'otherKey':
      return onKeyHint(state, address, from, answer);
    case 'unproven':
      return hint(state, answer.slot, from);
    case 'mintBusy':
      return stay(state);
    default:
      return assertNever(answer);
  }
}

function onAck(
  state: PaymentState,
  phase: PaymentState['phase'] & { readonly kind: 'registering' },
  index: number,
  from: NodeId,
): Outcome {
  const acks = phase.acks.map((each, i) => (i === index ? new Set(each).add(from) : each));
  if (!acks.every((each) => each.size >= sharesRequired)) {
    return stay({ ...state, phase: { ...phase, acks } });
  }
  const { certificates } = phase;
  return {
    state: { ...state, phase: { kind: 'registered', certificates } },
    effects: [
      { kind: 'persist', fact: { kind: 'registered' } },
      output({ kind: 'registered', certificates }),
      { kind: 'clearTimer', timer: 'repeat' },
    ],
  };
}

function onComputed(
  config: PaymentConfig,
  state: PaymentState,
  id: string,
  result: Payment['result'],
): Outcome {
  if (isOver(state)) return stay(state);
  const [what = '', place = '', turn = '', from = ''] = id.split('|');
  if (Number(turn) !== state.turn) return stay(state);
  const index = Number(place);
  if (result.kind === 'combined') {
    const { phase } = state;
    if (phase.kind !== what) return stay(state);
    assert(phase.kind === 'preparing' || phase.kind === 'committing', 'shares make certificates');
    return onCombined(config, state, phase, index, result);
  }
  const answer = state.checking.get(id);
  if (answer === undefined) return stay(state);
  const checking = new Map(state.checking);
  checking.delete(id);
  const now = { ...state, checking };
  if (result.kind === 'unproven') {
    const address = state.plan.slots[index]?.name;
    return address === undefined ? stay(now) : hint(now, address, from);
  }
  const { txid } = result;
  const mine = txid !== null && equalBytes(txid, state.plan.txid);
  if (txid === null || (mine && answer.kind !== 'spent')) return lied(now, from, answer);
  if (answer.kind === 'spent') return onSpent(config, now, index, txid, answer);
  if (answer.kind === 'conflict' || answer.kind === 'bound') {
    const conflicts = new Set(now.conflicts).add(from);
    const { transaction } = answer;
    return tell({ ...now, conflicts }, { kind: 'conflict', txid, transaction });
  }
  const oneTimeKey = state.plan.transaction.outputs[index]?.oneTimeKey;
  assert(oneTimeKey !== undefined, 'a duplicate is about one of our outputs');
  return tell(now, { kind: 'duplicateKey', oneTimeKey });
}

function onCombined(
  config: PaymentConfig,
  state: PaymentState,
  phase: Collecting,
  index: number,
  result: Payment['result'] & { readonly kind: 'combined' },
): Outcome {
  const { plan } = state;
  const collection = phase.collections[index];
  const statement = {
    keyImage: plan.slots[index]?.keyImage ?? new Uint8Array(),
    ballot: onlyBallot,
    txid: plan.txid,
  };
  if (collection === undefined || collection.certificate !== null) return stay(state);
  const purpose = phase.kind === 'preparing' ? 'PREPARE' : 'COMMIT';
  const shares = new Map(collection.shares);
  const blames: Effect<Payment>[] = [];
  for (const culprit of result.bad) {
    const share = shares.get(culprit);
    if (share === undefined) continue;
    shares.delete(culprit);
    blames.push(blame({ kind: 'badShare', culprit, phase: purpose, statement, share }));
  }
  const dropped = new Set([...collection.dropped, ...result.bad]);
  const { certificate } = result;
  const next = { certificate, shares, dropped, combining: false };
  if (certificate === null) {
    // Shares that came while the job ran may already be enough.
    const again = combineWhenEnough(state, phase, index, next);
    return { state: again.state, effects: [...blames, ...again.effects] };
  }
  const kind = phase.kind === 'preparing' ? 'prepared' : 'committed';
  const effects: Effect<Payment>[] = [
    ...blames,
    { kind: 'persist', fact: { kind, index, certificate } },
  ];
  const now: PaymentState = {
    ...state,
    round: 0,
    phase: withCollection(phase, index, next),
    [kind]: replaceAt(state[kind], index, certificate),
  };
  return proceed(config, now, effects);
}

/** A verified commit certificate for one of our slots: the truth, whoever sent it (R7). */
function onSpent(
  config: PaymentConfig,
  state: PaymentState,
  index: number,
  txid: Uint8Array,
  answer: SpentbookAnswer & { readonly kind: 'spent' },
): Outcome {
  const { certificate, transaction } = answer;
  const { plan } = state;
  const keyImage = plan.slots[index]?.keyImage;
  assert(keyImage !== undefined, 'evidence is about one of our slots');
  if (!equalBytes(txid, plan.txid)) {
    const by = { txid, transaction, keyImage, certificate };
    return {
      state: { ...state, phase: { kind: 'replaced', by } },
      effects: [
        { kind: 'persist', fact: { kind: 'replaced', by } },
        output({ kind: 'replaced', by }),
        { kind: 'clearTimer', timer: 'repeat' },
      ],
    };
  }
  if (state.committed[index] !== null) return stay(state);
  const committed = replaceAt(state.committed, index, certificate);
  const { phase } = state;
  const settled =
    phase.kind === 'committing'
      ? withCollection(phase, index, { ...noShares, certificate })
      : phase;
  const fact = { kind: 'committed', index, certificate } as const;
  return proceed(config, { ...state, committed, phase: settled }, [{ kind: 'persist', fact }]);
}

/** Tells the person once why the payment waits. */
function tell(state: PaymentState, reason: WaitingReason): Outcome {
  if (state.told === reason.kind) return stay(state);
  return {
    state: { ...state, told: reason.kind },
    effects: [output({ kind: 'waiting', reason })],
  };
}

function requestAt(plan: PaymentState['plan'], phase: AskingPhase, index: number): Uint8Array {
  const id = plan.requests[phase][index];
  assert(id !== undefined, 'every slot and output has a request id');
  return id;
}

const complete = <T>(parts: readonly (T | null)[]): readonly T[] | undefined => {
  const known = parts.filter((part) => part !== null);
  return known.length === parts.length ? known : undefined;
};

const replaceAt = <T>(list: readonly T[], index: number, value: T): readonly T[] =>
  list.map((each, i) => (i === index ? value : each));

const output = (said: Payment['output']): Effect<Payment> => ({ kind: 'output', output: said });
const blame = (fault: Payment['fault']): Effect<Payment> => ({ kind: 'blame', fault });
