/**
 * Robust distributed key generation (README: D1–D12, N12–N18). Five of seven candidates are enough:
 * dealings anybody can check, lists of them that anybody can name, and a key for every list.
 */
import { assert, assertNever } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { stay, type Context, type Machine, type NodeId } from '#core/machine.ts';
import { hkdf } from '#crypto/hash.ts';
import { ELDER_COUNT, SHARES_REQUIRED } from '#protocol/section/index.ts';
import {
  bindingOf,
  blameOnce,
  candidateIds,
  firstByDealer,
  gossipLater,
  held,
  idOf,
  inOrder,
  inTurn,
  namingRank,
  ownIndex,
  setList,
  withList,
  type DkgEffect,
  type DkgStep,
  type Taken,
} from './common.ts';
import { answer, ask, isSettled, tell, tellDealing } from './gossip.ts';
import type { DkgResult } from './jobs.ts';
import type { DkgMessage, SignedKey } from './messages.ts';
import type { Ready } from './proof.ts';
import type {
  Dkg,
  DkgConfig,
  DkgFact,
  DkgFault,
  DkgInput,
  DkgState,
  Held,
  HeldList,
  KeyShareSet,
  Open,
} from './state.ts';
import { learnKey, takeMessage } from './take.ts';
import { keyBytes, signedListBytes } from './transcript.ts';

/** How many ticks the first namer waits for the sixth and seventh dealing. */
const ticksForTheRest = 2;
/** How many ticks later each next candidate names, if nothing is ready. */
const ticksPerNamer = 3;

export const dkg: Machine<DkgConfig, DkgState, Dkg> = {
  start: (config, facts, context) => {
    assert(config.candidates.length === ELDER_COUNT, 'seven candidates generate a key');
    assert(ownIndex(config) > 0, 'this node is a candidate');
    return facts.length === 0 ? announce(config, context) : recover(config, facts, context);
  },

  step: (config, state, event, context) => {
    switch (event.kind) {
      case 'input':
        return input(config, state, event.input, context);
      case 'timerFired':
        return tick(config, state, context);
      case 'computed':
        if (state.kind === 'ended') return stay(state);
        return settle(
          config,
          inTurn(state, [
            (s) => computed(config, s, event.id, event.result),
            (s) => advance(config, s, context),
          ]),
        );
      case 'received':
        return receive(config, state, event.from, event.message, context);
      default:
        return assertNever(event);
    }
  },
};

/** D1: one session key, on disk before anyone seals to it. */
function announce(config: DkgConfig, context: Context): DkgStep {
  const { dealings } = config.suites;
  const sharingSecret = dealings.toSharingSecret(
    hkdf(context.entropy, config.sessionId, 'safe/v1/dkg-sharing-secret', 32),
  );
  const unsigned = {
    candidate: ownIndex(config),
    sharingKey: dealings.sharingKey(sharingSecret),
  };
  const bytes = keyBytes(bindingOf(config), unsigned);
  const key = { ...unsigned, signature: config.suites.identity.sign(config.identitySeed, bytes) };
  const told = tell(config, beginning(sharingSecret, key), { keys: [key] });
  return {
    state: told.state,
    effects: [
      { kind: 'persist', fact: { kind: 'announced', sharingSecret, key } },
      ...told.effects,
      gossipLater(config),
    ],
  };
}

const beginning = (sharingSecret: Uint8Array, key: SignedKey): Open => ({
  kind: 'gathering',
  keys: new Map([[key.candidate, key]]),
  dealings: new Map(),
  named: new Map(),
  lists: new Map(),
  sent: new Map(),
  tick: 0,
  sharingSecret,
  checking: new Map(),
  blamed: new Set(),
  fiveAt: null,
  won: null,
});

/** D10: what was said before is said again; everything else is asked of the others. */
function recover(config: DkgConfig, facts: readonly DkgFact[], context: Context): DkgStep {
  const [first] = facts;
  assert(first?.kind === 'announced', 'the first fact of a session is the announced key');
  let state = beginning(first.sharingSecret, first.key);
  for (const fact of facts) {
    switch (fact.kind) {
      case 'announced':
        break;
      case 'accepted': {
        const each = held(config, fact.dealing);
        const dealings = new Map(state.dealings).set(toHex(each.hash), each);
        const mine = fact.dealing.dealer === ownIndex(config);
        state = { ...state, dealings, kind: mine ? 'dealt' : state.kind };
        for (const key of fact.dealing.keys) {
          if (key !== null) state = learnKey(config, state, key).state;
        }
        break;
      }
      case 'named':
        state = {
          ...state,
          named: new Map(state.named).set(fact.list.candidate, fact.list),
          lists: withList(config, state.lists, fact.list.dealings, false),
        };
        break;
      case 'ended':
        return { state: ended(state), effects: [{ kind: 'output', output: { kind: 'ended' } }] };
      default:
        return assertNever(fact);
    }
  }
  return inTurn(state, [
    (s) => tell(config, s, { keys: [first.key] }),
    (s) => advance(config, s, context),
    (s) => ask(config, s),
  ]);
}

function input(config: DkgConfig, state: DkgState, asked: DkgInput, context: Context): DkgStep {
  if (state.kind === 'ended') return stay(state);
  switch (asked.kind) {
    case 'finish': {
      const lists = withList(config, state.lists, asked.list, true);
      const again = [...lists.values()].flatMap((list): DkgEffect[] =>
        list.stage.kind === 'derived' && sameList(list, asked.list)
          ? [shareOutput(config, state, list, list.stage.result)]
          : [],
      );
      if (again.length > 0) return { state: { ...state, lists }, effects: again };
      return inTurn({ ...state, lists }, [
        (s) => advance(config, s, context),
        (s) => ask(config, s),
      ]);
    }
    case 'won':
      return settle(config, { state: { ...state, won: asked.key }, effects: [] });
    case 'lost':
      return end(state, []);
    default:
      return assertNever(asked);
  }
}

const sameList = ({ dealings }: HeldList, list: readonly (Uint8Array | null)[]): boolean =>
  dealings.every((hash, at) => {
    const other = list[at] ?? null;
    return hash === null || other === null ? hash === other : equalBytes(hash, other);
  });

/** D7: the tick asks again, and lets others name when nothing became ready. */
function tick(config: DkgConfig, state: DkgState, context: Context): DkgStep {
  if (state.kind === 'ended' || isSettled(state)) return stay(state);
  return inTurn(state, [(s) => ask(config, s), (s) => advance(config, s, context)]);
}

function receive(
  config: DkgConfig,
  state: DkgState,
  from: NodeId,
  message: DkgMessage,
  context: Context,
): DkgStep {
  // A message of another session is late or early, not a lie; a stranger's is nothing to us.
  if (!equalBytes(message.sessionId, config.sessionId)) return stay(state);
  if (!candidateIds(config).includes(from) || from === config.self) return stay(state);
  if (state.kind === 'ended') return answer(config, state, from, message);
  return settle(
    config,
    inTurn(state, [
      (s) => takeMessage(config, s, from, message),
      (s) => advance(config, s, context),
      (s) => answer(config, s, from, message),
    ]),
  );
}

function computed(config: DkgConfig, state: Open, id: string, result: DkgResult): Taken {
  const [, subject = ''] = id.split('/');
  const list = state.lists.get(subject);
  switch (result.kind) {
    case 'dealt': {
      const mine = held(config, result.dealing);
      const dealings = new Map(state.dealings).set(toHex(mine.hash), mine);
      const told = tellDealing(config, { ...state, kind: 'dealt', dealings }, mine);
      return {
        state: told.state,
        effects: [
          { kind: 'persist', fact: { kind: 'accepted', dealing: result.dealing } },
          ...told.effects,
        ],
      };
    }
    case 'verified':
      return verified(config, state, subject, result);
    case 'derived':
      return list === undefined ? unchanged(state) : derived(config, state, list, result);
    case 'noKey':
      return list === undefined ? unchanged(state) : useless(state, list);
    case 'unopenable': {
      const { dealing, proof } = result;
      const culprit = idOf(config, dealing.dealer);
      const fault: DkgFault = { kind: 'unopenable', culprit, dealing, proof };
      const { state: next } = list === undefined ? unchanged(state) : useless(state, list);
      return blameOnce(next, 'unopenable', fault);
    }
    case 'vouched': {
      if (list === undefined) return unchanged(state);
      const { readiness } = result;
      const more = new Map(list.readiness).set(readiness.candidate, readiness);
      const next = setList(state, { ...list, readiness: more });
      return tell(config, next, { readiness: [readiness] });
    }
    case 'combined':
    case 'uncombined':
      return list === undefined ? unchanged(state) : combined(config, state, list, result);
    default:
      return assertNever(result);
  }
}

/** D4: only a checked dealing is kept, on disk before anybody hears of it. */
function verified(
  config: DkgConfig,
  state: Open,
  carrier: NodeId,
  { verdict }: DkgResult & { readonly kind: 'verified' },
): Taken {
  const each = state.checking.get(carrier);
  if (each === undefined) return unchanged(state);
  const checking = new Map(state.checking);
  checking.delete(carrier);
  const next: Open = { ...state, checking };
  const { dealing } = each;
  const culprit = idOf(config, dealing.dealer);
  switch (verdict) {
    case 'unsigned': {
      const fault: DkgFault = { kind: 'invalidSignature', culprit: carrier, part: 'dealing' };
      return { state: next, effects: [{ kind: 'blame', fault }] };
    }
    case 'wrongKeys':
    case 'wrongBody':
      return blameOnce(next, 'dealing', { kind: 'invalidDealing', culprit, dealing });
    case 'valid': {
      const dealings = new Map(next.dealings).set(toHex(each.hash), each);
      const learned = inTurn(
        { ...next, dealings },
        dealing.keys.flatMap((key) =>
          key === null ? [] : [(s: Open) => learnKey(config, s, key)],
        ),
      );
      const fact: DkgFact = { kind: 'accepted', dealing };
      return { state: learned.state, effects: [{ kind: 'persist', fact }, ...learned.effects] };
    }
  }
}

function derived(
  config: DkgConfig,
  state: Open,
  list: HeldList,
  { keys, secretShare }: DkgResult & { readonly kind: 'derived' },
): Taken {
  const self = ownIndex(config);
  const result: KeyShareSet = { ...keys, secretShare, index: self };
  const ready = config.readyBytes(list.hash, keys);
  const stage = { kind: 'derived', result, ready, combining: false, proof: null } as const;
  const { identitySeed } = config;
  return {
    state: setList(state, { ...list, stage }),
    effects: [
      shareOutput(config, state, list, result),
      {
        kind: 'compute',
        id: `vouch/${toHex(list.hash)}`,
        job: {
          kind: 'vouch',
          binding: bindingOf(config),
          self,
          list: list.hash,
          ready,
          secretShare,
          identitySeed,
        },
      },
    ],
  };
}

const shareOutput = (
  config: DkgConfig,
  state: Open,
  { dealings }: HeldList,
  share: KeyShareSet,
): DkgEffect => ({
  kind: 'output',
  output: {
    kind: 'share',
    list: dealings,
    share,
    usedFallback: dealings.some(
      (hash) =>
        hash !== null &&
        state.dealings.get(toHex(hash))?.dealing.keys[ownIndex(config) - 1] === null,
    ),
  },
});

function combined(
  config: DkgConfig,
  state: Open,
  list: HeldList,
  result: DkgResult & { readonly kind: 'combined' | 'uncombined' },
): Taken {
  const { stage } = list;
  if (stage.kind !== 'derived') return unchanged(state);
  if (result.kind === 'combined') {
    const { key, publicShares } = stage.result;
    const ready: Ready = {
      list: list.dealings,
      key,
      publicShares,
      signature: result.signature,
      vouchers: result.vouchers,
    };
    const next = { ...list, stage: { ...stage, combining: false, proof: ready } };
    return {
      state: setList(state, next),
      effects: [{ kind: 'output', output: { kind: 'ready', ready } }],
    };
  }
  assert(result.wrong.length > 0, 'five right shares combine');
  const wrong = new Set([...list.wrong, ...result.wrong]);
  const kept = new Map([...list.readiness].filter(([candidate]) => !wrong.has(candidate)));
  const next = { ...list, wrong, readiness: kept, stage: { ...stage, combining: false } };
  return inTurn(
    setList(state, next),
    result.wrong.flatMap((candidate) => {
      const readiness = list.readiness.get(candidate);
      if (readiness === undefined) return [];
      const culprit = idOf(config, candidate);
      return [
        (s: Open) => blameOnce(s, 'readiness', { kind: 'invalidReadiness', culprit, readiness }),
      ];
    }),
  );
}

const fiveOf = (list: HeldList) => inOrder(list.readiness).slice(0, SHARES_REQUIRED);

const useless = (state: Open, list: HeldList): Taken =>
  unchanged(setList(state, { ...list, stage: { kind: 'useless' } }));

const unchanged = (state: Open): Taken => ({ state, effects: [] });

/** Moves on as far as the parts at hand allow; called after everything that adds one. */
const advance = (config: DkgConfig, state: Open, context: Context): Taken =>
  inTurn(state, [
    (s) => deal(config, s, context),
    (s) => nameList(config, s),
    ...[...state.lists.keys()].map((id) => (s: Open) => derive(config, s, id)),
    ...[...state.lists.keys()].map((id) => (s: Open) => combine(config, s, id)),
  ]);

/** D2, N12: at seven keys, or at the first tick with the agreed keys of those that are silent. */
function deal(config: DkgConfig, state: Open, context: Context): Taken {
  if (state.kind !== 'gathering') return unchanged(state);
  if (state.keys.size < ELDER_COUNT && state.tick === 0) return unchanged(state);
  const { fallbackKeys, identitySeed, sessionId } = config;
  const list = config.candidates.map((_, at) => state.keys.get(at + 1) ?? null);
  const seed = hkdf(context.entropy, sessionId, 'safe/v1/dkg-dealing-seed', 32);
  return {
    state: { ...state, kind: 'dealing' },
    effects: [
      {
        kind: 'compute',
        id: 'deal',
        job: {
          kind: 'deal',
          binding: bindingOf(config),
          dealer: ownIndex(config),
          list,
          fallbackKeys,
          identitySeed,
          seed,
        },
      },
    ],
  };
}

/** D5, N13: one list, once; the others wait their turn so that usually one list is enough. */
function nameList(config: DkgConfig, state: Open): Taken {
  const self = ownIndex(config);
  const dealings = firstByDealer(state);
  if (state.named.has(self) || dealings.size < SHARES_REQUIRED) return unchanged(state);
  const fiveAt = state.fiveAt ?? state.tick;
  const next: Open = { ...state, fiveAt };
  const rank = namingRank(config);
  const waited = state.tick - fiveAt >= ticksForTheRest + ticksPerNamer * rank;
  const complete = rank === 0 && dealings.size === ELDER_COUNT;
  if (!(waited || complete) || isAnyReady(state)) return unchanged(next);
  const unsigned = {
    candidate: self,
    dealings: config.candidates.map((_, at) => dealings.get(at + 1)?.hash ?? null),
  };
  const bytes = signedListBytes(bindingOf(config), unsigned);
  const list = { ...unsigned, signature: config.suites.identity.sign(config.identitySeed, bytes) };
  const told = tell(
    config,
    {
      ...next,
      named: new Map(next.named).set(self, list),
      lists: withList(config, next.lists, list.dealings, false),
    },
    { lists: [list] },
  );
  // Its own list is the newest: the caller's round over the lists was made before.
  const [id = ''] = [...told.state.lists.keys()].slice(-1);
  const begun = derive(config, told.state, id);
  return {
    state: begun.state,
    effects: [
      { kind: 'persist', fact: { kind: 'named', list } },
      ...told.effects,
      ...begun.effects,
    ],
  };
}

const isAnyReady = (state: Held): boolean =>
  [...state.lists.values()].some(({ stage }) => stage.kind === 'derived' && stage.proof !== null);

/** D6: whoever holds and checked all of a list adds it up, whoever named it. */
function derive(config: DkgConfig, state: Open, id: string): Taken {
  const list = state.lists.get(id);
  if (list?.stage.kind !== 'lacking') return unchanged(state);
  const openings = [];
  for (const hash of list.dealings) {
    if (hash === null) continue;
    const each = state.dealings.get(toHex(hash));
    if (each === undefined) return unchanged(state);
    const key = each.dealing.keys[ownIndex(config) - 1] ?? null;
    // N12: what was sealed while this candidate was silent opens with its agreed key.
    const secret = key === null ? config.fallbackSecret : state.sharingSecret;
    openings.push({ dealing: each.dealing, secret });
  }
  const { fallbackKeys } = config;
  const self = ownIndex(config);
  const job = { kind: 'derive', binding: bindingOf(config), fallbackKeys, self, openings } as const;
  return {
    state: setList(state, { ...list, stage: { kind: 'deriving' } }),
    effects: [{ kind: 'compute', id: `derive/${id}`, job }],
  };
}

/** D9: five shares of readiness make the proof. */
function combine(config: DkgConfig, state: Open, id: string): Taken {
  const list = state.lists.get(id);
  if (list?.stage.kind !== 'derived') return unchanged(state);
  const { stage } = list;
  if (stage.combining || stage.proof !== null) return unchanged(state);
  const readiness = fiveOf(list);
  if (readiness.length < SHARES_REQUIRED) return unchanged(state);
  const { candidates } = config;
  const { key, publicShares } = stage.result;
  const job = {
    kind: 'combine',
    binding: bindingOf(config),
    candidates,
    ready: stage.ready,
    keys: { key, publicShares },
    readiness,
  } as const;
  return {
    state: setList(state, { ...list, stage: { ...stage, combining: true } }),
    effects: [{ kind: 'compute', id: `combine/${id}`, job }],
  };
}

/** D11, N18: when the key that won has its share out, the session's secrets go. */
function settle(config: DkgConfig, { state, effects }: Taken): DkgStep {
  const { won } = state;
  if (won === null) return { state, effects };
  const out = [...state.lists.values()].some(
    ({ stage }) => stage.kind === 'derived' && equalBytes(stage.result.key, won),
  );
  return out ? end(state, effects) : { state, effects };
}

const end = (state: Open, effects: readonly DkgEffect[]): DkgStep => ({
  state: ended(state),
  effects: [
    ...effects,
    { kind: 'persist', fact: { kind: 'ended' } },
    { kind: 'clearTimer', timer: 'gossip' },
    { kind: 'output', output: { kind: 'ended' } },
  ],
});

/** Everything public stays: others may still ask. Shares go with the stages that held them. */
const ended = ({ keys, dealings, named, lists, sent, tick: asks }: Held): DkgState => ({
  kind: 'ended',
  keys,
  dealings,
  named,
  lists: new Map(
    [...lists].map(([id, list]) => [id, { ...list, stage: { kind: 'useless' } as const }]),
  ),
  sent,
  tick: asks,
});
