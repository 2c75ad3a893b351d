/**
 * Who may have a proof checked now. A check costs pairings, and anybody may send what looks like news;
 * so each sender has places of its own, and strangers none of those that elders and members have.
 * A node that is several keys behind does not know its elders: those that its shell told it to ask
 * have a place each.
 */
import type { NodeId } from '#core/machine.ts';
import { sectionsOf } from '#protocol/section/index.ts';
import { elderIds, memberIds } from './peers.ts';
import type { SectionNodeConfig, SectionNodeState } from './state.ts';

/** Senders of one kind, strangers or members, whose updates are checked at once; one of each. */
export const maxVerifying = 8;
/** Updates of one elder: a decision may follow the last one closely. */
export const maxVerifyingPerElder = 2;
/** Peers that the shell told this node to ask; the first ones are forgotten. Two answers name so many elders. */
export const maxAsked = 14;

/** Only what the node itself chose to ask counts: a stranger's message can make it ask, too. */
export const withAsked = (before: readonly NodeId[], peers: readonly NodeId[]): readonly NodeId[] =>
  [...before.filter((id) => !peers.includes(id)), ...new Set(peers)].slice(-maxAsked);

/** @param id what is to be checked, by its very bytes: a forgery must not stand for the genuine one. */
export function mayVerify(
  { self }: Pick<SectionNodeConfig, 'self'>,
  state: KnownBy & Pick<SectionNodeState, 'verifying'>,
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
  if (kind === 'asked') return ofSender === 0;
  const ofKind = senders.filter((each) => each !== self && kindOf(state, each) === kind);
  return ofSender === 0 && ofKind.length < maxVerifying;
}

type KnownBy = Pick<SectionNodeState, 'own' | 'previous' | 'asked' | 'tree'>;

/** Elders of the newest key we hold, and of those that follow it, are few. */
function kindOf(
  { own, previous, asked, tree }: KnownBy,
  id: NodeId,
): 'elder' | 'asked' | 'member' | 'stranger' {
  const charters =
    own === null || own.state.ledger.phase.kind === 'open' ? [] : own.state.ledger.phase.charters;
  const authority = own === null ? [] : [own.state.authority];
  if ([...authority, ...charters].some((each) => elderIds(each).includes(id))) return 'elder';
  if (asked.includes(id)) return 'asked';
  const known = [...authority, ...(previous === null ? [] : [previous]), ...sectionsOf(tree)];
  const isKnown = known.some((each) => memberIds(each).includes(id) || elderIds(each).includes(id));
  return isKnown ? 'member' : 'stranger';
}
