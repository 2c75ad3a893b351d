/** What follows from a job's answer (README: D4, D6, D9). */
import { assert, assertNever } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import {
  bindingOf,
  blameOnce,
  held,
  idOf,
  inTurn,
  ownIndex,
  setList,
  shareOutput,
  unchanged,
  type Taken,
} from './common.ts';
import { tell, tellDealing } from './gossip.ts';
import type { DkgResult } from './jobs.ts';
import type { Ready } from './proof.ts';
import type { DkgConfig, DkgFact, DkgFault, HeldList, KeyShareSet, Open } from './state.ts';
import { learnKey } from './take.ts';

export function computed(config: DkgConfig, state: Open, id: string, result: DkgResult): Taken {
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

const useless = (state: Open, list: HeldList): Taken =>
  unchanged(setList(state, { ...list, stage: { kind: 'useless' } }));
