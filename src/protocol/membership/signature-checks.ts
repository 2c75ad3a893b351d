/** The slow half: signatures. Up to seven ed25519 checks, then at most two pairings per key. */
import { assertNever } from '#core/assert.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { DealingKeys } from '#crypto/dealing/dealing-suite.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { childSessionId, type ReadinessProof } from '#protocol/dkg/index.ts';
import { type SectionState, relocationBytes } from '#protocol/section/index.ts';
import type { Act, HandoverAct, JoinAct, SealedSetAct, RelocationCertificate } from './acts.ts';
import { verifyEndorsement } from './endorsement.ts';
import { sectionRules, type SectionRules } from './rules.ts';
import { findSession } from './state-queries.ts';
import { renameBytes, readyBytes, snapshotBytes } from './signed-layouts.ts';
import { allowed, firstRefusal, ensure, refused, type ActVerdict } from './act-verdict.ts';
import { err } from '#core/result.ts';

export interface ActSuites {
  readonly threshold: ThresholdSuite;
  readonly identity: IdentitySuite;
  /** Whether dealings can be encrypted to these 32 bytes. */
  readonly isSharingKey: (bytes: Uint8Array) => boolean;
}

/**
 * What this node knows besides the sealed state about one act, looked up before the job starts.
 * Missing knowledge makes the verdict `later`, never `refused` (N9).
 */
export interface ActContext {
  /** The epoch of a join's `certificate.sourceKey`, if the verified tree has that key. */
  readonly sourceEpoch: bigint | null;
  /** Root of the merge of exactly the sealed set's snapshots, if all are held and checked. */
  readonly mergedRoot: Uint8Array | null;
}

export function checkProofs(
  rules: SectionRules,
  suites: ActSuites,
  state: SectionState,
  act: Act,
  view: ActContext,
): ActVerdict {
  const { body } = act;
  return firstRefusal(
    () =>
      ensure(
        act.endorsements.every((each) => verifyEndorsement(suites.identity, state, body, each)),
        'MEMBERSHIP-B2',
        'an invalid endorsement',
      ),
    () => {
      switch (body.kind) {
        case 'join':
          return checkJoiner(suites, state, body, view);
        case 'leave':
        case 'demote':
        case 'vacancies':
          return allowed;
        case 'handover':
          return checkReadiness(rules, suites, state, body);
        case 'sealedSet':
          return checkSnapshots(suites, state, body, view);
        default:
          return assertNever(body);
      }
    },
  );
}

function checkJoiner(
  suites: ActSuites,
  state: SectionState,
  join: JoinAct,
  view: ActContext,
): ActVerdict {
  const { certificate } = join;
  if (!suites.isSharingKey(join.sharingKey))
    return refused('N12', 'a sharing key that is not on the curve');
  return certificate === null ? allowed : checkCertificate(suites, state, join, certificate, view);
}

/** N38: certified by a section of this network, and the old name signed the new one. */
function checkCertificate(
  suites: ActSuites,
  { authority: { networkId } }: SectionState,
  { name }: JoinAct,
  { relocation, sourceKey, sourceEpoch, signature, nameSignature }: RelocationCertificate,
  view: ActContext,
): ActVerdict {
  const statement = renameBytes(networkId, relocation, name);
  if (!suites.identity.verify(relocation.name, statement, nameSignature)) {
    return refused('N38', 'the old name did not sign the new one');
  }
  if (view.sourceEpoch === null) return err({ kind: 'later', what: 'sourceKey' });
  if (view.sourceEpoch !== sourceEpoch) return refused('N38', 'the source has another epoch');
  return ensure(
    suites.threshold.verify(
      sourceKey,
      'RELOCATION',
      relocationBytes(networkId, relocation),
      signature,
    ),
    'N38',
    'no section signed this relocation certificate',
  );
}

/** N13: five candidates of the session vouch for this key, and the key signs. */
function checkReadiness(
  rules: SectionRules,
  suites: ActSuites,
  state: SectionState,
  { sessionId, ready }: HandoverAct,
): ActVerdict {
  const session = findSession(state, sessionId);
  if (session === undefined) return refused('N25', 'no such session');
  return firstRefusal(
    ...ready.map((proof, child) => () => {
      const isReady = isReadyProof(suites, state, session.id, child, proof, rules);
      return ensure(isReady, 'N13', 'the candidates do not hold this key');
    }),
  );
}

/**
 * N13: whether this proof is valid for the child of an open session. Two pairings, so it runs as a
 * job.
 */
export function isReadyProof(
  suites: Omit<ActSuites, 'isSharingKey'>,
  state: SectionState,
  sessionId: Uint8Array,
  child: number,
  proof: ReadinessProof,
  rules: Pick<SectionRules, 'verifyReady'> = sectionRules,
): boolean {
  const session = findSession(state, sessionId);
  const candidates = session?.children[child]?.candidates;
  if (session === undefined || candidates === undefined) return false;
  const { networkId } = state.authority;
  const binding = { networkId, sessionId: childSessionId(sessionId, child) };
  const bytes = (list: Uint8Array, keys: DealingKeys): Uint8Array =>
    readyBytes(state, session, child, list, keys);
  return rules.verifyReady(suites, binding, candidates, bytes, proof);
}

/** N23, MEMBERSHIP-B18: each elder signed its snapshot, and this voter's merge has the same root. */
function checkSnapshots(
  { identity }: ActSuites,
  state: SectionState,
  { snapshots, sealedRoot }: SealedSetAct,
  view: ActContext,
): ActVerdict {
  const signed = snapshots.every(({ elder, root, signature }) => {
    const name = state.authority.elders[elder - 1]?.name;
    return (
      name !== undefined && identity.verify(name, snapshotBytes(state, elder, root), signature)
    );
  });
  if (!signed) return refused('N23', 'a snapshot its elder did not sign');
  if (view.mergedRoot === null) return err({ kind: 'later', what: 'snapshots' });
  return ensure(equalBytes(view.mergedRoot, sealedRoot), 'N23', 'merging gives another root');
}
