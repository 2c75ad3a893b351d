/**
 * Five shares make one signature of the section. A collector knows what is signed, keeps one share
 * per elder as its word, and judges shares only when five of them do not combine.
 */
import type { BlsPurpose, SignatureShare } from '#crypto/bls.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { SHARES_REQUIRED, type SectionElder } from '#protocol/section/index.ts';

export interface Collector {
  readonly purpose: BlsPurpose;
  readonly bytes: Uint8Array;
  /** By elder index, 1…7. */
  readonly shares: ReadonlyMap<number, Uint8Array>;
  /** A job is combining. */
  readonly busy: boolean;
}

/** The elders' public shares and the key they add up to. */
export interface SigningSection {
  readonly key: Uint8Array;
  readonly elders: readonly SectionElder[];
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
  | { readonly kind: 'uncombined'; readonly wrong: readonly number[] };

export const openCollector = (
  purpose: BlsPurpose,
  bytes: Uint8Array,
  early: ReadonlyMap<number, Uint8Array> = new Map(),
): Collector => ({ purpose, bytes, shares: early, busy: false });

/** The first share of an elder counts until it is found wrong. */
export function withShare(collector: Collector, index: number, share: Uint8Array): Collector {
  if (collector.shares.has(index)) return collector;
  return { ...collector, shares: new Map(collector.shares).set(index, share) };
}

/** The job that is due, if five shares wait and none runs. */
export function combineDue(
  collector: Collector,
  section: SigningSection,
): { readonly collector: Collector; readonly job: CombineJob } | undefined {
  if (collector.busy || collector.shares.size < SHARES_REQUIRED) return undefined;
  const { purpose, bytes } = collector;
  const shares = [...collector.shares]
    .sort(([a], [b]) => a - b)
    .slice(0, SHARES_REQUIRED)
    .map(([index, signature]) => ({ index, signature }));
  const { key, elders } = section;
  return {
    collector: { ...collector, busy: true },
    job: { kind: 'combine', section: { key, elders }, purpose, bytes, shares },
  };
}

/** After wrong shares were found: they are dropped, the next five may be tried. */
export function withoutShares(collector: Collector, wrong: readonly number[]): Collector {
  const shares = new Map([...collector.shares].filter(([index]) => !wrong.includes(index)));
  return { ...collector, shares, busy: false };
}

/** One pairing when all are honest; five more only when somebody lied. */
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
  return { kind: 'uncombined', wrong: wrong.map(({ index }) => index) };
}
