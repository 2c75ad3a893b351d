/** What the end of a key offers to the log: handovers that are ready, sealed sets that are merged. */
import { toHex } from '#core/codec/bytes.ts';
import type { ActBody } from '#protocol/membership/index.ts';
import type { SnapshotRoot } from '#protocol/section/index.ts';
import { sessionKey } from './session-key.ts';
import type { Ending, SectionNodeState } from './state.ts';

/**
 * N19, N26: a session all of whose children are ready, each with the first key whose proof this elder
 * has checked. One act is enough: whatever others propose beside it is decided by rank (B9).
 */
export function handoverWish({ own, ready }: SectionNodeState): readonly ActBody[] {
  return (own?.state.ledger.sessions ?? []).flatMap(({ id, children }): readonly ActBody[] => {
    const proofs = children.flatMap((_, at) => {
      const held = [...(ready.get(sessionKey(id, at))?.values() ?? [])];
      return held.find(({ stage }) => stage === 'good')?.proof ?? [];
    });
    return proofs.length < children.length
      ? []
      : [{ kind: 'handover', sessionId: id, ready: proofs }];
  });
}

/** For the validation of sealed sets; null while it is not known. */
export const mergedRootOf = (
  { ending }: SectionNodeState,
  snapshots: readonly SnapshotRoot[],
): Uint8Array | null => ending?.merged.get(setId(snapshots)) ?? null;

/** One text for one set, in whatever order it came. */
export const setId = (snapshots: readonly SnapshotRoot[]): string =>
  [...snapshots]
    .sort((a, b) => a.elder - b.elder)
    .map(({ elder, root }) => `${elder}.${toHex(root)}`)
    .join(' ');

export const sealedSetWish = ({ ending }: SectionNodeState): readonly ActBody[] =>
  ending?.sets ?? [];

export const keyOf = ({ closing }: Ending): Uint8Array => closing.authority.key;
