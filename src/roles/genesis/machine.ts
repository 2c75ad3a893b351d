/**
 * The birth of a network: seven candidates make a key and sign the first section authority with it
 * (README: G1–G5). A machine of two: the key generation inside, the signing around it.
 */
import { EMPTY_PREFIX } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { assert, assertNever } from '#core/assert.ts';
import { compareBytes, equalBytes } from '#core/codec/bytes.ts';
import { lift, type Lift } from '#core/compose.ts';
import {
  stay,
  type Context,
  type Effect,
  type Machine,
  type NodeId,
  type Step,
} from '#core/machine.ts';
import {
  dkg,
  sessionIdOf,
  sortedNames,
  type Dkg,
  type DkgConfig,
  type DkgState,
  type KeyShareSet,
} from '#protocol/dkg/index.ts';
import {
  authoritySigningBytes,
  networkIdOf,
  SHARES_REQUIRED,
  type SectionAuthority,
} from '#protocol/section/index.ts';
import type { GenesisMessage } from './messages.ts';
import type {
  Born,
  Genesis,
  GenesisConfig,
  GenesisFact,
  GenesisResult,
  GenesisState,
} from './state.ts';

type GenesisStep = Step<GenesisState, Genesis>;
type GenesisEffect = Effect<Genesis>;
type Signing = GenesisState & { readonly kind: 'signing' };

export const genesis: Machine<GenesisConfig, GenesisState, Genesis> = {
  start: (config, facts, context) => {
    const own = facts.flatMap((fact) => (fact.kind === 'dkg' ? [fact.fact] : []));
    const child = dkg.start(dkgConfig(config), own, context);
    const born = facts.find((fact) => fact.kind === 'born');
    if (born !== undefined) return reborn(child.state, born);
    return absorb(config, { dkg: child.state, shares: new Map() }, child);
  },

  step: (config, state, event, context) => {
    switch (event.kind) {
      case 'input':
        return stay(state);
      case 'timerFired':
        if (event.timer === 'gossip') return gossip(config, state);
        return stepDkg(config, state, { kind: 'timerFired', timer: 'gossip' }, context);
      case 'computed':
        return computed(config, state, event.id, event.result, context);
      case 'received':
        return receive(config, state, event.from, event.message, context);
      default:
        return assertNever(event);
    }
  },
};

function receive(
  config: GenesisConfig,
  state: GenesisState,
  from: NodeId,
  message: GenesisMessage,
  context: Context,
): GenesisStep {
  if (message.kind === 'dkg') {
    return stepDkg(config, state, { kind: 'received', from, message: message.message }, context);
  }
  const index = indexOf(config, from);
  if (index === 0 || from === config.self) return stay(state);
  if (!equalBytes(message.sessionId, sessionId(config))) return stay(state);
  switch (message.kind) {
    case 'share':
      return takeShare(state, index, message.signature);
    case 'ask':
      return answer(config, state, from);
    case 'born': {
      if (state.kind !== 'signing') return stay(state);
      const { authority } = state;
      const job = { kind: 'check', authority, signature: message.signature, from } as const;
      return { state, effects: [{ kind: 'compute', id: `check:${from}`, job }] };
    }
    default:
      return assertNever(message);
  }
}

function computed(
  config: GenesisConfig,
  state: GenesisState,
  id: string,
  result: GenesisResult,
  context: Context,
): GenesisStep {
  if (result.kind === 'dkg') {
    const inner = id.slice(asChild.jobPrefix.length);
    return stepDkg(config, state, { kind: 'computed', id: inner, result: result.result }, context);
  }
  if (state.kind !== 'signing') return stay(state);
  switch (result.kind) {
    case 'signed': {
      const shares = new Map(state.shares).set(result.index, result.signature);
      const next = combineFive({ ...state, shares });
      const share = message(config, 'share', result.signature);
      return { state: next.state, effects: [share, ...next.effects] };
    }
    case 'combined':
      return bear(config, state, result.signature);
    case 'uncombined':
      return dropWrong(config, state, result.wrong);
    case 'checked':
      if (result.valid) return bear(config, state, result.signature);
      return {
        state,
        effects: [{ kind: 'blame', fault: { kind: 'invalidSignature', culprit: result.from } }],
      };
    default:
      return assertNever(result);
  }
}

/** One event for the key generation, and what follows from it here. */
function stepDkg(
  config: GenesisConfig,
  state: GenesisState,
  event: Parameters<typeof dkg.step>[2],
  context: Context,
): GenesisStep {
  const child = dkg.step(dkgConfig(config), state.dkg, event, context);
  if (state.kind === 'generating') {
    return absorb(config, { dkg: child.state, shares: state.shares }, child);
  }
  // Finished, it only answers those who are behind.
  const { effects } = lift(child.effects, asChild);
  return { state: { ...state, dkg: child.state }, effects };
}

/** G1: when the key is made, everybody builds the same authority and signs it. */
function absorb(
  config: GenesisConfig,
  state: { readonly dkg: DkgState; readonly shares: ReadonlyMap<number, Uint8Array> },
  child: Step<DkgState, Dkg>,
): GenesisStep {
  const { effects, outputs } = lift(child.effects, asChild);
  const [output] = outputs;
  if (output === undefined) return { state: { kind: 'generating', ...state }, effects };
  if (output.kind === 'failed') {
    const { complaint } = output;
    const culprit = candidateIds(config)[complaint.dealing.dealer - 1];
    assert(culprit !== undefined, 'a dealer is a candidate');
    return {
      state: { kind: 'failed', dkg: child.state },
      effects: [...effects, { kind: 'output', output: { kind: 'failed', culprit, complaint } }],
    };
  }
  const { result: keys } = output;
  const authority = genesisAuthority(config, keys);
  const { secretShare, index } = keys;
  const toSign = authoritySigningBytes(authority);
  return {
    state: { kind: 'signing', ...state, keys, authority, busy: false },
    effects: [
      ...effects,
      { kind: 'compute', id: 'sign', job: { kind: 'sign', secretShare, index, message: toSign } },
      gossipLater(config),
    ],
  };
}

/** G1: a function of the configuration and the key alone. */
function genesisAuthority(config: GenesisConfig, keys: KeyShareSet): SectionAuthority {
  const candidates = sortedNames(config.candidates);
  return {
    networkId: networkIdOf(keys.key, config.networkName),
    prefix: EMPTY_PREFIX,
    key: keys.key,
    generation: 0n,
    elders: candidates.map((name, at) => {
      const publicShare = keys.publicShares[at];
      assert(publicShare !== undefined, 'seven public shares');
      return { name, publicShare, index: at + 1 };
    }),
    members: [...config.candidates, ...config.adults].sort(compareBytes).map((name) => ({ name })),
    genesisOutput: config.genesisOutput,
  };
}

/** G2: a share is kept as its sender's word; it is judged only when five do not combine. */
function takeShare(state: GenesisState, index: number, signature: Uint8Array): GenesisStep {
  if (state.kind === 'born' || state.kind === 'failed' || state.shares.has(index)) {
    return stay(state);
  }
  const shares = new Map(state.shares).set(index, signature);
  if (state.kind === 'generating') return stay({ ...state, shares });
  return combineFive({ ...state, shares });
}

function combineFive(state: Signing): GenesisStep {
  if (state.busy || state.shares.size < SHARES_REQUIRED) return stay(state);
  const { authority } = state;
  const shares = [...state.shares.entries()]
    .sort(([a], [b]) => a - b)
    .slice(0, SHARES_REQUIRED)
    .map(([index, signature]) => ({ index, signature }));
  return {
    state: { ...state, busy: true },
    effects: [{ kind: 'compute', id: 'combine', job: { kind: 'combine', authority, shares } }],
  };
}

/** G2: wrong shares are dropped and blamed; their senders may still send right ones. */
function dropWrong(config: GenesisConfig, state: Signing, wrong: readonly number[]): GenesisStep {
  assert(wrong.length > 0, 'five right shares combine');
  const kept = [...state.shares.entries()].filter(([index]) => !wrong.includes(index));
  const next = combineFive({ ...state, shares: new Map(kept), busy: false });
  const blames = wrong.map((index): GenesisEffect => {
    const culprit = candidateIds(config)[index - 1];
    assert(culprit !== undefined, 'shares are kept by candidate');
    return { kind: 'blame', fault: { kind: 'invalidShare', culprit } };
  });
  return { state: next.state, effects: [...blames, ...next.effects] };
}

/** G3: the authority and the key share are on disk before anyone is told. */
function bear(config: GenesisConfig, state: Signing, signature: Uint8Array): GenesisStep {
  const { authority, keys } = state;
  const born: Born = {
    signed: { authority, signature, chain: [] },
    secretShare: keys.secretShare,
    index: keys.index,
  };
  return {
    state: { kind: 'born', dkg: state.dkg, born },
    effects: [
      { kind: 'persist', fact: { kind: 'born', ...born } },
      message(config, 'born', signature),
      { kind: 'clearTimer', timer: 'gossip' },
      { kind: 'output', output: { kind: 'born', ...born } },
    ],
  };
}

/** G4: a restart says again what was born; the caller must expect to hear it twice. */
function reborn(child: DkgState, fact: GenesisFact & { readonly kind: 'born' }): GenesisStep {
  const { signed, secretShare, index } = fact;
  const born: Born = { signed, secretShare, index };
  return {
    state: { kind: 'born', dkg: child, born },
    effects: [{ kind: 'output', output: { kind: 'born', ...born } }],
  };
}

/** G5: the timer repeats the question to those whose share is missing, and decides nothing. */
function gossip(config: GenesisConfig, state: GenesisState): GenesisStep {
  if (state.kind !== 'signing') return stay(state);
  const missing = candidateIds(config).filter(
    (id, at) => id !== config.self && !state.shares.has(at + 1),
  );
  const ask: GenesisMessage = { kind: 'ask', sessionId: sessionId(config) };
  return {
    state,
    effects: [{ kind: 'send', to: missing, message: ask }, gossipLater(config)],
  };
}

function answer(config: GenesisConfig, state: GenesisState, to: NodeId): GenesisStep {
  if (state.kind === 'born') {
    return { state, effects: [message(config, 'born', state.born.signed.signature, [to])] };
  }
  if (state.kind !== 'signing') return stay(state);
  const own = state.shares.get(state.keys.index);
  return own === undefined
    ? stay(state)
    : { state, effects: [message(config, 'share', own, [to])] };
}

const message = (
  config: GenesisConfig,
  kind: 'share' | 'born',
  signature: Uint8Array,
  to: readonly NodeId[] = candidateIds(config).filter((id) => id !== config.self),
): GenesisEffect => ({
  kind: 'send',
  to,
  message: { kind, sessionId: sessionId(config), signature },
});

const gossipLater = (config: GenesisConfig): GenesisEffect => ({
  kind: 'setTimer',
  timer: 'gossip',
  afterMs: config.gossipEveryMs,
});

const asChild: Lift<Dkg, Genesis> = {
  message: (inner) => ({ kind: 'dkg', message: inner }),
  fact: (fact) => ({ kind: 'dkg', fact }),
  fault: (fault) => ({ kind: 'dkg', culprit: fault.culprit, fault }),
  timer: () => 'dkg/gossip',
  job: (job) => ({ kind: 'dkg', job }),
  jobPrefix: 'dkg/',
};

const dkgConfig = (config: GenesisConfig): DkgConfig => ({
  self: config.self,
  identitySeed: config.identitySeed,
  candidates: sortedNames(config.candidates),
  sessionId: sessionId(config),
  gossipEveryMs: config.gossipEveryMs,
  group: config.group,
});

const sessionId = (config: GenesisConfig): Uint8Array =>
  sessionIdOf({
    candidates: config.candidates,
    networkName: config.networkName,
    nonce: config.nonce,
  });

const candidateIds = (config: GenesisConfig): readonly NodeId[] =>
  sortedNames(config.candidates).map(nameToId);

/** 1…7; 0 for a stranger. */
const indexOf = (config: GenesisConfig, id: NodeId): number => candidateIds(config).indexOf(id) + 1;
