/** The slow jobs: pure functions for a worker thread, 20–400 ms each with the real curves. */
import type { XorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { blsDealings, type DealingSuite, type DealingKeys } from '#crypto/dealing/dealing-suite.ts';
import { blsSuite, type ThresholdSuite } from '#crypto/threshold-suite.ts';
import { ed25519Identity, type IdentitySuite } from '#crypto/identity-suite.ts';
import { SHARES_REQUIRED } from '#protocol/section/index.ts';
import type { SignedReadiness, SignedDealing } from './messages.ts';
import type { Voucher } from './readiness-proof.ts';
import {
  dealingBinding,
  dealingBytes,
  keyBytes,
  readinessBytes,
  voucherBytes,
  type Binding,
} from './transcript.ts';

export interface DkgSuites {
  readonly identity: IdentitySuite;
  readonly threshold: ThresholdSuite;
  readonly dealings: DealingSuite;
}

export const productionSuites: DkgSuites = {
  identity: ed25519Identity,
  threshold: blsSuite,
  dealings: blsDealings,
};

/** A dealing and the secret that decrypts this candidate's share. */
export interface DecryptionInput {
  readonly dealing: SignedDealing;
  /** 32 bytes. */
  readonly secret: Uint8Array;
}

export type DkgJob =
  | {
      readonly kind: 'deal';
      readonly binding: Binding;
      readonly dealer: number;
      readonly list: SignedDealing['keys'];
      readonly fallbackKeys: readonly Uint8Array[];
      readonly identitySeed: Uint8Array;
      /** 32 secret bytes, fresh for this dealing. */
      readonly seed: Uint8Array;
    }
  | {
      readonly kind: 'verify';
      readonly binding: Binding;
      readonly candidates: readonly XorName[];
      readonly fallbackKeys: readonly Uint8Array[];
      readonly dealing: SignedDealing;
    }
  | {
      readonly kind: 'derive';
      readonly binding: Binding;
      readonly fallbackKeys: readonly Uint8Array[];
      readonly self: number;
      readonly openings: readonly DecryptionInput[];
    }
  | {
      readonly kind: 'vouch';
      readonly binding: Binding;
      readonly self: number;
      readonly list: Uint8Array;
      readonly ready: Uint8Array;
      readonly secretShare: Uint8Array;
      readonly identitySeed: Uint8Array;
    }
  | {
      readonly kind: 'combine';
      readonly binding: Binding;
      readonly candidates: readonly XorName[];
      readonly ready: Uint8Array;
      readonly keys: DealingKeys;
      readonly readiness: readonly SignedReadiness[];
    };

/** `unsigned` blames the carrier; `wrongKeys` and `wrongBody` blame the dealer. */
export type DealingVerdict = 'valid' | 'unsigned' | 'wrongKeys' | 'wrongBody';

export type DkgResult =
  | { readonly kind: 'dealt'; readonly dealing: SignedDealing }
  | { readonly kind: 'verified'; readonly verdict: DealingVerdict }
  | { readonly kind: 'derived'; readonly keys: DealingKeys; readonly secretShare: Uint8Array }
  /** N17: a verified dealing has no valid share for this candidate; the proof convinces anyone. */
  | { readonly kind: 'undecryptable'; readonly dealing: SignedDealing; readonly proof: Uint8Array }
  /** A key or public share of the sum is the identity: negligible probability. */
  | { readonly kind: 'noKey' }
  | { readonly kind: 'vouched'; readonly readiness: SignedReadiness }
  | {
      readonly kind: 'combined';
      readonly signature: Uint8Array;
      readonly vouchers: readonly Voucher[];
    }
  /** Candidates whose share or voucher is wrong. */
  | { readonly kind: 'invalidShares'; readonly wrong: readonly number[] };

/** Total for jobs of an honest machine: a throw is our bug, never caused by a peer. */
export function performDkgJob(job: DkgJob, suites: DkgSuites): DkgResult {
  switch (job.kind) {
    case 'deal':
      return deal(job, suites);
    case 'verify':
      return { kind: 'verified', verdict: verifyDealing(job, suites) };
    case 'derive':
      return derive(job, suites);
    case 'vouch':
      return vouch(job, suites);
    case 'combine':
      return combine(job, suites);
  }
}

/** N18: only the suite's `deal` ever holds the polynomial. */
function deal(job: DkgJob & { readonly kind: 'deal' }, suites: DkgSuites): DkgResult {
  const { binding, dealer, list, fallbackKeys, identitySeed, seed } = job;
  const keys = sharingKeysOf(list, fallbackKeys);
  const bound = dealingBinding(binding, dealer, list, keys);
  const body = suites.dealings.deal(bound, keys, seed);
  const unsigned = { dealer, keys: list, body };
  const signature = suites.identity.sign(identitySeed, dealingBytes(binding, unsigned));
  return { kind: 'dealt', dealing: { ...unsigned, signature } };
}

/** Checks signatures first: they are cheap and decide whom to blame for the rest. */
function verifyDealing(
  job: DkgJob & { readonly kind: 'verify' },
  suites: DkgSuites,
): DealingVerdict {
  const { binding, candidates, fallbackKeys, dealing } = job;
  const { dealer, keys: list, body, signature } = dealing;
  const signedBy = (candidate: number, message: Uint8Array, by: Uint8Array): boolean => {
    const name = candidates[candidate - 1];
    return name !== undefined && suites.identity.verify(name, message, by);
  };
  if (!signedBy(dealer, dealingBytes(binding, dealing), signature)) return 'unsigned';
  const genuine = list.every(
    (key, at) =>
      key === null ||
      (key.candidate === at + 1 && signedBy(at + 1, keyBytes(binding, key), key.signature)),
  );
  if (!genuine) return 'wrongKeys';
  const keys = sharingKeysOf(list, fallbackKeys);
  const bound = dealingBinding(binding, dealer, list, keys);
  return suites.dealings.verify(bound, keys, body) ? 'valid' : 'wrongBody';
}

/** This candidate's secret share of a list's key, and all public shares. */
function derive(job: DkgJob & { readonly kind: 'derive' }, { dealings }: DkgSuites): DkgResult {
  const { binding, fallbackKeys, self, openings } = job;
  const shares: Uint8Array[] = [];
  for (const { dealing, secret } of openings) {
    const { dealer, keys: list, body } = dealing;
    const bound = dealingBinding(binding, dealer, list, sharingKeysOf(list, fallbackKeys));
    const share = dealings.decryptShare(bound, self, secret, body);
    if (share === undefined) {
      const proof = dealings.proveUndecryptable(bound, self, secret, body);
      return { kind: 'undecryptable', dealing, proof: proof ?? new Uint8Array() };
    }
    shares.push(share);
  }
  const keys = dealings.sumDealings(openings.map(({ dealing }) => dealing.body));
  if (keys === undefined) return { kind: 'noKey' };
  return { kind: 'derived', keys, secretShare: dealings.sumShares(shares) };
}

function vouch(job: DkgJob & { readonly kind: 'vouch' }, suites: DkgSuites): DkgResult {
  const { binding, self, list, ready, secretShare, identitySeed } = job;
  const share = suites.threshold.sign(secretShare, 'READY', ready);
  const voucher = suites.identity.sign(identitySeed, voucherBytes(binding, ready));
  const unsigned = { candidate: self, list, share, voucher };
  const signature = suites.identity.sign(identitySeed, readinessBytes(binding, unsigned));
  return { kind: 'vouched', readiness: { ...unsigned, signature } };
}

/** One pairing when all shares are valid; checks each share only when the sum is invalid. */
function combine(job: DkgJob & { readonly kind: 'combine' }, suites: DkgSuites): DkgResult {
  const { binding, candidates, ready, keys, readiness } = job;
  assert(readiness.length === SHARES_REQUIRED, 'five shares are combined');
  const message = voucherBytes(binding, ready);
  const vouched = ({ candidate, voucher }: SignedReadiness): boolean => {
    const name = candidates[candidate - 1];
    return name !== undefined && suites.identity.verify(name, message, voucher);
  };
  if (readiness.every(vouched)) {
    const signature = suites.threshold.combine(
      readiness.map(({ candidate, share }) => ({ index: candidate, signature: share })),
    );
    if (signature !== undefined && suites.threshold.verify(keys.key, 'READY', ready, signature)) {
      const vouchers = readiness.map(({ candidate, voucher }) => ({
        candidate,
        signature: voucher,
      }));
      return { kind: 'combined', signature, vouchers };
    }
  }
  const wrong = readiness.filter((each) => {
    const key = keys.publicShares[each.candidate - 1] ?? new Uint8Array();
    return !vouched(each) || !suites.threshold.verify(key, 'READY', ready, each.share);
  });
  return { kind: 'invalidShares', wrong: wrong.map(({ candidate }) => candidate) };
}

/** N12: each candidate's session key, or else its fallback key. */
export const sharingKeysOf = (
  list: SignedDealing['keys'],
  fallbackKeys: readonly Uint8Array[],
): readonly Uint8Array[] =>
  list.map((key, at) => key?.sharingKey ?? fallbackKeys[at] ?? new Uint8Array());
