/** Whom a node speaks to, and the words that every message carries (N32). */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { AgreementState } from '#protocol/agreement/index.ts';
import { newestKey, type SectionAuthority } from '#protocol/section/index.ts';
import type { SigningSection } from './collector.ts';
import type { NodeEffect } from './flow.ts';
import type { NodeMessage, NodePayload } from './messages.ts';
import type { Desk, SectionNodeState } from './state.ts';

const noKey = new Uint8Array(96);

/** For receivers in this node's own section. Who holds no state of it begins at the genesis key. */
export const stamp = ({ own, tree }: SectionNodeState, payload: NodePayload): NodeMessage =>
  own === null
    ? { key: tree.anchor.genesisKey, generation: 0n, payload }
    : { key: own.state.authority.key, generation: own.state.authority.generation, payload };

/**
 * For one receiver: the newest key of its section that this node can follow. It may have read of that
 * key by its link alone, while its own work still waits for the state.
 */
export function stampNewest(
  { own, tree }: SectionNodeState,
  to: NodeId,
  payload: NodePayload,
): NodeMessage {
  const held = own?.state.authority;
  const from = held?.key ?? tree.anchor.genesisKey;
  const name = fromHex(to);
  const key = name.ok ? newestKey(tree, from, name.value) : from;
  const isHeld = held !== undefined && equalBytes(held.key, key);
  return { key, generation: isHeld ? held.generation : 0n, payload };
}

/** For receivers in another section: its key as we know it. */
export const stampFor = (
  { key, generation }: Pick<SectionAuthority, 'key' | 'generation'>,
  payload: NodePayload,
): NodeMessage => ({ key, generation, payload });

export function broadcast(
  state: SectionNodeState,
  to: readonly NodeId[],
  payload: NodePayload,
): readonly NodeEffect[] {
  return to.length === 0 ? [] : [{ kind: 'send', to, message: stamp(state, payload) }];
}

/** Lists are part of a sealed state and never change, and every message asks for their names again. */
const idsOfLists = new WeakMap<object, readonly NodeId[]>();

function idsOf(list: readonly { readonly name: Uint8Array }[]): readonly NodeId[] {
  const known = idsOfLists.get(list);
  if (known !== undefined) return known;
  const ids = list.map(({ name }) => nameToId(name));
  idsOfLists.set(list, ids);
  return ids;
}

export const elderIds = ({ elders }: Pick<SectionAuthority, 'elders'>): readonly NodeId[] =>
  idsOf(elders);

export const memberIds = ({ members }: Pick<SectionAuthority, 'members'>): readonly NodeId[] =>
  idsOf(members);

/** 1…7; 0 for everybody else. */
export const elderIndex = ({ elders }: Pick<SectionAuthority, 'elders'>, id: NodeId): number =>
  elders[idsOf(elders).indexOf(id)]?.index ?? 0;

/** The authority whose elders sign at this desk: of a key's first state it is that state's own. */
export function deskAuthority(state: SectionNodeState, desk: Desk): SectionAuthority | undefined {
  if (desk.stage.kind === 'sealing') return desk.stage.next.authority;
  return state.own?.state.authority;
}

/** The other elders of this desk. */
export function deskElders(
  config: { readonly self: NodeId },
  state: SectionNodeState,
): readonly NodeId[] {
  const authority = state.desk === null ? undefined : deskAuthority(state, state.desk);
  return authority === undefined ? [] : elderIds(authority).filter((id) => id !== config.self);
}

export function signersOf(state: SectionNodeState, desk: Desk): SigningSection {
  const authority = deskAuthority(state, desk);
  return authority ?? { key: noKey, elders: [] };
}

/** Is there an agreement at this desk, and not only a first state to seal? */
export const decides = (desk: Desk | null): desk is Desk & { readonly agreement: AgreementState } =>
  desk !== null && desk.agreement !== null;
