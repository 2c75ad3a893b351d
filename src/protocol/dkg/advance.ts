/** What the parts at hand allow: to deal, to name a list, to add one up, to prove it ready. */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context } from '#core/machine.ts';
import { hkdf } from '#crypto/hash.ts';
import { ELDER_COUNT, SHARES_REQUIRED } from '#protocol/section/index.ts';
import {
  bindingOf,
  firstByDealer,
  inOrder,
  inTurn,
  isAnyReady,
  namingRank,
  ownIndex,
  setList,
  unchanged,
  withList,
  type Taken,
} from './common.ts';
import { tell } from './gossip.ts';
import type { DkgConfig, Open } from './state.ts';
import { signedListBytes } from './transcript.ts';

/** How many ticks the first namer waits for the sixth and seventh dealing. */
const ticksForTheRest = 2;
/** How many ticks later each next candidate names, if nothing is ready. */
const ticksPerNamer = 6;

/** Moves on as far as the parts at hand allow; called after everything that adds one. */
export const advance = (config: DkgConfig, state: Open, context: Context): Taken =>
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
  if (isAnyReady(state) || config.late === true) return unchanged(state);
  const fiveAt = state.fiveAt ?? state.tick;
  const next: Open = { ...state, fiveAt };
  const rank = namingRank(config);
  const waited = state.tick - fiveAt >= ticksForTheRest + ticksPerNamer * rank;
  const complete = rank === 0 && dealings.size === ELDER_COUNT;
  if (!waited && !complete) return unchanged(next);
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
    // A late candidate has no session secret, also where others show a key that it once signed.
    const mine = config.late === true ? undefined : state.keys.get(ownIndex(config));
    if (key !== null && !(mine !== undefined && equalBytes(key.sharingKey, mine.sharingKey))) {
      // Sealed to a key whose secret is no longer here: no dealer's fault, and no use.
      return unchanged(setList(state, { ...list, stage: { kind: 'useless' } }));
    }
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
  const readiness = inOrder(list.readiness).slice(0, SHARES_REQUIRED);
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
