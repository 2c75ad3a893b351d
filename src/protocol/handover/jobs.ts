/** The slow, pure part of a handover: the old key's last signature. */
import { assertNever } from '#core/assert.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { SHARES_REQUIRED, successorBytes } from '#protocol/section/index.ts';
import type { HandoverJob, HandoverResult } from './state.ts';

export function performHandoverJob(job: HandoverJob, suite: ThresholdSuite): HandoverResult {
  switch (job.kind) {
    case 'sign':
      return {
        kind: 'signed',
        signature: suite.sign(job.secretShare, 'SUCCESSOR', successorBytes(job.record)),
      };
    case 'combine':
      return combine(job, suite);
    case 'verify': {
      const { record, signature } = job.signed;
      const good = suite.verify(record.parentKey, 'SUCCESSOR', successorBytes(record), signature);
      return { kind: 'verified', good };
    }
    default:
      return assertNever(job);
  }
}

/** One pairing when all are honest; one per share only when somebody lied. */
function combine(
  { elders, record, shares }: HandoverJob & { readonly kind: 'combine' },
  suite: ThresholdSuite,
): HandoverResult {
  const bytes = successorBytes(record);
  const signature = suite.combine(shares.slice(0, SHARES_REQUIRED));
  const holds =
    signature !== undefined && suite.verify(record.parentKey, 'SUCCESSOR', bytes, signature);
  if (holds) return { kind: 'combined', signature, bad: [] };
  const bad = shares.filter(({ index, signature: share }) => {
    const elder = elders.find((each) => each.index === index);
    return elder === undefined || !suite.verify(elder.publicShare, 'SUCCESSOR', bytes, share);
  });
  return { kind: 'combined', signature: null, bad: bad.map(({ index }) => index) };
}
