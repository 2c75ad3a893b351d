/** The slow parts of a birth: group operations and pairings, pure, for a worker thread. */
import { assert } from '#core/assert.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { performDkgJob, type DkgGroup } from '#protocol/dkg/index.ts';
import { authoritySigningBytes, SHARES_REQUIRED } from '#protocol/section/index.ts';
import type { GenesisJob, GenesisResult } from './state.ts';

export function performGenesisJob(
  job: GenesisJob,
  suite: ThresholdSuite,
  group: DkgGroup,
): GenesisResult {
  switch (job.kind) {
    case 'dkg':
      return { kind: 'dkg', result: performDkgJob(job.job, group) };
    case 'sign': {
      const signature = suite.sign(job.secretShare, 'AUTHORITY', job.message);
      return { kind: 'signed', index: job.index, signature };
    }
    case 'combine':
      return combine(job, suite);
    case 'check': {
      const { authority, signature, from } = job;
      const message = authoritySigningBytes(authority);
      const valid = suite.verify(authority.key, 'AUTHORITY', message, signature);
      return { kind: 'checked', from, signature, valid };
    }
  }
}

/** One pairing when all are honest; share by share only when the sum is wrong (d.7). */
function combine(
  job: GenesisJob & { readonly kind: 'combine' },
  suite: ThresholdSuite,
): GenesisResult {
  const { authority, shares } = job;
  assert(shares.length === SHARES_REQUIRED, 'five shares are combined');
  const message = authoritySigningBytes(authority);
  const signature = suite.combine(shares);
  if (signature !== undefined && suite.verify(authority.key, 'AUTHORITY', message, signature)) {
    return { kind: 'combined', signature };
  }
  const wrong = shares.filter(({ index, signature: share }) => {
    const key = authority.elders[index - 1]?.publicShare ?? new Uint8Array();
    return !suite.verify(key, 'AUTHORITY', message, share);
  });
  return { kind: 'uncombined', wrong: wrong.map(({ index }) => index) };
}
