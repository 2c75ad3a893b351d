/**
 * One payment, from the written bundle to registered outputs: PREPARE, COMMIT, REGISTER at all
 * elders, five answers each. Holds no secret, so it runs in the service worker and survives it.
 */
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { stay, type Effect, type Machine, type NodeId, type Step } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { Certificate } from '#money/certificate.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import { verifyAck, type MintAnswer } from '#protocol/mint/index.ts';
import { REQUEST_BYTES, verifyVote, type SpentbookAnswer } from '#protocol/spentbook/index.ts';
import { sharesRequired } from './jobs.ts';
import type { PaymentMessage } from './messages.ts';
import type {
  AskingPhase,
  Collection,
  Payment,
  PaymentConfig,
  PaymentElder,
  PaymentFact,
  PaymentState,
  Plan,
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
    const plan = planOf(config);
    const state = recall(config, plan, facts);
    return proceed(config, plan, state, announce(state), true);
  },

  step: (config, state, event) => {
    const { plan } = state;
    switch (event.kind) {
      case 'received': {
        const elder = config.elders.find(({ name }) => toHex(name) === event.from);
        if (elder === undefined || isOver(state)) return stay(state);
        const heard = { ...state, heard: new Set(state.heard).add(event.from) };
        const { message } = event;
        if (message.kind === 'slotAnswer') {
          return onSlotAnswer(config, plan, heard, elder, message.answer);
        }
        if (message.kind === 'outputAnswer') {
          return onOutputAnswer(config, plan, heard, elder, message.answer);
        }
        return stay(state);
      }
      case 'computed':
        return onComputed(config, plan, state, event.id, event.result);
      case 'timerFired':
      case 'input':
        return isOver(state) ? stay(state) : repeat(config, plan, state);
      default:
        return assertNever(event);
    }
  },
};

function planOf(config: PaymentConfig): Plan {
  const decoded = decodeTransaction(config.bundle.transaction);
  assert(decoded.ok, 'a payment bundle holds a transaction');
  const slots = decoded.value.inputs.map(({ keyImage }) => ({
    name: slotName(keyImage),
    keyImage,
  }));
  const txid = txidOf(decoded.value);
  const ids = (phase: AskingPhase, count: number): readonly Uint8Array[] =>
    Array.from({ length: count }, (_, index) => requestId(txid, phase, index));
  const requests = {
    preparing: ids('preparing', slots.length),
    committing: ids('committing', slots.length),
    registering: ids('registering', decoded.value.outputs.length),
  };
  return { transaction: decoded.value, txid, slots, requests };
}

const isOver = ({ phase }: PaymentState): boolean =>
  phase.kind === 'registered' || phase.kind === 'replaced';

const noShares: Collection = {
  certificate: null,
  shares: new Map(),
  dropped: new Set(),
  combining: false,
};

/** The state that the bundle and the facts tell; what was only in flight is asked again. */
function recall(config: PaymentConfig, plan: Plan, facts: readonly PaymentFact[]): PaymentState {
  const { bundle } = config;
  const prepared: (Certificate | null)[] = plan.slots.map((_, i) => bundle.prepared?.[i] ?? null);
  const committed: (Certificate | null)[] = plan.slots.map(
    (_, i) => bundle.certificates?.[i] ?? null,
  );
  const fresh: PaymentState = {
    plan,
    phase: {
      kind: 'preparing',
      collections: plan.slots.map(() => noShares),
    },
    committed,
    round: 0,
    heard: new Set(),
    conflicts: new Set(),
    refusals: new Set(),
    checking: new Map(),
    told: null,
  };
  let ended: PaymentState['phase'] | undefined;
  for (const fact of facts) {
    if (fact.kind === 'prepared') prepared[fact.index] = fact.certificate;
    else if (fact.kind === 'committed') committed[fact.index] = fact.certificate;
    else if (fact.kind === 'replaced') ended = { kind: 'replaced', by: fact.by };
    else ended = { kind: 'registered', certificates: complete(committed) ?? [] };
  }
  const phase = ended ?? {
    kind: 'preparing',
    collections: prepared.map((certificate) => ({ ...noShares, certificate })),
  };
  return { ...fresh, phase };
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

/** Enters the next phase as far as the certificates reach, and asks for what is missing. */
function proceed(
  config: PaymentConfig,
  plan: Plan,
  state: PaymentState,
  before: readonly Effect<Payment>[],
  starting = false,
): Outcome {
  const effects = [...before];
  let now = state;
  const certificates = complete(now.committed);
  if (!isOver(now) && now.phase.kind !== 'registering' && certificates !== undefined) {
    const acks = plan.transaction.outputs.map(() => new Set<NodeId>());
    now = anew({ ...now, phase: { kind: 'registering', certificates, acks } });
    effects.push(output({ kind: 'final', certificates }));
  }
  if (now.phase.kind === 'preparing') {
    const prepared = complete(now.phase.collections.map(({ certificate }) => certificate));
    if (prepared !== undefined) {
      const collections = now.committed.map((certificate) => ({ ...noShares, certificate }));
      now = anew({ ...now, phase: { kind: 'committing', prepared, collections } });
      effects.push(output({ kind: 'prepared', prepared }));
    }
  }
  if (isOver(now)) effects.push({ kind: 'clearTimer', timer: 'repeat' });
  // Within a phase the requests are out already; the timer repeats what is missing.
  else if (starting || now.phase.kind !== state.phase.kind) {
    effects.push(...ask(config, plan, now), setTimer(config, now));
  }
  return { state: now, effects };
}

/** A phase starts with fresh patience. */
const anew = (state: PaymentState): PaymentState => ({
  ...state,
  round: 0,
  heard: new Set(),
  refusals: new Set(),
  told: null,
});

/** The identical request to every elder that has not answered it usefully (R0). */
function ask(config: PaymentConfig, plan: Plan, state: PaymentState): readonly Effect<Payment>[] {
  const { phase } = state;
  const { transaction, sources } = config.bundle;
  const effects: Effect<Payment>[] = [];
  const send = (to: readonly NodeId[], message: PaymentMessage): void => {
    if (to.length > 0) effects.push({ kind: 'send', to, message });
  };
  if (phase.kind === 'preparing' || phase.kind === 'committing') {
    for (const [index, { name: slot }] of plan.slots.entries()) {
      const collection = phase.collections[index];
      if (collection === undefined || collection.certificate !== null) continue;
      const to = elderIds(config).filter(
        (id) => !collection.shares.has(id) && !collection.dropped.has(id),
      );
      const request = requestAt(plan, phase.kind, index);
      const message =
        phase.kind === 'preparing'
          ? ({ kind: 'prepare', request, slot, transaction, sources } as const)
          : ({ kind: 'commit', request, slot, transaction, prepared: phase.prepared } as const);
      send(to, { kind: 'slot', slot, message });
    }
  } else if (phase.kind === 'registering') {
    for (const [index, { oneTimeKey: key }] of plan.transaction.outputs.entries()) {
      const acks = phase.acks[index];
      if (acks === undefined || acks.size >= sharesRequired) continue;
      const request = requestAt(plan, phase.kind, index);
      const { certificates } = phase;
      const entry = { transaction, certificates, index };
      const message = { kind: 'register', request, key, ...entry } as const;
      send(
        elderIds(config).filter((id) => !acks.has(id)),
        { kind: 'output', key, message },
      );
    }
  }
  return effects;
}

function repeat(config: PaymentConfig, plan: Plan, state: PaymentState): Outcome {
  const patient: PaymentState = { ...state, round: state.round + 1 };
  const reason: WaitingReason | undefined =
    patient.round >= patientRounds
      ? { kind: 'tooFewElders', answered: patient.heard.size }
      : undefined;
  // A conflict or a refusal says more than silence does.
  const said =
    reason && patient.told === null ? tell(patient, reason) : { state: patient, effects: [] };
  return {
    state: { ...said.state, heard: new Set() },
    effects: [...said.effects, ...ask(config, plan, said.state), setTimer(config, said.state)],
  };
}

const setTimer = (config: PaymentConfig, { round }: PaymentState): Effect<Payment> => ({
  kind: 'setTimer',
  timer: 'repeat',
  afterMs: config.repeatEveryMs * 2 ** Math.min(round, maxDoublings),
});

function onSlotAnswer(
  config: PaymentConfig,
  plan: Plan,
  state: PaymentState,
  elder: PaymentElder,
  answer: SpentbookAnswer,
): Outcome {
  const { phase } = state;
  if (phase.kind !== 'preparing' && phase.kind !== 'committing') return stay(state);
  const index = plan.requests[phase.kind].findIndex((id) => equalBytes(id, answer.request));
  const slot = plan.slots[index];
  if (slot === undefined) return stay(state); // Late: an answer of an earlier phase.
  const from = toHex(elder.name);
  switch (answer.kind) {
    case 'prepared':
      return phase.kind === 'preparing'
        ? onShare(config, plan, state, phase, index, from, answer.share)
        : stay(state);
    case 'committed':
      return phase.kind === 'committing'
        ? onShare(config, plan, state, phase, index, from, answer.share)
        : stay(state);
    case 'spent': {
      const { transaction, certificate } = answer;
      const { keyImage } = slot;
      const { section } = config;
      const job = { kind: 'checkSpent', section, keyImage, transaction, certificate } as const;
      return check(state, `spent|${index}|${from}`, job, answer);
    }
    case 'conflict': {
      const { vote, transaction } = answer;
      const honest =
        equalBytes(vote.elder, elder.name) &&
        !equalBytes(vote.txid, plan.txid) &&
        verifyVote(config.section, config.identity, slot.keyImage, vote);
      if (!honest)
        return { state, effects: [blame({ kind: 'badEvidence', culprit: from, answer })] };
      const { section } = config;
      const { keyImage } = slot;
      const { txid } = vote;
      const job = { kind: 'checkConflict', section, keyImage, txid, transaction } as const;
      return check(state, `conflict|${index}|${from}`, job, answer);
    }
    case 'malformed':
      return onRefusal(state, from, answer.what);
    case 'notAllowed':
      return onRefusal(state, from, answer.rule);
    case 'busy':
      return stay(state); // The timer repeats.
    default:
      return assertNever(answer);
  }
}

function onShare(
  config: PaymentConfig,
  plan: Plan,
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
  return combineWhenEnough(config, plan, state, phase, index, { ...collection, shares });
}

function combineWhenEnough(
  config: PaymentConfig,
  plan: Plan,
  state: PaymentState,
  phase: Collecting,
  index: number,
  collection: Collection,
): Outcome {
  const enough = collection.shares.size >= sharesRequired && !collection.combining;
  const next = enough ? { ...collection, combining: true } : collection;
  const now = { ...state, phase: withCollection(phase, index, next) };
  if (!enough) return stay(now);
  const keyImage = plan.slots[index]?.keyImage;
  assert(keyImage !== undefined, 'a collection belongs to a slot');
  const shares = config.elders.flatMap(({ name, index: at, publicShare }) => {
    const from = toHex(name);
    const share = collection.shares.get(from);
    return share === undefined ? [] : [{ from, index: at, publicShare, share }];
  });
  const job = {
    kind: 'combine',
    section: config.section,
    phase: phase.kind === 'preparing' ? 'PREPARE' : 'COMMIT',
    statement: { keyImage, ballot: onlyBallot, txid: plan.txid },
    shares,
  } as const;
  return { state: now, effects: [{ kind: 'compute', id: `${phase.kind}|${index}`, job }] };
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
  plan: Plan,
  state: PaymentState,
  elder: PaymentElder,
  answer: MintAnswer,
): Outcome {
  const { phase } = state;
  if (phase.kind !== 'registering') return stay(state);
  const index = plan.requests.registering.findIndex((id) => equalBytes(id, answer.request));
  const key = plan.transaction.outputs[index]?.oneTimeKey;
  if (key === undefined) return stay(state);
  const from = toHex(elder.name);
  switch (answer.kind) {
    case 'registered': {
      const acked = { key, txid: plan.txid };
      if (!verifyAck(config.section, config.identity, elder.name, acked, answer.signature)) {
        return { state, effects: [blame({ kind: 'badEvidence', culprit: from, answer })] };
      }
      return onAck(state, phase, index, from);
    }
    case 'duplicate': {
      const { section } = config;
      const job = {
        kind: 'checkDuplicate',
        section,
        oneTimeKey: key,
        entry: answer.entry,
      } as const;
      return check(state, `duplicate|${index}|${from}`, job, answer);
    }
    case 'unregistrable':
      return onRefusal(state, from, answer.what);
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
  plan: Plan,
  state: PaymentState,
  id: string,
  result: Payment['result'],
): Outcome {
  if (isOver(state)) return stay(state);
  const [what = '', place = '', from = ''] = id.split('|');
  const index = Number(place);
  if (result.kind === 'combined') {
    const { phase } = state;
    if (phase.kind !== what) return stay(state);
    assert(phase.kind === 'preparing' || phase.kind === 'committing', 'shares make certificates');
    return onCombined(config, plan, state, phase, index, result);
  }
  const answer = state.checking.get(id);
  if (answer === undefined) return stay(state);
  const checking = new Map(state.checking);
  checking.delete(id);
  const now = { ...state, checking };
  const { txid } = result;
  const mine = txid !== null && equalBytes(txid, plan.txid);
  if (txid === null || (mine && answer.kind !== 'spent')) {
    return { state: now, effects: [blame({ kind: 'badEvidence', culprit: from, answer })] };
  }
  if (answer.kind === 'spent') return onSpent(config, plan, now, index, txid, answer);
  if (answer.kind === 'conflict') {
    const conflicts = new Set(now.conflicts).add(from);
    const { transaction } = answer;
    return tell({ ...now, conflicts }, { kind: 'conflict', txid, transaction });
  }
  const oneTimeKey = plan.transaction.outputs[index]?.oneTimeKey;
  assert(oneTimeKey !== undefined, 'a duplicate is about one of our outputs');
  return tell(now, { kind: 'duplicateKey', oneTimeKey });
}

function onCombined(
  config: PaymentConfig,
  plan: Plan,
  state: PaymentState,
  phase: Collecting,
  index: number,
  result: Payment['result'] & { readonly kind: 'combined' },
): Outcome {
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
    const again = combineWhenEnough(config, plan, state, phase, index, next);
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
    committed:
      kind === 'committed' ? replaceAt(state.committed, index, certificate) : state.committed,
  };
  return proceed(config, plan, now, effects);
}

/** A verified commit certificate for one of our slots: the truth, whoever sent it (R7). */
function onSpent(
  config: PaymentConfig,
  plan: Plan,
  state: PaymentState,
  index: number,
  txid: Uint8Array,
  answer: SpentbookAnswer & { readonly kind: 'spent' },
): Outcome {
  const { certificate, transaction } = answer;
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
  return proceed(config, plan, { ...state, committed, phase: settled }, [
    { kind: 'persist', fact },
  ]);
}

/** Tells the person once why the payment waits. */
function tell(state: PaymentState, reason: WaitingReason): Outcome {
  if (state.told === reason.kind) return stay(state);
  return {
    state: { ...state, told: reason.kind },
    effects: [output({ kind: 'waiting', reason })],
  };
}

const requestId = (txid: Uint8Array, phase: AskingPhase, index: number): Uint8Array =>
  labelledHash('safe/v1/payment/request', txid, utf8(phase), Uint8Array.of(index)).slice(
    0,
    REQUEST_BYTES,
  );

function requestAt(plan: Plan, phase: AskingPhase, index: number): Uint8Array {
  const id = plan.requests[phase][index];
  assert(id !== undefined, 'every slot and output has a request id');
  return id;
}

const elderIds = ({ elders }: PaymentConfig): readonly NodeId[] =>
  elders.map(({ name }) => toHex(name));

const complete = <T>(parts: readonly (T | null)[]): readonly T[] | undefined => {
  const known = parts.filter((part) => part !== null);
  return known.length === parts.length ? known : undefined;
};

const replaceAt = <T>(list: readonly T[], index: number, value: T): readonly T[] =>
  list.map((each, i) => (i === index ? value : each));

const output = (said: Payment['output']): Effect<Payment> => ({ kind: 'output', output: said });
const blame = (fault: Payment['fault']): Effect<Payment> => ({ kind: 'blame', fault });
