/** The steps a candidate can take with the parts it holds: deal, propose, derive, prove ready. */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context } from '#core/machine.ts';
import { andThen } from '#core/step.ts';
import { hkdf } from '#crypto/hash.ts';
import { ELDER_COUNT, SHARES_REQUIRED } from '#protocol/section/index.ts';
import {
  activeStep,
  bindingOf,
  firstByDealer,
  sortByCandidate,
  hasReadyKey,
  proposerRank,
  ownIndex,
  setList,
  withList,
  type ActiveDkgStep,
} from './common.ts';
import { broadcastParts } from './gossip.ts';
import type { DkgConfig, ActiveDkgState } from './state.ts';
import { proposedListBytes } from './transcript.ts';

/** Ticks the first proposer waits for the sixth and seventh dealing. */
const ticksForLateDealings = 2;
/** Ticks until each next candidate proposes, while no key is ready. */
const ticksPerProposer = 6;

/** Takes every step the held parts allow; called after every event that adds a part. */
export const advance = (
  config: DkgConfig,
  state: ActiveDkgState,
  context: Context,
): ActiveDkgStep =>
  andThen(
    activeStep(state),
    (s) => deal(config, s, context),
    (s) => proposeList(config, s),
    ...[...state.lists.keys()].map((id) => (s: ActiveDkgState) => derive(config, s, id)),
    ...[...state.lists.keys()].map((id) => (s: ActiveDkgState) => combine(config, s, id)),
  );

/** DKG-D2, N12: at seven session keys, or at the first tick with fallback keys for missing ones. */
function deal(config: DkgConfig, state: ActiveDkgState, context: Context): ActiveDkgStep {
  if (state.kind !== 'gathering') return activeStep(state);
  if (state.keys.size < ELDER_COUNT && state.tick === 0) return activeStep(state);
  const { fallbackKeys, identitySeed, sessionId } = config;
  const list = config.candidates.map((_, at) => state.keys.get(at + 1) ?? null);
  const seed = hkdf(context.entropy, sessionId, 'safe/v1/dkg-dealing-seed', 32);
  return {
    state: { ...state, kind: 'dealing' },
    effects: [
      {
        kind: 'compute',
        id: { kind: 'deal' },
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

/** DKG-D5, N13: proposes one list, once; later proposers wait, so that usually one list is enough. */
function proposeList(config: DkgConfig, state: ActiveDkgState): ActiveDkgStep {
  const self = ownIndex(config);
  const dealings = firstByDealer(state);
  if (state.proposed.has(self) || dealings.size < SHARES_REQUIRED) return activeStep(state);
  if (hasReadyKey(state) || config.late === true) return activeStep(state);
  const quorumTick = state.quorumTick ?? state.tick;
  const next: ActiveDkgState = { ...state, quorumTick };
  const rank = proposerRank(config);
  const waited = state.tick - quorumTick >= ticksForLateDealings + ticksPerProposer * rank;
  const complete = rank === 0 && dealings.size === ELDER_COUNT;
  if (!waited && !complete) return activeStep(next);
  const unsigned = {
    candidate: self,
    dealings: config.candidates.map((_, at) => dealings.get(at + 1)?.hash ?? null),
  };
  const bytes = proposedListBytes(bindingOf(config), unsigned);
  const list = { ...unsigned, signature: config.suites.identity.sign(config.identitySeed, bytes) };
  return andThen(
    activeStep(
      {
        ...next,
        proposed: new Map(next.proposed).set(self, list),
        lists: withList(config, next.lists, list.dealings, false),
      },
      { kind: 'persist', fact: { kind: 'listProposed', list } },
    ),
    (s) => broadcastParts(config, s, { lists: [list] }),
    // `advance` listed its steps before this list existed, so derive it here.
    (s) => derive(config, s, [...s.lists.keys()].at(-1) ?? ''),
  );
}

/** DKG-D6: derives the key of a list, of any proposer, once all its dealings are held and checked. */
function derive(config: DkgConfig, state: ActiveDkgState, id: string): ActiveDkgStep {
  const list = state.lists.get(id);
  if (list?.stage.kind !== 'incomplete') return activeStep(state);
  const openings = [];
  for (const hash of list.dealings) {
    if (hash === null) continue;
    const each = state.dealings.get(toHex(hash));
    if (each === undefined) return activeStep(state);
    const key = each.dealing.keys[ownIndex(config) - 1] ?? null;
    // A late candidate has no session secret, even if others hold a session key it once signed.
    const mine = config.late === true ? undefined : state.keys.get(ownIndex(config));
    if (key !== null && !(mine !== undefined && equalBytes(key.sharingKey, mine.sharingKey))) {
      // Encrypted to a session key whose secret is lost: not the dealer's fault.
      return activeStep(setList(state, { ...list, stage: { kind: 'unusable' } }));
    }
    // N12: without a session key, this candidate's share is encrypted to its fallback key.
    const secret = key === null ? config.fallbackSecret : state.sharingSecret;
    openings.push({ dealing: each.dealing, secret });
  }
  const { fallbackKeys } = config;
  const self = ownIndex(config);
  const job = { kind: 'derive', binding: bindingOf(config), fallbackKeys, self, openings } as const;
  return {
    state: setList(state, { ...list, stage: { kind: 'deriving' } }),
    effects: [{ kind: 'compute', id: { kind: 'derive', list: id }, job }],
  };
}

/** DKG-D9: combines five readiness shares into the proof. */
function combine(config: DkgConfig, state: ActiveDkgState, id: string): ActiveDkgStep {
  const list = state.lists.get(id);
  if (list?.stage.kind !== 'derived') return activeStep(state);
  const { stage } = list;
  if (stage.combining || stage.proof !== null) return activeStep(state);
  const readiness = sortByCandidate(list.readiness).slice(0, SHARES_REQUIRED);
  if (readiness.length < SHARES_REQUIRED) return activeStep(state);
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
    effects: [{ kind: 'compute', id: { kind: 'combine', list: id }, job }],
  };
}
