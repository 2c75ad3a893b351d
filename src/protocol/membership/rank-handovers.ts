/** N26: which of two racing handovers wins. */
import { labelledHash } from '#crypto/hash.ts';
import type { HandoverAct } from './acts.ts';
import { actId } from './codec.ts';

/** N26: a split first, then the lowest hash; of two keys of one session again the lowest. */
export function handoverRank(body: HandoverAct, churnId: Uint8Array): Uint8Array {
  const isSplit = body.ready.length === 2;
  return Uint8Array.of(
    isSplit ? 0 : 1,
    ...labelledHash('safe/v1/handover-choice', churnId, body.sessionId),
    ...labelledHash('safe/v1/handover-key-choice', churnId, actId(body)),
  );
}
