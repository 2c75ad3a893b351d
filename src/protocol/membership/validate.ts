/** Whether an act may be decided in the generation after a sealed state (MEMBERSHIP-B1). */
import { toHex } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import type { SectionState } from '#protocol/section/index.ts';
import type { Act, ActBody } from './acts.ts';
import { checkEndorsements, checkApplicable } from './state-checks.ts';
import { actId, decodeAct } from './codec.ts';
import { checkProofs, type ActSuites, type ActContext } from './signature-checks.ts';
import { sectionRules, type SectionRules } from './rules.ts';
import { firstRefusal, type ActFault } from './act-verdict.ts';

/**
 * A pure function of the sealed state (N7): all honest elders get the same verdict, or `later`.
 * Cheap checks first; with the real curve a handover takes about 0.6 s, so this runs as a job.
 * @param state sealed; the act is for the next generation. @param bytes a peer's proposal.
 */
export function validateAct(
  state: SectionState,
  bytes: Uint8Array,
  suites: ActSuites,
  view: ActContext,
  rules: SectionRules = sectionRules,
): Result<Act, ActFault> {
  const decoded = decodeAct(bytes);
  if (!decoded.ok) return err({ kind: 'malformed' });
  const act = decoded.value;
  const verdict = firstRefusal(
    () => checkEndorsements(rules, state, act),
    () => checkApplicable(rules, state, act.body),
    () => checkProofs(rules, suites, state, act, view),
  );
  return verdict.ok ? ok(act) : verdict;
}

/** What to look up before {@link validateAct}: the facts of an {@link ActContext}. */
export type ActNeeds =
  | { readonly kind: 'nothing' }
  /** The epoch of this section key. */
  | { readonly kind: 'sourceKey'; readonly key: Uint8Array }
  /** The root of the merge of these snapshots. */
  | {
      readonly kind: 'snapshots';
      readonly snapshots: readonly { readonly elder: number; readonly root: Uint8Array }[];
    };

export function actNeeds(body: ActBody): ActNeeds {
  if (body.kind === 'join' && body.certificate !== null) {
    return { kind: 'sourceKey', key: body.certificate.sourceKey };
  }
  if (body.kind === 'sealedSet') {
    return {
      kind: 'snapshots',
      snapshots: body.snapshots.map(({ elder, root }) => ({ elder, root })),
    };
  }
  return { kind: 'nothing' };
}

/**
 * Identifies a proposal without its signatures: an act has as many valid copies as sets of
 * endorsements, and a faulty signer can sign the same bytes in many ways.
 */
export function subjectOf(proposal: Uint8Array): string {
  const act = decodeAct(proposal);
  if (!act.ok) return toHex(proposal);
  const { body } = act.value;
  switch (body.kind) {
    case 'handover':
      return `handover/${[body.sessionId, ...body.ready.map(({ key }) => key)].map(toHex).join('/')}`;
    case 'sealedSet':
      return `sealedSet/${body.snapshots.map(({ elder, root }) => `${elder}.${toHex(root)}`).join('/')}`;
    default:
      return toHex(actId(body));
  }
}
