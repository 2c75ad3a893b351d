/** Acts that a handover proposes: handovers with ready keys, and merged sealed sets. */
import { toHex } from '#core/codec/bytes.ts';
import type { ActBody } from '#protocol/membership/index.ts';
import type { SnapshotRoot } from '#protocol/section/index.ts';
import { dkgInstanceId } from '../dkg/instance-id.ts';
import type { ActiveHandover, SectionNodeState } from '../state.ts';

/**
 * N19, N26: one act per session whose children are all ready, with the first key that this elder
 * verified for each child. Competing acts of other elders are decided by rank (MEMBERSHIP-B9).
 */
export function handoverActs({ own, readinessProofs }: SectionNodeState): readonly ActBody[] {
  return (own?.state.ledger.sessions ?? []).flatMap(({ id, children }): readonly ActBody[] => {
    const proofs = children.flatMap((_, at) => {
      const held = [...(readinessProofs.get(dkgInstanceId(id, at))?.values() ?? [])];
      return held.find(({ stage }) => stage === 'good')?.proof ?? [];
    });
    return proofs.length < children.length
      ? []
      : [{ kind: 'handover', sessionId: id, ready: proofs }];
  });
}

/** The merged root of these snapshots, 32 bytes, to validate sealed sets; null while unknown. */
export const mergedRootOf = (
  { activeHandover }: SectionNodeState,
  snapshots: readonly SnapshotRoot[],
): Uint8Array | null => activeHandover?.mergedRoots.get(snapshotSetId(snapshots)) ?? null;

/** Key of a set of snapshots, independent of their order. */
export const snapshotSetId = (snapshots: readonly SnapshotRoot[]): string =>
  [...snapshots]
    .sort((a, b) => a.elder - b.elder)
    .map(({ elder, root }) => `${elder}.${toHex(root)}`)
    .join(' ');

export const sealedSetActs = ({ activeHandover }: SectionNodeState): readonly ActBody[] =>
  activeHandover?.proposableSets ?? [];

export const endingKeyOf = ({ closingState }: ActiveHandover): Uint8Array =>
  closingState.authority.key;
