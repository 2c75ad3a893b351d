/**
 * Seven candidates make a key nobody holds whole (README: D1–D9).
 *
 * keys → dealings → acks → sum. Every part is signed and kept, so candidates may sleep, restart and
 * learn everything from any other; the timer repeats questions and decides nothing.
 */
import { nameToId } from '#address/xor-name.ts';
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import {
  stay,
  type Context,
  type Effect,
  type Machine,
  type NodeId,
  type Step,
} from '#core/machine.ts';
import { hkdf } from '#crypto/hash.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import type { DkgResult } from './jobs.ts';
import type {
  DkgMessage,
  SignedAck,
  SignedComplaint,
  SignedDealing,
  SignedKey,
} from './messages.ts';
import type {
  Dkg,
  DkgConfig,
  DkgFact,
  DkgFault,
  DkgState,
  HeldDealing,
  KeyShareSet,
  Open,
} from './state.ts';
import { ackBytes, complaintBytes, dealingBytes, dealingHash, keyBytes } from './transcript.ts';

type DkgStep = Step<DkgState, Dkg>;
type DkgEffect = Effect<Dkg>;
type Parts = Omit<DkgMessage & { readonly kind: 'parts' }, 'kind' | 'sessionId'>;

export const dkg: Machine<DkgConfig, DkgState, Dkg> = {
  start: (config, facts, context) => {
    assert(config.candidates.length === ELDER_COUNT, 'seven candidates generate a key');
    assert(ownIndex(config) > 0, 'only a candidate generates a key');
    return facts.length === 0 ? announce(config, context) : recover(config, facts, context);
  },

  step: (config, state, event, context) => {
    switch (event.kind) {
      case 'input':
        return stay(state);
      case 'timerFired':
        return gossip(config, state);
      case 'computed':
        return computed(config, state, event.result, context);
      case 'received':
        return receive(config, state, event.from, event.message, context);
      default:
        return assertNever(event);
    }
  },
};

/** D1: one box key per candidate and session, on disk before anyone seals to it. */
function announce(config: DkgConfig, context: Context): DkgStep {
  const boxSecret = hkdf(context.entropy, config.sessionId, 'safe/v1/dkg-box-secret', 32);
  const unsigned = { candidate: ownIndex(config), boxKey: config.group.boxPublicKey(boxSecret) };
  const key: SignedKey = {
    ...unsigned,
    signature: sign(config, keyBytes(config.sessionId, unsigned)),
  };
  return {
    state: gathering(boxSecret, key),
    effects: [
      { kind: 'persist', fact: { kind: 'announced', boxSecret, key } },
      send(config, { keys: [key] }),
      gossipLater(config),
    ],
  };
}

/** D8: a restart says the same bytes as before, and asks again for the work that was lost. */
function recover(config: DkgConfig, facts: readonly DkgFact[], context: Context): DkgStep {
  const dealings = new Map<number, HeldDealing>();
  const held = (dealing: SignedDealing, share: Uint8Array | null): HeldDealing => ({
    dealing,
    hash: dealingHash(config.sessionId, dealing),
    share,
  });
  let state: Open | undefined;
  const acks = new Map<number, SignedAck>();
  let result: KeyShareSet | undefined;
  for (const fact of facts) {
    switch (fact.kind) {
      case 'announced':
        state = gathering(fact.boxSecret, fact.key);
        break;
      case 'dealt':
        if (!dealings.has(fact.dealing.dealer)) {
          dealings.set(fact.dealing.dealer, held(fact.dealing, null));
        }
        break;
      case 'accepted':
        dealings.set(fact.dealing.dealer, held(fact.dealing, fact.share));
        break;
      case 'acked':
        acks.set(fact.ack.candidate, fact.ack);
        break;
      case 'keyed':
        result = fact.result;
        break;
      case 'failed':
        return fail(config, fact.complaint);
      default:
        return assertNever(fact);
    }
  }
  if (result !== undefined) {
    return {
      state: { kind: 'keyed', result, dealings, acks },
      effects: [{ kind: 'output', output: { kind: 'keyed', result } }],
    };
  }
  assert(state !== undefined, 'the first fact of a session is the announced key');
  const [first] = dealings.values();
  const keys = first === undefined ? state.keys : byCandidate(first.dealing.keys);
  const collected = { ...state, keys, dealings, acks };
  const restored: Open = acks.has(ownIndex(config))
    ? { ...collected, kind: 'collectingAcks', summing: false }
    : dealings.has(ownIndex(config))
      ? { ...collected, kind: 'collectingDealings' }
      : collected;
  const checks = [...dealings.values()]
    .filter(({ share }) => share === null)
    .map(({ dealing }) => check(config, restored, dealing));
  const next = advance(config, restored, context);
  return {
    state: next.state,
    effects: [...checks, ...next.effects, ask(config, restored), gossipLater(config)],
  };
}

/** D7: repeat the question until this candidate is finished; then answer only. */
function gossip(config: DkgConfig, state: DkgState): DkgStep {
  if (state.kind === 'keyed' || state.kind === 'failed') return stay(state);
  return { state, effects: [ask(config, state), gossipLater(config)] };
}

function receive(
  config: DkgConfig,
  state: DkgState,
  from: NodeId,
  message: DkgMessage,
  context: Context,
): DkgStep {
  // A message of another attempt is late, not a lie; a stranger's is nothing to us.
  if (!equalBytes(message.sessionId, config.sessionId)) return stay(state);
  if (!candidateIds(config).includes(from) || from === config.self) return stay(state);
  if (message.kind === 'status') return answer(config, state, from, message);
  if (state.kind === 'keyed' || state.kind === 'failed') return stay(state);
  const taken = takeParts(config, state, from, message);
  const next = advance(config, taken.state, context);
  return { state: next.state, effects: [...taken.effects, ...next.effects] };
}

interface Taken {
  readonly state: Open;
  readonly effects: readonly DkgEffect[];
}

function takeParts(config: DkgConfig, state: Open, from: NodeId, parts: Parts): Taken {
  let current = state;
  const effects: DkgEffect[] = [];
  const take = (taken: Taken): void => {
    current = taken.state;
    effects.push(...taken.effects);
  };
  for (const key of parts.keys) take(takeKey(config, current, from, key));
  for (const dealing of parts.dealings) take(takeDealing(config, current, from, dealing));
  for (const ack of parts.acks) take(takeAck(config, current, from, ack));
  for (const complaint of parts.complaints) take(takeComplaint(config, current, from, complaint));
  return { state: current, effects };
}

function takeKey(config: DkgConfig, state: Open, from: NodeId, key: SignedKey): Taken {
  const known = state.keys.get(key.candidate);
  if (known !== undefined && equalBytes(known.boxKey, key.boxKey)) return { state, effects: [] };
  const signed = keyBytes(config.sessionId, key);
  if (!signedBy(config, key.candidate, signed, key.signature)) {
    return blame(state, { kind: 'invalidSignature', culprit: from, part: 'key' });
  }
  if (known !== undefined) {
    const culprit = idOf(config, key.candidate);
    return blame(state, { kind: 'keyEquivocation', culprit, keys: [known, key] });
  }
  return { state: { ...state, keys: new Map(state.keys).set(key.candidate, key) }, effects: [] };
}

/** D3: a dealing is checked when its signature and every key it was sealed to are genuine. */
function takeDealing(config: DkgConfig, state: Open, from: NodeId, dealing: SignedDealing): Taken {
  const { dealer } = dealing;
  const known = state.dealings.get(dealer);
  const hash = dealingHash(config.sessionId, dealing);
  if (known !== undefined && equalBytes(known.hash, hash)) return { state, effects: [] };
  const signed = dealingBytes(config.sessionId, dealing);
  if (!signedBy(config, dealer, signed, dealing.signature)) {
    return blame(state, { kind: 'invalidSignature', culprit: from, part: 'dealing' });
  }
  const culprit = idOf(config, dealer);
  if (known !== undefined) {
    const dealings = [known.dealing, dealing] as const;
    return blame(state, { kind: 'dealingEquivocation', culprit, dealings });
  }
  if (!keysAreGenuine(config, state, dealing)) {
    return blame(state, { kind: 'invalidKeyList', culprit, dealing });
  }
  const keyed = takeParts(config, state, from, { ...nothing, keys: dealing.keys });
  const held: HeldDealing = { dealing, hash, share: null };
  return {
    state: { ...keyed.state, dealings: new Map(state.dealings).set(dealer, held) },
    // A candidate that showed two keys is blamed here, but harms itself alone: it can open both.
    effects: [...keyed.effects, check(config, state, dealing)],
  };
}

/** Keys known with this very signature need no second look. */
function keysAreGenuine(config: DkgConfig, state: Open, dealing: SignedDealing): boolean {
  return dealing.keys.every((key, at) => {
    if (key.candidate !== at + 1) return false;
    const known = state.keys.get(key.candidate);
    const same =
      known !== undefined &&
      equalBytes(known.boxKey, key.boxKey) &&
      equalBytes(known.signature, key.signature);
    if (same) return true;
    return signedBy(config, key.candidate, keyBytes(config.sessionId, key), key.signature);
  });
}

function takeAck(config: DkgConfig, state: Open, from: NodeId, ack: SignedAck): Taken {
  const known = state.acks.get(ack.candidate);
  if (known !== undefined && sameHashes(known.dealings, ack.dealings)) {
    return { state, effects: [] };
  }
  if (!signedBy(config, ack.candidate, ackBytes(config.sessionId, ack), ack.signature)) {
    return blame(state, { kind: 'invalidSignature', culprit: from, part: 'ack' });
  }
  if (known !== undefined) {
    const culprit = idOf(config, ack.candidate);
    return blame(state, { kind: 'ackEquivocation', culprit, acks: [known, ack] });
  }
  return { state: { ...state, acks: new Map(state.acks).set(ack.candidate, ack) }, effects: [] };
}

/** D6: a complaint is opened by everybody; only a genuine one ends the session. */
function takeComplaint(
  config: DkgConfig,
  state: Open,
  from: NodeId,
  complaint: SignedComplaint,
): Taken {
  const { candidate, dealing } = complaint;
  if (state.complaints.has(candidate)) return { state, effects: [] };
  const { sessionId } = config;
  const signed =
    signedBy(config, candidate, complaintBytes(sessionId, complaint), complaint.signature) &&
    signedBy(config, dealing.dealer, dealingBytes(sessionId, dealing), dealing.signature);
  if (!signed) return blame(state, { kind: 'invalidSignature', culprit: from, part: 'complaint' });
  if (!keysAreGenuine(config, state, dealing)) {
    const culprit = idOf(config, dealing.dealer);
    return blame(state, { kind: 'invalidKeyList', culprit, dealing });
  }
  return {
    state: { ...state, complaints: new Map(state.complaints).set(candidate, complaint) },
    effects: [
      { kind: 'compute', id: `judge:${candidate}`, job: { kind: 'judge', sessionId, complaint } },
    ],
  };
}

/** Moves on when the parts at hand allow it; called after everything that adds a part. */
function advance(config: DkgConfig, state: Open, context: Context): DkgStep {
  switch (state.kind) {
    case 'gatheringKeys': {
      if (state.keys.size < ELDER_COUNT) return stay(state);
      const { sessionId } = config;
      const dealer = ownIndex(config);
      const boxKeys = inOrder(state.keys).map(({ boxKey }) => boxKey);
      const seed = hkdf(context.entropy, sessionId, 'safe/v1/dkg-dealing-seed', 32);
      return {
        state: { ...state, kind: 'dealing' },
        effects: [
          { kind: 'compute', id: 'deal', job: { kind: 'deal', sessionId, dealer, boxKeys, seed } },
        ],
      };
    }
    case 'dealing':
      return stay(state);
    case 'collectingDealings':
      return vouch(config, state, context);
    case 'collectingAcks':
      return addUp(config, state);
    default:
      return assertNever(state);
  }
}

/** D5: acknowledge once, when seven shares fit and are on disk. */
function vouch(
  config: DkgConfig,
  state: Open & { readonly kind: 'collectingDealings' },
  context: Context,
): DkgStep {
  const held = inOrder(state.dealings);
  if (held.length < ELDER_COUNT || held.some(({ share }) => share === null)) return stay(state);
  const unsigned = { candidate: ownIndex(config), dealings: held.map(({ hash }) => hash) };
  const ack = { ...unsigned, signature: sign(config, ackBytes(config.sessionId, unsigned)) };
  const acks = new Map(state.acks).set(ack.candidate, ack);
  const next = advance(config, { ...state, kind: 'collectingAcks', summing: false, acks }, context);
  return {
    state: next.state,
    effects: [
      { kind: 'persist', fact: { kind: 'acked', ack } },
      send(config, { acks: [ack] }),
      ...next.effects,
    ],
  };
}

/** D9: seven acks of one list make the key. */
function addUp(config: DkgConfig, state: Open & { readonly kind: 'collectingAcks' }): DkgStep {
  const self = ownIndex(config);
  const mine = state.acks.get(self)?.dealings ?? [];
  const acks = inOrder(state.acks);
  if (state.summing || acks.length < ELDER_COUNT) return stay(state);
  // A differing list means a dealer showed two dealings; gossip brings the other and the blame.
  if (!acks.every(({ dealings }) => sameHashes(dealings, mine))) return stay(state);
  const held = inOrder(state.dealings);
  const commitments = held.map(({ dealing }) => dealing.commitment);
  const shares = held.map(({ share }) => {
    assert(share !== null, 'an ack is sent when all shares are checked');
    return share;
  });
  return {
    state: { ...state, summing: true },
    effects: [{ kind: 'compute', id: 'sum', job: { kind: 'sum', self, commitments, shares } }],
  };
}

function computed(
  config: DkgConfig,
  state: DkgState,
  result: DkgResult,
  context: Context,
): DkgStep {
  if (state.kind === 'keyed' || state.kind === 'failed') return stay(state);
  switch (result.kind) {
    case 'dealt':
      return state.kind === 'dealing' ? dealt(config, state, result, context) : stay(state);
    case 'checked':
      return checked(config, state, result.dealer, result.share, context);
    case 'judged':
      return judged(config, state, result.complainer, result.guilty);
    case 'summed':
      return state.kind === 'collectingAcks' ? keyed(config, state, result) : stay(state);
    default:
      return assertNever(result);
  }
}

/** D2: one dealing per candidate and session, on disk before anyone sees it. */
function dealt(
  config: DkgConfig,
  state: Open,
  result: DkgResult & { readonly kind: 'dealt' },
  context: Context,
): DkgStep {
  const { commitment, sealedShares } = result;
  const unsigned = {
    dealer: ownIndex(config),
    keys: inOrder(state.keys),
    commitment,
    sealedShares,
  };
  const signature = sign(config, dealingBytes(config.sessionId, unsigned));
  const dealing: SignedDealing = { ...unsigned, signature };
  const hash = dealingHash(config.sessionId, dealing);
  const dealings = new Map(state.dealings).set(dealing.dealer, { dealing, hash, share: null });
  const next = advance(config, { ...state, kind: 'collectingDealings', dealings }, context);
  return {
    state: next.state,
    effects: [
      { kind: 'persist', fact: { kind: 'dealt', dealing } },
      send(config, { dealings: [dealing] }),
      // The dealer opens its own box like everybody's: one way for a share to be accepted.
      check(config, state, dealing),
      ...next.effects,
    ],
  };
}

function checked(
  config: DkgConfig,
  state: Open,
  dealer: number,
  share: Uint8Array | null,
  context: Context,
): DkgStep {
  const held = state.dealings.get(dealer);
  if (held === undefined || held.share !== null) return stay(state);
  const { dealing } = held;
  if (share === null) return complain(config, state, dealing);
  const dealings = new Map(state.dealings).set(dealer, { ...held, share });
  const next = advance(config, { ...state, dealings }, context);
  return {
    state: next.state,
    effects: [{ kind: 'persist', fact: { kind: 'accepted', dealing, share } }, ...next.effects],
  };
}

/**
 * D6: without my share the session cannot finish, so its box secret protects nothing any more and
 * may be shown: with it anyone opens the box that held no share.
 */
function complain(config: DkgConfig, state: Open, dealing: SignedDealing): DkgStep {
  const unsigned = { candidate: ownIndex(config), dealing, boxSecret: state.boxSecret };
  const signature = sign(config, complaintBytes(config.sessionId, unsigned));
  return end(config, { ...unsigned, signature });
}

function judged(
  config: DkgConfig,
  state: Open,
  complainer: number,
  guilty: 'dealer' | 'complainer',
): DkgStep {
  const complaint = state.complaints.get(complainer);
  if (complaint === undefined) return stay(state);
  if (guilty === 'dealer') return end(config, complaint);
  return blame(state, {
    kind: 'falseComplaint',
    culprit: idOf(config, complainer),
    complaint,
  });
}

function end(config: DkgConfig, complaint: SignedComplaint): DkgStep {
  const { state, effects } = fail(config, complaint);
  const fact: DkgFact = { kind: 'failed', complaint };
  return { state, effects: [{ kind: 'persist', fact }, ...effects] };
}

/** Also after a restart: a crash may have come between the fact and the words. */
function fail(config: DkgConfig, complaint: SignedComplaint): DkgStep {
  const culprit = idOf(config, complaint.dealing.dealer);
  return {
    state: { kind: 'failed', complaint },
    effects: [
      { kind: 'blame', fault: { kind: 'badShare', culprit, complaint } },
      send(config, { complaints: [complaint] }),
      { kind: 'clearTimer', timer: 'gossip' },
      { kind: 'output', output: { kind: 'failed', complaint } },
    ],
  };
}

function keyed(
  config: DkgConfig,
  state: Open,
  summed: DkgResult & { readonly kind: 'summed' },
): DkgStep {
  const { key, publicShares, secretShare } = summed;
  const result: KeyShareSet = { key, publicShares, secretShare, index: ownIndex(config) };
  return {
    state: { kind: 'keyed', result, dealings: state.dealings, acks: state.acks },
    effects: [
      { kind: 'persist', fact: { kind: 'keyed', result } },
      { kind: 'clearTimer', timer: 'gossip' },
      { kind: 'output', output: { kind: 'keyed', result } },
    ],
  };
}

/** D7: send exactly what the asker lacks. */
function answer(
  config: DkgConfig,
  state: DkgState,
  to: NodeId,
  status: DkgMessage & { readonly kind: 'status' },
): DkgStep {
  if (state.kind === 'failed') {
    return { state, effects: [send(config, { complaints: [state.complaint] }, [to])] };
  }
  const [anyDealing] = state.dealings.values();
  const known = state.kind === 'keyed' ? (anyDealing?.dealing.keys ?? []) : inOrder(state.keys);
  const parts: Parts = {
    keys: known.filter(({ candidate }) => !hasBit(status.keys, candidate)),
    dealings: inOrder(state.dealings)
      .filter(({ dealing, hash }) => {
        const theirs = status.dealings[dealing.dealer - 1] ?? null;
        return theirs === null || !equalBytes(theirs, hash);
      })
      .map(({ dealing }) => dealing),
    acks: inOrder(state.acks).filter(({ candidate }) => !hasBit(status.acks, candidate)),
    complaints: [],
  };
  if (parts.keys.length + parts.dealings.length + parts.acks.length === 0) return stay(state);
  return { state, effects: [send(config, parts, [to])] };
}

function ask(config: DkgConfig, state: Open): DkgEffect {
  const message: DkgMessage = {
    kind: 'status',
    sessionId: config.sessionId,
    keys: toBits(state.keys),
    dealings: Array.from(
      { length: ELDER_COUNT },
      (_, at) => state.dealings.get(at + 1)?.hash ?? null,
    ),
    acks: toBits(state.acks),
  };
  return { kind: 'send', to: others(config), message };
}

const check = (config: DkgConfig, state: Open, dealing: SignedDealing): DkgEffect => ({
  kind: 'compute',
  id: `check:${dealing.dealer}`,
  job: {
    kind: 'check',
    sessionId: config.sessionId,
    receiver: ownIndex(config),
    boxSecret: state.boxSecret,
    dealing,
  },
});

const gathering = (boxSecret: Uint8Array, key: SignedKey): Open => ({
  kind: 'gatheringKeys',
  boxSecret,
  keys: new Map([[key.candidate, key]]),
  dealings: new Map(),
  acks: new Map(),
  complaints: new Map(),
});

const nothing: Parts = { keys: [], dealings: [], acks: [], complaints: [] };

const send = (
  config: DkgConfig,
  parts: Partial<Parts>,
  to: readonly NodeId[] = others(config),
): DkgEffect => ({
  kind: 'send',
  to,
  message: { kind: 'parts', sessionId: config.sessionId, ...nothing, ...parts },
});

const blame = (state: Open, fault: DkgFault): Taken => ({
  state,
  effects: [{ kind: 'blame', fault }],
});

const gossipLater = (config: DkgConfig): DkgEffect => ({
  kind: 'setTimer',
  timer: 'gossip',
  afterMs: config.gossipEveryMs,
});

const candidateIds = (config: DkgConfig): readonly NodeId[] => config.candidates.map(nameToId);

const ownIndex = (config: DkgConfig): number => candidateIds(config).indexOf(config.self) + 1;

const others = (config: DkgConfig): readonly NodeId[] =>
  candidateIds(config).filter((id) => id !== config.self);

function idOf(config: DkgConfig, candidate: number): NodeId {
  const name = config.candidates[candidate - 1];
  assert(name !== undefined, 'the decoder lets indexes 1 to 7 through');
  return nameToId(name);
}

const sign = (config: DkgConfig, bytes: Uint8Array): Uint8Array =>
  config.group.sign(config.identitySeed, bytes);

function signedBy(
  config: DkgConfig,
  candidate: number,
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  const name = config.candidates[candidate - 1];
  return name !== undefined && config.group.verify(name, bytes, signature);
}

const byCandidate = (keys: readonly SignedKey[]): ReadonlyMap<number, SignedKey> =>
  new Map(keys.map((key) => [key.candidate, key]));

/** Values by ascending index. */
const inOrder = <T>(byIndex: ReadonlyMap<number, T>): readonly T[] =>
  [...byIndex.entries()].sort(([a], [b]) => a - b).map(([, value]) => value);

const sameHashes = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((hash, at) => equalBytes(hash, b[at] ?? new Uint8Array()));

const toBits = (byIndex: ReadonlyMap<number, unknown>): number =>
  [...byIndex.keys()].reduce((bits, index) => bits | (1 << (index - 1)), 0);

const hasBit = (bits: number, index: number): boolean => ((bits >> (index - 1)) & 1) === 1;
