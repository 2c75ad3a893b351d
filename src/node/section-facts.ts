/** What the section's machine must not forget, in the node's own store. */
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { successorHash } from '#protocol/section/index.ts';
import { obsoleteAfter } from '#roles/section-node/obsolete.ts';
import type { SectionNode, SectionNodeFact } from '#roles/section-node/state.ts';
import { decodeNodeFact, encodeNodeFact } from '#roles/wire/section.ts';
import type { Ports } from '#runtime/driver.ts';
import type { FactStore } from '#storage/node/facts.ts';

const machineName = 'section';

/** @param self a node that moved has a new name and begins anew, in the same store. */
export const sectionFacts = (store: FactStore, self: NodeId): Ports<SectionNode>['facts'] => ({
  load: async () => (await store.load(machineName, self)).map(toFact),
  append: (fact) => {
    const bytes = encodeNodeFact(fact);
    if (fact.kind === 'sealed') return store.appendAndForget(machineName, self, bytes, obsolete);
    const once = onceOf(self, fact);
    return once === null
      ? store.append(machineName, self, bytes)
      : store.appendOnce(machineName, self, bytes, once);
  },
});

/**
 * N38: a node that moves brings the links that its old name knew. The section it comes to need not have
 * heard of the key that signed the ticket, and only these links lead there.
 */
export async function bringLinks(store: FactStore, self: NodeId, old: NodeId): Promise<void> {
  const load = async (id: NodeId) => (await store.load(machineName, id)).map(toFact);
  const own = await load(self);
  if (!isNew(own)) return;
  const links = (await load(old)).filter(isLinks);
  // A start that was cut short has written the first ones.
  for (const fact of links.slice(own.length)) await sectionFacts(store, self).append(fact);
}

const isLinks = ({ kind }: SectionNodeFact): boolean => kind === 'links';

/** Has a node of this name not begun yet? Links alone make no member: it has yet to ask to come in. */
export const isNew = (facts: readonly SectionNodeFact[]): boolean => facts.every(isLinks);

/** N20: the database itself refuses a second successor of a key before a share of it leaves. */
const onceOf = (
  self: NodeId,
  fact: SectionNodeFact,
): { readonly slot: string; readonly value: Uint8Array } | null =>
  fact.kind === 'handover' && fact.fact.kind === 'chose'
    ? { slot: `successor/${self}/${toHex(fact.key)}`, value: successorHash(fact.fact.record) }
    : null;

function toFact(bytes: Uint8Array): SectionNodeFact {
  const fact = decodeNodeFact(bytes);
  assert(fact.ok, 'a stored fact decodes');
  return fact.value;
}

const obsolete = (all: readonly Uint8Array[]): readonly number[] => obsoleteAfter(all.map(toFact));
