/**
 * Limits concurrent verification of proofs. A verification costs pairings and any peer can send proofs,
 * so each sender has its own slots, and unknown peers cannot use those of elders and members. A node
 * several keys behind does not know its elders: peers that its shell asked to query have a slot each.
 */
import type { NodeId } from '#core/machine.ts';
import { sectionsOf } from '#protocol/section/index.ts';
import { elderIds, memberIds } from '../recipients.ts';
import type { SectionNodeConfig, SectionNodeState } from '../state.ts';

/** Concurrent verifications for all members together, and for all unknown peers together; one per sender. */
export const maxVerifying = 8;
/** Concurrent verifications per elder: decisions may follow each other closely. */
export const maxVerifyingPerElder = 2;
/** Queried peers, the oldest evicted: two join points name 14 elders. */
export const maxQueriedPeers = 14;

/** Only peers named by the shell: an unknown peer's message can also cause a query. */
export const withQueriedPeers = (
  before: readonly NodeId[],
  peers: readonly NodeId[],
): readonly NodeId[] =>
  [...before.filter((id) => !peers.includes(id)), ...new Set(peers)].slice(-maxQueriedPeers);

/** @param id hash of the exact bytes: a forged update must not block the genuine one. */
export function mayVerify(
  { self }: Pick<SectionNodeConfig, 'self'>,
  state: KnownBy & Pick<SectionNodeState, 'verifying'>,
  id: string,
  from: NodeId,
): boolean {
  const { verifying } = state;
  if (verifying.has(id)) return false;
  if (from === self) return true; // Comes from our own shell, not from a peer.
  const senders = [...verifying.values()];
  const ofSender = senders.filter((each) => each === from).length;
  const kind = kindOf(state, from);
  if (kind === 'elder') return ofSender < maxVerifyingPerElder;
  if (kind === 'asked') return ofSender === 0;
  const ofKind = senders.filter((each) => each !== self && kindOf(state, each) === kind);
  return ofSender === 0 && ofKind.length < maxVerifying;
}

type KnownBy = Pick<SectionNodeState, 'own' | 'previous' | 'queriedPeers' | 'tree'>;

/** Elders: those of the newest adopted key and of its successors, so their number is bounded. */
function kindOf(
  { own, previous, queriedPeers, tree }: KnownBy,
  id: NodeId,
): 'elder' | 'asked' | 'member' | 'stranger' {
  const charters =
    own === null || own.state.ledger.phase.kind === 'open' ? [] : own.state.ledger.phase.charters;
  const authority = own === null ? [] : [own.state.authority];
  if ([...authority, ...charters].some((each) => elderIds(each).includes(id))) return 'elder';
  if (queriedPeers.includes(id)) return 'asked';
  const known = [...authority, ...(previous === null ? [] : [previous]), ...sectionsOf(tree)];
  const isKnown = known.some((each) => memberIds(each).includes(id) || elderIds(each).includes(id));
  return isKnown ? 'member' : 'stranger';
}
