/**
 * N8, N39: in which order a decided set of acts is applied. The first of two handovers wins (N26:
 * rank-handovers.ts), and the first joiner gets the vacancy: so nothing that an author can choose
 * decides an order.
 */
import { compareBytes } from '#core/codec/bytes.ts';
import { joinRank } from '#protocol/node-age/index.ts';
import { ELDER_COUNT } from '#protocol/section/index.ts';
import type { Act, ActKind } from './acts.ts';
import { actId } from './codec.ts';
import { handoverRank } from './rank-handovers.ts';

/** N8, MEMBERSHIP-B7: the order in which a decided set is applied, whatever order it arrived in. */
export function canonicalOrder(acts: readonly Act[], churnId: Uint8Array): readonly Act[] {
  const ranked = acts.map((act) => ({ act, rank: rankOf(act, churnId) }));
  return ranked
    .sort((a, b) => phaseOrder(a.act) - phaseOrder(b.act) || compareBytes(a.rank, b.rank))
    .map(({ act }) => act);
}

const orderOfKinds: readonly ActKind[] = [
  'leave', // Makes sessions ineligible before a handover could choose them (N24).
  'demote',
  'join',
  'vacancies', // Vacancies of the sealed state are for the joiners of this generation.
  'handover',
  'sealedSet',
];

/** Joiners with a relocation certificate come before those that need a vacancy. */
const phaseOrder = ({ body }: Act): number =>
  2 * orderOfKinds.indexOf(body.kind) + (body.kind === 'join' && body.certificate === null ? 1 : 0);

function rankOf({ body }: Act, churnId: Uint8Array): Uint8Array {
  // N39: the churn id is drawn after the decision, so no name can be ground for it.
  if (body.kind === 'join' && body.certificate === null) return joinRank(body.name, churnId);
  if (body.kind === 'handover') return handoverRank(body, churnId);
  // Of two sealed sets the one with more snapshots.
  const fewer = body.kind === 'sealedSet' ? ELDER_COUNT - body.snapshots.length : 0;
  return Uint8Array.of(fewer, ...actId(body));
}
