/** The facts of the section's machine, in the node's own store. */
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { successorHash } from '#protocol/section/index.ts';
import { prunableAfter } from '#roles/section-node/stored-facts/prune-facts.ts';
import type { SectionNode, SectionNodeFact } from '#roles/section-node/state.ts';
import { decodeNodeFact, encodeNodeFact } from '#roles/wire/section-messages.ts';
import type { Ports } from '#runtime/driver.ts';
import type { FactStore } from '#storage/node/facts.ts';

const machineName = 'section';

/** @param self a relocated node has a new name and starts with no facts, in the same store. */
export const sectionFactStore = (store: FactStore, self: NodeId): Ports<SectionNode>['facts'] => ({
  load: async () => (await store.load(machineName, self)).map(toFact),
  append: (fact) => {
    const bytes = encodeNodeFact(fact);
    if (fact.kind === 'sealed') return store.appendAndForget(machineName, self, bytes, obsolete);
    const once = uniqueSlotOf(self, fact);
    return once === null
      ? store.append(machineName, self, bytes)
      : store.appendOnce(machineName, self, bytes, once);
  },
});

/**
 * N38: a relocating node takes its old name's links along. The new section may not know the key that
 * signed the relocation certificate, and only these links lead to it.
 */
export async function copyLinks(store: FactStore, self: NodeId, old: NodeId): Promise<void> {
  const load = async (id: NodeId) => (await store.load(machineName, id)).map(toFact);
  const own = await load(self);
  if (!isNewNode(own)) return;
  const links = (await load(old)).filter(isLinks);
  // An interrupted start has written the first ones already.
  for (const fact of links.slice(own.length)) await sectionFactStore(store, self).append(fact);
}

const isLinks = ({ kind }: SectionNodeFact): boolean => kind === 'links';

/** Is this name new? Links alone make no member: the node still has to join. */
export const isNewNode = (facts: readonly SectionNodeFact[]): boolean => facts.every(isLinks);

/** N20: the database itself refuses a second successor of a key before a share of it is sent. */
const uniqueSlotOf = (
  self: NodeId,
  fact: SectionNodeFact,
): { readonly slot: string; readonly value: Uint8Array } | null =>
  fact.kind === 'handover' && fact.fact.kind === 'recordChosen'
    ? { slot: `successor/${self}/${toHex(fact.key)}`, value: successorHash(fact.fact.record) }
    : null;

function toFact(bytes: Uint8Array): SectionNodeFact {
  const fact = decodeNodeFact(bytes);
  assert(fact.ok, 'a stored fact decodes');
  return fact.value;
}

const obsolete = (all: readonly Uint8Array[]): readonly number[] => prunableAfter(all.map(toFact));
