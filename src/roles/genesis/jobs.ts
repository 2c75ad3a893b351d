/** Expensive work of the genesis machine: group operations and pairings. Pure, for a worker thread. */
import {
  decodeReadinessProof,
  performDkgJob,
  defaultReadyBytes,
  verifyReadinessProof,
  type DkgSuites,
} from '#protocol/dkg/index.ts';
import { authoritySigningBytes, performCombine } from '#protocol/section/index.ts';
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
      return performCombine(suite, job);
    case 'check': {
      const { authority, signature, from } = job;
      const message = authoritySigningBytes(authority);
      const valid = suite.verify(authority.key, 'AUTHORITY', message, signature);
      return { kind: 'checked', from, signature, valid };
    }
  }
}

/** N13: a valid proposal is a key with five vouchers; all founders reach the same result. */
function isReady(job: GenesisJob & { readonly kind: 'validate' }, suites: DkgSuites): boolean {
  const { binding, candidates, proposal } = job;
  const ready = decodeReadinessProof(proposal);
  if (!ready.ok) return false;
  const bytes: Parameters<typeof verifyReadinessProof>[3] = (list, keys) =>
    defaultReadyBytes(binding, list, keys);
  return verifyReadinessProof(suites, binding, candidates, bytes, ready.value);
}
