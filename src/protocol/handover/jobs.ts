/** The slow, pure part of a handover: the old key's successor signature. */
import { assertNever } from '#core/assert.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { performCombine, successorBytes } from '#protocol/section/index.ts';
import type { HandoverJob, HandoverResult } from './state.ts';

export function performHandoverJob(job: HandoverJob, suite: ThresholdSuite): HandoverResult {
  switch (job.kind) {
    case 'sign':
      return {
        kind: 'signed',
        signature: suite.sign(job.secretShare, 'SUCCESSOR', successorBytes(job.record)),
      };
    case 'combine':
      return performCombine(suite, job);
    case 'verify': {
      const { record, signature } = job.signed;
      const good = suite.verify(record.parentKey, 'SUCCESSOR', successorBytes(record), signature);
      return { kind: 'verified', good };
    }
    default:
      return assertNever(job);
  }
}
