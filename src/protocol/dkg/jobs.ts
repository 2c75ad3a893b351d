/** The slow parts: pure functions for a worker thread. Group operations take 4–10 ms each. */
import { assert } from '#core/assert.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { hkdf } from '#crypto/hash.ts';
import { ELDER_COUNT, SHARES_REQUIRED } from '#protocol/section/index.ts';
import type { DkgGroup } from './group.ts';
import type { SignedComplaint, SignedDealing } from './messages.ts';
import { boxInfo } from './transcript.ts';

export type DkgJob =
  | {
      readonly kind: 'deal';
      readonly sessionId: Uint8Array;
      readonly dealer: number;
      /** Of candidates 1…7. */
      readonly boxKeys: readonly Uint8Array[];
      /** 32 secret bytes, fresh for this dealing. */
      readonly seed: Uint8Array;
    }
  | {
      readonly kind: 'check';
      readonly sessionId: Uint8Array;
      readonly receiver: number;
      readonly boxSecret: Uint8Array;
      readonly dealing: SignedDealing;
    }
  | {
      readonly kind: 'judge';
      readonly sessionId: Uint8Array;
      readonly complaint: SignedComplaint;
    }
  | {
      readonly kind: 'sum';
      readonly self: number;
      /** By dealer, then by coefficient. */
      readonly commitments: readonly (readonly Uint8Array[])[];
      readonly shares: readonly Uint8Array[];
    };

export type DkgResult =
  | {
      readonly kind: 'dealt';
      readonly commitment: readonly Uint8Array[];
      readonly sealedShares: readonly Uint8Array[];
    }
  /** `share` is null when the dealing holds none that fits. */
  | { readonly kind: 'checked'; readonly dealer: number; readonly share: Uint8Array | null }
  | {
      readonly kind: 'judged';
      readonly complainer: number;
      readonly guilty: 'dealer' | 'complainer';
    }
  | {
      readonly kind: 'summed';
      readonly key: Uint8Array;
      readonly publicShares: readonly Uint8Array[];
      readonly secretShare: Uint8Array;
    };

/** Total for jobs of an honest machine: a throw is our bug, never a peer's doing. */
export function performDkgJob(job: DkgJob, group: DkgGroup): DkgResult {
  switch (job.kind) {
    case 'deal':
      return deal(job, group);
    case 'check': {
      const { sessionId, receiver, boxSecret, dealing } = job;
      const share = openShare(group, sessionId, receiver, boxSecret, dealing);
      return { kind: 'checked', dealer: dealing.dealer, share: share ?? null };
    }
    case 'judge':
      return judge(job.sessionId, job.complaint, group);
    case 'sum':
      return sum(job, group);
  }
}

/** The polynomial exists here only: it is gone when the job returns (N18). */
function deal(job: DkgJob & { readonly kind: 'deal' }, group: DkgGroup): DkgResult {
  const expand = (purpose: string, length: number): Uint8Array =>
    hkdf(job.seed, job.sessionId, `safe/v1/dkg-deal/${purpose}`, length);
  const coefficients = Array.from({ length: SHARES_REQUIRED }, (_, k) =>
    group.toScalar(expand(`coefficient/${k}`, 48)),
  );
  const sealedShares = job.boxKeys.map((boxKey, at) => {
    const receiver = at + 1;
    const share = group.evaluate(coefficients, receiver);
    const info = boxInfo(job.sessionId, job.dealer, receiver);
    // A key nobody can seal to was announced by a liar: its owner gets an empty box.
    const sealed = group.seal(boxKey, expand(`box/${receiver}`, 32), info, share);
    return sealed ?? new Uint8Array(sealedShareBytes);
  });
  return { kind: 'dealt', commitment: group.commit(coefficients), sealedShares };
}

/** Ephemeral key, scalar, tag. */
export const sealedShareBytes = 32 + 32 + 16;

/** D4: g₂·share = Σₖ Cₖ·receiverᵏ. @returns undefined when there is no share that fits. */
function openShare(
  group: DkgGroup,
  sessionId: Uint8Array,
  receiver: number,
  boxSecret: Uint8Array,
  dealing: SignedDealing,
): Uint8Array | undefined {
  const sealed = dealing.sealedShares[receiver - 1];
  if (sealed === undefined) return undefined;
  const share = group.open(boxSecret, boxInfo(sessionId, dealing.dealer, receiver), sealed);
  if (share === undefined || !group.isSecret(share)) return undefined;
  const expected = group.evaluateCommitment(dealing.commitment, receiver);
  if (expected === undefined || !equalBytes(expected, group.publicKey(share))) return undefined;
  return share;
}

/** D6: anyone repeats what the complainer saw, with the key it announced. */
function judge(sessionId: Uint8Array, complaint: SignedComplaint, group: DkgGroup): DkgResult {
  const { candidate, dealing, boxSecret } = complaint;
  const announced = dealing.keys[candidate - 1]?.boxKey;
  const genuine = announced !== undefined && equalBytes(group.boxPublicKey(boxSecret), announced);
  const fits = genuine && openShare(group, sessionId, candidate, boxSecret, dealing) !== undefined;
  const guilty = genuine && !fits ? 'dealer' : 'complainer';
  return { kind: 'judged', complainer: candidate, guilty };
}

/** Key = Σ C₀, share = Σ sᵢ, public shares = the summed commitment at 1…7. */
function sum(job: DkgJob & { readonly kind: 'sum' }, group: DkgGroup): DkgResult {
  const commitment = Array.from({ length: SHARES_REQUIRED }, (_, k) =>
    summed(job.commitments.map((each) => each[k] ?? new Uint8Array())),
  );
  const publicShares = Array.from({ length: ELDER_COUNT }, (_, at) => {
    const share = group.evaluateCommitment(commitment, at + 1);
    assert(share !== undefined, 'a sum of checked commitments has no zero share');
    return share;
  });
  const secretShare = group.sumScalars(job.shares);
  const own = publicShares[job.self - 1] ?? new Uint8Array();
  assert(equalBytes(group.publicKey(secretShare), own), `checked shares add up ${toHex(own)}`);
  return { kind: 'summed', key: commitment[0] ?? new Uint8Array(), publicShares, secretShare };

  // Uniform dealings of honest candidates make a zero sum as likely as guessing the key.
  function summed(keys: readonly Uint8Array[]): Uint8Array {
    const total = group.sumKeys(keys);
    assert(total !== undefined, 'a sum of checked commitments is a key');
    return total;
  }
}
