/** The slow parts of a birth: group operations and pairings, pure, for a worker thread. */
import { assert } from '#core/assert.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  decodeReady,
  performDkgJob,
  plainReadyBytes,
  verifyReady,
  type DkgSuites,
} from '#protocol/dkg/index.ts';
import { authoritySigningBytes, SHARES_REQUIRED } from '#protocol/section/index.ts';
import type { GenesisJob, GenesisResult } from './state.ts';

export function performGenesisJob(job: GenesisJob, suites: DkgSuites): GenesisResult {
  const suite = suites.threshold;
  switch (job.kind) {
    case 'dkg':
      return { kind: 'dkg', result: performDkgJob(job.job, suites) };
    case 'validate':
      return { kind: 'validated', result: { kind: isReady(job, suites) ? 'valid' : 'invalid' } };
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

/** N13: what may be agreed on is a key that five founders vouch for; the same for everybody. */
function isReady(job: GenesisJob & { readonly kind: 'validate' }, suites: DkgSuites): boolean {
  const { binding, candidates, proposal } = job;
  const ready = decodeReady(proposal);
  if (!ready.ok) return false;
  const bytes: Parameters<typeof verifyReady>[3] = (list, keys) =>
    plainReadyBytes(binding, list, keys);
  return verifyReady(suites, binding, candidates, bytes, ready.value);
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
