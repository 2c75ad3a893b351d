/** Recipients of messages, and the key and generation that each message carries (N32). */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { AgreementState } from '#protocol/agreement/index.ts';
import { newestKey, type SectionAuthority } from '#protocol/section/index.ts';
import type { NodeEffect } from './node-step.ts';
import type { NodeMessage, NodePayload } from './messages.ts';
import type { PendingGeneration, SectionNodeState } from './state.ts';

const noKey = new Uint8Array(96);

/** For receivers in this node's own section; names the genesis key while the node holds no state. */
export const messageInSection = (
  { own, tree }: SectionNodeState,
  payload: NodePayload,
): NodeMessage =>
  own === null
    ? { key: tree.anchor.genesisKey, generation: 0n, payload }
    : { key: own.state.authority.key, generation: own.state.authority.generation, payload };

/**
 * For one receiver: names the newest key of its section that this node can follow. The node may know
 * that key by its link alone, before it holds a state under it.
 */
export function messageWithNewestKey(
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

/** For receivers in another section: names its key as this node knows it. */
export const messageToSection = (
  { key, generation }: Pick<SectionAuthority, 'key' | 'generation'>,
  payload: NodePayload,
): NodeMessage => ({ key, generation, payload });

export function broadcast(
  state: SectionNodeState,
  to: readonly NodeId[],
  payload: NodePayload,
): readonly NodeEffect[] {
  return to.length === 0 ? [] : [{ kind: 'send', to, message: messageInSection(state, payload) }];
}

/** Cache: lists in a sealed state never change, and every message needs their names. */
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

/** 1…7; 0 if the node is no elder of this authority. */
export const elderIndex = ({ elders }: Pick<SectionAuthority, 'elders'>, id: NodeId): number =>
  elders[idsOf(elders).indexOf(id)]?.index ?? 0;

/** The authority whose elders sign this generation; while sealing it is the next state's own. */
export function generationAuthority(
  state: SectionNodeState,
  pendingGeneration: PendingGeneration,
): SectionAuthority | undefined {
  if (pendingGeneration.stage.kind === 'sealing') return pendingGeneration.stage.next.authority;
  return state.own?.state.authority;
}

/** The other elders of the pending generation. */
export function generationElders(
  config: { readonly self: NodeId },
  state: SectionNodeState,
): readonly NodeId[] {
  const authority =
    state.pendingGeneration === null
      ? undefined
      : generationAuthority(state, state.pendingGeneration);
  return authority === undefined ? [] : elderIds(authority).filter((id) => id !== config.self);
}

export function signersOf(
  state: SectionNodeState,
  pendingGeneration: PendingGeneration,
): Pick<SectionAuthority, 'key' | 'elders'> {
  const authority = generationAuthority(state, pendingGeneration);
  return authority ?? { key: noKey, elders: [] };
}

/** Does the pending generation have an agreement, rather than only a first state to seal? */
export const isDeciding = (
  pendingGeneration: PendingGeneration | null,
): pendingGeneration is PendingGeneration & { readonly agreement: AgreementState } =>
  pendingGeneration !== null && pendingGeneration.agreement !== null;
