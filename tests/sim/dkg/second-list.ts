/**
 * A candidate's second list: the dealings of all candidates, with another one of its own in place
 * of the first. A candidate that receives it holds a share of another key, as valid as the first;
 * the others learn of it only from the section's decision (DKG-D12).
 */
import { sha256 } from '#crypto/hash.ts';
import { utf8 } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import {
  listHash,
  performDkgJob,
  type DkgConfig,
  type DkgJob,
  type DkgMessage,
  type DkgResult,
  type DkgState,
  type SignedReadiness,
  type SignedDealing,
  type ProposedList,
} from '#protocol/dkg/index.ts';
import { firstByDealer, ownIndex } from '#protocol/dkg/common.ts';
import { dealingHash, proposedListBytes } from '#protocol/dkg/transcript.ts';

export interface SecondList {
  readonly dealing: SignedDealing;
  readonly list: ProposedList;
  /** Proves that its author can sign with the key of this list. */
  readonly readiness: SignedReadiness;
}

/** Null while the candidate lacks one of the seven dealings, or after it erased its secrets. */
export function secondListOf(config: DkgConfig, state: DkgState): SecondList | null {
  if (state.kind === 'ended') return null;
  const { suites, identitySeed, fallbackKeys, networkId, sessionId, fallbackSecret } = config;
  const self = ownIndex(config);
  const binding = { networkId, sessionId };
  const work = <K extends DkgResult['kind']>(job: DkgJob, kind: K) => {
    const result = performDkgJob(job, suites);
    if (result.kind !== kind) throw new Error(`a job of an honest machine: ${result.kind}`);
    return result as Extract<DkgResult, { readonly kind: K }>;
  };
  const first = firstByDealer(state);
  const own = first.get(self)?.dealing;
  if (own === undefined || first.size < config.candidates.length) return null;
  const seed = sha256(utf8('another face'));
  const { dealing } = work(
    { kind: 'deal', binding, dealer: self, list: own.keys, fallbackKeys, identitySeed, seed },
    'dealt',
  );
  const used = config.candidates.map((_, at) =>
    at + 1 === self ? dealing : first.get(at + 1)?.dealing,
  );
  const held = used.filter((each) => each !== undefined);
  const unsigned = { candidate: self, dealings: held.map((each) => dealingHash(config, each)) };
  const signature = suites.identity.sign(identitySeed, proposedListBytes(config, unsigned));
  const openings = held.map((each) => ({
    dealing: each,
    secret: each.keys[self - 1] === null ? fallbackSecret : state.sharingSecret,
  }));
  const derived = work({ kind: 'derive', binding, fallbackKeys, self, openings }, 'derived');
  const list = listHash(binding, unsigned.dealings);
  const ready = config.readyBytes(list, derived.keys);
  const { secretShare } = derived;
  const { readiness } = work(
    { kind: 'vouch', binding, self, list, ready, secretShare, identitySeed },
    'vouched',
  );
  return { dealing, list: { ...unsigned, signature }, readiness };
}

/**
 * A liar's messages in place of one message. It keeps its first list to itself, since two lists
 * would expose it.
 */
export function sendSecondList(
  second: SecondList,
  message: DkgMessage,
  to: NodeId,
  hidden: readonly NodeId[],
): readonly DkgMessage[] {
  const { list, dealing, readiness } = second;
  const { candidate } = list;
  const honest: DkgMessage =
    message.kind === 'parts'
      ? { ...message, lists: message.lists.filter((each) => each.candidate !== candidate) }
      : message;
  if (hidden.includes(to)) return [honest];
  const { sessionId, inventory } = message;
  return [
    honest,
    { kind: 'parts', sessionId, inventory, keys: [], lists: [list], readiness: [readiness] },
    { kind: 'dealing', sessionId, inventory, dealing },
  ];
}
