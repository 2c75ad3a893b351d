/** The slow half: signatures. Up to seven ed25519 checks, then at most two pairings per key. */
import { assertNever } from '#core/assert.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { DealtKeys } from '#crypto/dealing.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { IdentitySuite } from '#money/identity.ts';
import { childSessionId, type Ready } from '#protocol/dkg/index.ts';
import { type SectionState, ticketBytes } from '#protocol/section/index.ts';
import type { Act, Handover, Join, SealedSet, TicketProof } from './acts.ts';
import { verifyEndorsement } from './endorsement.ts';
import { sectionRules, type SectionRules } from './rules.ts';
import { findSession } from './sections.ts';
import { newNameBytes, readyBytes, snapshotBytes } from './statements.ts';
import { allowed, firstRefusal, must, refused, type Verdict } from './verdict.ts';
import { err } from '#core/result.ts';

export interface ActSuites {
  readonly threshold: ThresholdSuite;
  readonly identity: IdentitySuite;
  /** Can dealings be sealed to these 32 bytes? */
  readonly isSharingKey: (bytes: Uint8Array) => boolean;
}

/**
 * What the node at hand knows beside the sealed state: facts about one act, looked up before the
 * job starts. What is not known yet makes the answer `later`, never `refused` (N9).
 */
export interface ActView {
  /** The epoch of a join's `ticket.sourceKey`, if the verified tree has that key. */
  readonly sourceEpoch: bigint | null;
  /** The root of exactly the sealed set's snapshots merged, if all are held and checked. */
  readonly mergedRoot: Uint8Array | null;
}

/** For acts that ask for nothing. */
export const emptyView: ActView = { sourceEpoch: null, mergedRoot: null };

export function checkProofs(
  rules: SectionRules,
  suites: ActSuites,
  state: SectionState,
  act: Act,
  view: ActView,
): Verdict {
  const { body } = act;
  return firstRefusal(
    () =>
      must(
        act.endorsements.every((each) => verifyEndorsement(suites.identity, state, body, each)),
        'B2',
        'a false endorsement',
      ),
    () => {
      switch (body.kind) {
        case 'join':
          return checkJoiner(suites, state, body, view);
        case 'leave':
        case 'demote':
        case 'places':
          return allowed;
        case 'handover':
          return checkReady(rules, suites, state, body);
        case 'sealedSet':
          return checkSnapshots(suites, state, body, view);
        default:
          return assertNever(body);
      }
    },
  );
}

function checkJoiner(suites: ActSuites, state: SectionState, join: Join, view: ActView): Verdict {
  const { ticket } = join;
  if (!suites.isSharingKey(join.sharingKey)) return refused('N12', 'a sharing key off the curve');
  return ticket === null ? allowed : checkTicket(suites, state, join, ticket, view);
}

/** N38: signed by a section of this network, and handed on by the node it was given to. */
function checkTicket(
  suites: ActSuites,
  { authority: { networkId } }: SectionState,
  { name }: Join,
  { moving, sourceKey, sourceEpoch, signature, nameSignature }: TicketProof,
  view: ActView,
): Verdict {
  const statement = newNameBytes(networkId, moving, name);
  if (!suites.identity.verify(moving.name, statement, nameSignature)) {
    return refused('N38', 'the old name did not sign the new one');
  }
  if (view.sourceEpoch === null) return err({ kind: 'later', what: 'sourceKey' });
  if (view.sourceEpoch !== sourceEpoch) return refused('N38', 'the source has another epoch');
  return must(
    suites.threshold.verify(sourceKey, 'RELOCATION', ticketBytes(networkId, moving), signature),
    'N38',
    'no section signed this ticket',
  );
}

/** N13: the candidates of the session say that this is their key, and it signs. */
function checkReady(
  rules: SectionRules,
  suites: ActSuites,
  state: SectionState,
  { sessionId, ready }: Handover,
): Verdict {
  const session = findSession(state, sessionId);
  if (session === undefined) return refused('N25', 'no such session');
  return firstRefusal(
    ...ready.map((proof, child) => () => {
      const isReady = isReadyProof(suites, state, session.id, child, proof, rules);
      return must(isReady, 'N13', 'the candidates do not hold this key');
    }),
  );
}

/** N13: whether this proof is one for the child of an open session; two pairings, so it is a job. */
export function isReadyProof(
  suites: Omit<ActSuites, 'isSharingKey'>,
  state: SectionState,
  sessionId: Uint8Array,
  child: number,
  proof: Ready,
  rules: Pick<SectionRules, 'verifyReady'> = sectionRules,
): boolean {
  const session = findSession(state, sessionId);
  const candidates = session?.children[child]?.candidates;
  if (session === undefined || candidates === undefined) return false;
  const { networkId } = state.authority;
  const binding = { networkId, sessionId: childSessionId(sessionId, child) };
  const bytes = (list: Uint8Array, keys: DealtKeys): Uint8Array =>
    readyBytes(state, session, child, list, keys);
  return rules.verifyReady(suites, binding, candidates, bytes, proof);
}

/** N23: what elders signed, and what everybody who votes has merged. */
function checkSnapshots(
  { identity }: ActSuites,
  state: SectionState,
  { snapshots, sealedRoot }: SealedSet,
  view: ActView,
): Verdict {
  const signed = snapshots.every(({ elder, root, signature }) => {
    const name = state.authority.elders[elder - 1]?.name;
    return (
      name !== undefined && identity.verify(name, snapshotBytes(state, elder, root), signature)
    );
  });
  if (!signed) return refused('N23', 'a snapshot its elder did not sign');
  if (view.mergedRoot === null) return err({ kind: 'later', what: 'snapshots' });
  return must(equalBytes(view.mergedRoot, sealedRoot), 'N23', 'merging gives another root');
}
