/** Applies the result of a job to the session (DKG-D4, DKG-D6, DKG-D9). */
import { assert, assertNever } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { andThen, stepForEach } from '#core/step.ts';
import {
  activeStep,
  bindingOf,
  blameOnce,
  toHeldDealing,
  idOf,
  ownIndex,
  setList,
  shareOutput,
  type ActiveDkgStep,
} from './common.ts';
import { broadcastParts, broadcastDealing } from './gossip.ts';
import type { DkgResult } from './jobs.ts';
import type { ReadinessProof } from './readiness-proof.ts';
import type {
  DkgConfig,
  DkgFact,
  DkgFault,
  HeldList,
  KeyShareSet,
  ActiveDkgState,
  DkgJobId,
} from './state.ts';
import { addSessionKey } from './receive.ts';

export function onJobResult(
  config: DkgConfig,
  state: ActiveDkgState,
  id: DkgJobId,
  result: DkgResult,
): ActiveDkgStep {
  const list = 'list' in id ? state.lists.get(id.list) : undefined;
  switch (result.kind) {
    case 'dealt': {
      const mine = toHeldDealing(config, result.dealing);
      const dealings = new Map(state.dealings).set(toHex(mine.hash), mine);
      const fact: DkgFact = { kind: 'accepted', dealing: result.dealing };
      return andThen(
        activeStep({ ...state, kind: 'dealt', dealings }, { kind: 'persist', fact }),
        (s) => broadcastDealing(config, s, mine),
      );
    }
    case 'verified':
      assert(id.kind === 'verify', 'a dealing is verified for its sender');
      return onVerified(config, state, id.from, result);
    case 'derived':
      return list === undefined ? activeStep(state) : onDerived(config, state, list, result);
    case 'noKey':
      return list === undefined ? activeStep(state) : markUnusable(state, list);
    case 'undecryptable': {
      const { dealing, proof } = result;
      const culprit = idOf(config, dealing.dealer);
      const fault: DkgFault = { kind: 'undecryptable', culprit, dealing, proof };
      const { state: next } = list === undefined ? activeStep(state) : markUnusable(state, list);
      return blameOnce(next, 'undecryptable', fault);
    }
    case 'vouched': {
      if (list === undefined) return activeStep(state);
      const { readiness } = result;
      const more = new Map(list.readiness).set(readiness.candidate, readiness);
      const next = setList(state, { ...list, readiness: more });
      return broadcastParts(config, next, { readiness: [readiness] });
    }
    case 'combined':
    case 'invalidShares':
      return list === undefined ? activeStep(state) : onCombined(config, state, list, result);
    default:
      return assertNever(result);
  }
}

/** DKG-D4: keeps only verified dealings, and persists them before sending anything. */
function onVerified(
  config: DkgConfig,
  state: ActiveDkgState,
  carrier: NodeId,
  { verdict }: DkgResult & { readonly kind: 'verified' },
): ActiveDkgStep {
  const each = state.checking.get(carrier);
  if (each === undefined) return activeStep(state);
  const checking = new Map(state.checking);
  checking.delete(carrier);
  const next: ActiveDkgState = { ...state, checking };
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
      const fact: DkgFact = { kind: 'accepted', dealing };
      const keys = dealing.keys.filter((key) => key !== null);
      return andThen(activeStep({ ...next, dealings }, { kind: 'persist', fact }), (s) =>
        stepForEach(s, keys, (now, key) => addSessionKey(config, now, key)),
      );
    }
  }
}

function onDerived(
  config: DkgConfig,
  state: ActiveDkgState,
  list: HeldList,
  { keys, secretShare }: DkgResult & { readonly kind: 'derived' },
): ActiveDkgStep {
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
        id: { kind: 'vouch', list: toHex(list.hash) },
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

function onCombined(
  config: DkgConfig,
  state: ActiveDkgState,
  list: HeldList,
  result: DkgResult & { readonly kind: 'combined' | 'invalidShares' },
): ActiveDkgStep {
  const { stage } = list;
  if (stage.kind !== 'derived') return activeStep(state);
  if (result.kind === 'combined') {
    const { key, publicShares } = stage.result;
    const ready: ReadinessProof = {
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
  assert(result.wrong.length > 0, 'five valid shares combine');
  const wrong = new Set([...list.wrong, ...result.wrong]);
  const kept = new Map([...list.readiness].filter(([candidate]) => !wrong.has(candidate)));
  const next = { ...list, wrong, readiness: kept, stage: { ...stage, combining: false } };
  return stepForEach(setList(state, next), result.wrong, (s, candidate) => {
    const readiness = list.readiness.get(candidate);
    if (readiness === undefined) return activeStep(s);
    const culprit = idOf(config, candidate);
    return blameOnce(s, 'readiness', { kind: 'invalidReadiness', culprit, readiness });
  });
}

const markUnusable = (state: ActiveDkgState, list: HeldList): ActiveDkgStep =>
  activeStep(setList(state, { ...list, stage: { kind: 'unusable' } }));
