/**
 * Goal: what the section's machine says once in a key's life, its store lets it say once (N20), and
 * what it wrote down comes back. Method: the store without a disk; records of a made-up network.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { bringLinks, isNew, sectionFacts } from '#node/section-facts.ts';
import { encodeSealedState, type SuccessorRecord } from '#protocol/section/index.ts';
import type { SectionNodeFact } from '#roles/section-node/index.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { createMemoryFacts } from '#storage/node/memory-facts.ts';
import { genesis, sign, succeed, type Living } from '../section/network.ts';

const born = genesis('section facts', 3);
const { key } = born.state.authority;
const self = 'ab'.repeat(32);
const { record: one } = succeed(born, 'one').link;
const { record: other } = succeed(born, 'other').link;

const chose = (record: SuccessorRecord): SectionNodeFact => ({
  kind: 'handover',
  key,
  fact: { kind: 'chose', record },
});
const sealedOf = (living: Living): SectionNodeFact => {
  const { signature, chain } = sign(living);
  return { kind: 'sealed', sealed: encodeSealedState({ state: living.state, signature, chain }) };
};
const inherited: SectionNodeFact = { kind: 'handover', key, fact: { kind: 'inherited' } };

describe('the facts of the section’s machine', () => {
  let store: FactStore;
  beforeEach(() => {
    store = createMemoryFacts();
  });

  test('N20: a second, different successor of one key is refused before it is a fact', async () => {
    const facts = sectionFacts(store, self);
    await facts.append(chose(one));
    await facts.append(chose(one));
    await expect(facts.append(chose(other))).rejects.toThrow('has a value already');
    expect(await facts.load()).toEqual([chose(one), chose(one)]);
    // Another start on the same disk is bound by it, too.
    await expect(sectionFacts(store, self).append(chose(other))).rejects.toThrow();
  });

  test('N20: the slot outlives the fact, which the next sealed state makes obsolete', async () => {
    const facts = sectionFacts(store, self);
    await facts.append(chose(one));
    await facts.append(sealedOf(born));
    await facts.append(sealedOf(succeed(born, 'one').children[0] ?? born));
    // The last state under the key before stays beside the newest one.
    expect((await facts.load()).map(({ kind }) => kind)).toEqual(['sealed', 'sealed']);
    await expect(facts.append(chose(other))).rejects.toThrow('has a value already');
  });

  test('N20: another key, and another name in the same store, has a slot of its own', async () => {
    const facts = sectionFacts(store, self);
    await facts.append(chose(one));
    const elsewhere: SectionNodeFact = {
      kind: 'handover',
      key: genesis('elsewhere', 3).state.authority.key,
      fact: { kind: 'chose', record: other },
    };
    await facts.append(elsewhere);
    const renamed = sectionFacts(store, 'cd'.repeat(32));
    await renamed.append(chose(other));
    expect(await facts.load()).toEqual([chose(one), elsewhere]);
    expect(await renamed.load()).toEqual([chose(other)]);
  });

  test('N38: a node that moves has the links of its old name, whole after a start that was cut short', async () => {
    const links = [0, 1, 2].map((n): SectionNodeFact => ({
      kind: 'links',
      links: [Uint8Array.of(n)],
    }));
    const old = sectionFacts(store, self);
    for (const fact of [sealedOf(born), ...links]) await old.append(fact);
    const next = 'cd'.repeat(32);
    const facts = sectionFacts(store, next);
    await facts.append(links[0] ?? inherited);
    await bringLinks(store, next, self);
    expect(await facts.load()).toEqual(links);
    expect(isNew(await facts.load())).toBe(true);
    await bringLinks(store, next, self);
    expect(await facts.load()).toEqual(links);
    await facts.append({ kind: 'joining', ticket: null });
    expect(isNew(await facts.load())).toBe(false);
  });

  test('what may be said twice is kept twice', async () => {
    const facts = sectionFacts(store, self);
    for (let n = 0; n < 2; n++) await facts.append(inherited);
    expect(await facts.load()).toEqual([inherited, inherited]);
  });
});
