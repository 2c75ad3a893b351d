/** Expensive work of the section node: signatures, proofs, applying acts. Pure and total, for worker threads. */
import { assertNever } from '#core/assert.ts';
import type { BlsPurpose } from '#crypto/bls.ts';
import type { DealingSuite } from '#crypto/dealing/dealing-suite.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { performDkgJob, type DkgJob, type DkgResult } from '#protocol/dkg/index.ts';
import {
  performHandoverJob,
  type HandoverJob,
  type HandoverResult,
} from '#protocol/handover/index.ts';
import {
  applyActs,
  isReadyProof,
  validateAct,
  type ActContext,
  type ReadyProof,
  type SectionEvent,
} from '#protocol/membership/index.ts';
import { churnIdOf } from '#protocol/node-age/index.ts';
import {
  performVerifyUpdate,
  type SealedState,
  type SectionState,
  type VerifiedUpdate,
  type VerifyUpdateJob,
  performCombine,
  type CombineJob,
  type CombineResult,
} from '#protocol/section/index.ts';

export interface NodeSuites {
  readonly threshold: ThresholdSuite;
  readonly identity: IdentitySuite;
  readonly dealings: DealingSuite;
}

export type SectionNodeJob =
  | {
      readonly kind: 'sign';
      readonly secretShare: Uint8Array;
      readonly purpose: BlsPurpose;
      readonly bytes: Uint8Array;
    }
  | CombineJob
  | {
      readonly kind: 'validate';
      readonly state: SectionState;
      readonly proposal: Uint8Array;
      readonly view: ActContext;
    }
  | {
      readonly kind: 'apply';
      readonly state: SectionState;
      readonly acts: readonly Uint8Array[];
      /** 48 bytes: the churn signature (N36). */
      readonly churn: Uint8Array;
    }
  | {
      readonly kind: 'verifySealed';
      readonly job: VerifyUpdateJob;
      readonly sealed: SealedState;
    }
  /** Verifies a page of links, with the authority if they lead to one. */
  | { readonly kind: 'verifyLinks'; readonly job: VerifyUpdateJob }
  | { readonly kind: 'dkg'; readonly job: DkgJob }
  /** N13: verifies a candidate's readiness proof. */
  | {
      readonly kind: 'checkReady';
      readonly state: SectionState;
      readonly session: Uint8Array;
      readonly child: number;
      readonly proof: ReadyProof;
    }
  | { readonly kind: 'handover'; readonly job: HandoverJob };

export type SectionNodeResult =
  | { readonly kind: 'signature'; readonly signature: Uint8Array }
  | CombineResult
  | { readonly kind: 'valid' | 'invalid' }
  /** N9: the proposal cites data that this node does not hold yet. */
  | { readonly kind: 'later'; readonly proposal: Uint8Array }
  | {
      readonly kind: 'applied';
      readonly state: SectionState;
      readonly events: readonly SectionEvent[];
    }
  | { readonly kind: 'verified'; readonly sealed: SealedState }
  | { readonly kind: 'verifiedLinks'; readonly update: VerifiedUpdate }
  | { readonly kind: 'unverified'; readonly fault: string }
  | { readonly kind: 'dkg'; readonly result: DkgResult }
  | { readonly kind: 'readyChecked'; readonly good: boolean }
  | { readonly kind: 'handover'; readonly result: HandoverResult };

export function performSectionNodeJob(job: SectionNodeJob, suites: NodeSuites): SectionNodeResult {
  switch (job.kind) {
    case 'sign': {
      const { secretShare, purpose, bytes } = job;
      return { kind: 'signature', signature: suites.threshold.sign(secretShare, purpose, bytes) };
    }
    case 'combine':
      return performCombine(suites.threshold, job);
    case 'validate':
      return validate(job, suites);
    case 'apply': {
      const { state, events } = applyActs(job.state, job.acts, churnIdOf(job.churn));
      return { kind: 'applied', state, events };
    }
    case 'verifySealed': {
      const verified = performVerifyUpdate(suites.threshold, job.job);
      return verified.ok
        ? { kind: 'verified', sealed: job.sealed }
        : { kind: 'unverified', fault: verified.error.kind };
    }
    case 'verifyLinks': {
      const verified = performVerifyUpdate(suites.threshold, job.job);
      return verified.ok
        ? { kind: 'verifiedLinks', update: verified.value }
        : { kind: 'unverified', fault: verified.error.kind };
    }
    case 'dkg':
      return { kind: 'dkg', result: performDkgJob(job.job, suites) };
    case 'checkReady': {
      const { state, session, child, proof } = job;
      return { kind: 'readyChecked', good: isReadyProof(suites, state, session, child, proof) };
    }
    case 'handover':
      return { kind: 'handover', result: performHandoverJob(job.job, suites.threshold) };
    default:
      return assertNever(job);
  }
}

function validate(
  { state, proposal, view }: SectionNodeJob & { readonly kind: 'validate' },
  { threshold, identity, dealings }: NodeSuites,
): SectionNodeResult {
  const { isSharingKey } = dealings;
  const verdict = validateAct(state, proposal, { threshold, identity, isSharingKey }, view);
  if (verdict.ok) return { kind: 'valid' };
  return verdict.error.kind === 'later' ? { kind: 'later', proposal } : { kind: 'invalid' };
}
