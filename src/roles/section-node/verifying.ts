/**
 * Who may have a proof checked now. A check costs pairings, and anybody may send what looks like news;
 * so each sender has places of its own, and strangers none of those that elders and members have.
 */
import type { NodeId } from '#core/machine.ts';
import { elderIds, memberIds } from './peers.ts';
import type { SectionNodeConfig, SectionNodeState } from './state.ts';

/** Senders of one kind, strangers or members, whose updates are checked at once; one of each. */
export const maxVerifying = 8;
/** Updates of one elder: a decision may follow the last one closely. */
export const maxVerifyingPerElder = 2;

/** @param id what is to be checked, by its very bytes: a forgery must not stand for the genuine one. */
export function mayVerify(
  { self }: Pick<SectionNodeConfig, 'self'>,
  state: Pick<SectionNodeState, 'own' | 'verifying'>,
  id: string,
  from: NodeId,
): boolean {
  const { verifying } = state;
  if (verifying.has(id)) return false;
  if (from === self) return true; // What our own shell gives is not sent by anybody.
  const senders = [...verifying.values()];
  const ofSender = senders.filter((each) => each === from).length;
  const kind = kindOf(state, from);
  if (kind === 'elder') return ofSender < maxVerifyingPerElder;
  const ofKind = senders.filter((each) => each !== self && kindOf(state, each) === kind);
  return ofSender === 0 && ofKind.length < maxVerifying;
}

/** Elders of the newest key we hold, and of those that follow it, are few. */
function kindOf(
  { own }: Pick<SectionNodeState, 'own'>,
  id: NodeId,
): 'elder' | 'member' | 'stranger' {
  if (own === null) return 'stranger';
  const { authority, ledger } = own.state;
  const charters = ledger.phase.kind === 'open' ? [] : ledger.phase.charters;
  if ([authority, ...charters].some((each) => elderIds(each).includes(id))) return 'elder';
  return memberIds(authority).includes(id) ? 'member' : 'stranger';
}
