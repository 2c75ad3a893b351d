/**
 * Combines five signature shares into one signature of a section. A collector stores one unverified
 * share per elder, and verifies shares one by one only if five do not combine. An elder whose share proves
 * wrong is rejected, so each costs at most one failed combination.
 */
import { nameToId } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import type { NodeId } from '#core/machine.ts';
import { unchanged } from '#core/step.ts';
import type { BlsPurpose, SignatureShare } from '#crypto/bls.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { SHARES_REQUIRED } from './quorum.ts';
import type { SectionElder } from './state.ts';

export interface ThresholdCollector {
  readonly purpose: BlsPurpose;
  readonly bytes: Uint8Array;
  /** By elder index, 1…7. */
  readonly shares: ReadonlyMap<number, Uint8Array>;
  /** Elders that sent a wrong share, which is blamed once: further shares of theirs are ignored. */
  readonly rejected: ReadonlySet<number>;
  /** A combine job is running. */
  readonly busy: boolean;
}

/** A section key, 96 bytes, and its elders with their public shares. */
export interface SigningSection {
  readonly key: Uint8Array;
  readonly elders: readonly Pick<SectionElder, 'index' | 'publicShare'>[];
}

export interface CombineJob {
  readonly kind: 'combine';
  readonly section: SigningSection;
  readonly purpose: BlsPurpose;
  readonly bytes: Uint8Array;
  readonly shares: readonly SignatureShare[];
}

export type CombineResult =
  | { readonly kind: 'combined'; readonly signature: Uint8Array }
  /** These elders' shares do not verify. */
  | { readonly kind: 'combineFailed'; readonly wrong: readonly number[] };

/** Its share does not verify against its public share, or signs other bytes. */
export interface BadShare {
  readonly kind: 'badShare';
  readonly culprit: NodeId;
}

export const createThresholdCollector = (
  purpose: BlsPurpose,
  bytes: Uint8Array,
  early: ReadonlyMap<number, Uint8Array> = new Map(),
): ThresholdCollector => ({
  purpose,
  bytes,
  shares: early,
  rejected: new Set(),
  busy: false,
});

export const hasShareOf = ({ shares, rejected }: ThresholdCollector, index: number): boolean =>
  shares.has(index) || rejected.has(index);

/** Keeps the first share of each elder. */
export const withShare = (
  collector: ThresholdCollector,
  index: number,
  share: Uint8Array,
): ThresholdCollector =>
  hasShareOf(collector, index)
    ? collector
    : { ...collector, shares: new Map(collector.shares).set(index, share) };

/** Starts a combine job, as `id`, if five shares are here and none is running; `keep` stores the collector. */
export function combineDue<State, const Id>(
  collector: ThresholdCollector,
  section: SigningSection,
  id: Id,
  keep: (collector: ThresholdCollector) => State,
): {
  readonly state: State;
  readonly effects: readonly {
    readonly kind: 'compute';
    readonly id: Id;
    readonly job: CombineJob;
  }[];
} {
  if (collector.busy || collector.shares.size < SHARES_REQUIRED) return unchanged(keep(collector));
  const { purpose, bytes } = collector;
  const shares = [...collector.shares]
    .sort(([a], [b]) => a - b)
    .slice(0, SHARES_REQUIRED)
    .map(([index, signature]) => ({ index, signature }));
  const { key, elders } = section;
  const job = { kind: 'combine', section: { key, elders }, purpose, bytes, shares } as const;
  return {
    state: keep({ ...collector, busy: true }),
    effects: [{ kind: 'compute', id, job }],
  };
}

/** Blames the elders of these wrong shares. */
export const blameBadShares = (
  elders: readonly SectionElder[],
  wrong: readonly number[],
): readonly { readonly kind: 'blame'; readonly fault: BadShare }[] =>
  elders
    .filter(({ index }) => wrong.includes(index))
    .map(({ name }) => ({ kind: 'blame', fault: { kind: 'badShare', culprit: nameToId(name) } }));

/** Drops these elders' shares for good. */
export function withRejected(
  collector: ThresholdCollector,
  wrong: readonly number[],
): ThresholdCollector {
  const shares = new Map([...collector.shares].filter(([index]) => !wrong.includes(index)));
  return { ...collector, shares, rejected: new Set([...collector.rejected, ...wrong]) };
}

/** Rejects the elders whose shares made a combination fail, at least one; the next five can be combined. */
export const afterFailedCombine = (
  collector: ThresholdCollector,
  wrong: readonly number[],
): ThresholdCollector => {
  assert(wrong.length > 0, 'five valid shares combine');
  return { ...withRejected(collector, wrong), busy: false };
};

/** One pairing if all shares are valid; five more if one is not. */
export function performCombine(suite: ThresholdSuite, job: CombineJob): CombineResult {
  const { section, purpose, bytes, shares } = job;
  const signature = suite.combine(shares);
  if (signature !== undefined && suite.verify(section.key, purpose, bytes, signature)) {
    return { kind: 'combined', signature };
  }
  const wrong = shares.filter(({ index, signature: share }) => {
    const elder = section.elders.find((each) => each.index === index);
    return elder === undefined || !suite.verify(elder.publicShare, purpose, bytes, share);
  });
  return { kind: 'combineFailed', wrong: wrong.map(({ index }) => index) };
}
