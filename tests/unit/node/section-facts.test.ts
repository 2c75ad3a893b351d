/**
 * Goal: the store keeps the section's machine from signing twice what is unique under a key (N20), and
 * returns the facts it stored. Method: the store without a disk; records of a made-up network.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { copyLinks, isNewNode, sectionFactStore } from '#node/section/section-facts.ts';
import { encodeSealedState, type SuccessorRecord } from '#protocol/section/index.ts';
import type { SectionNodeFact } from '#roles/section-node/index.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { genesis, sign, succeed, type TestSection } from '../section/network.ts';
import { createMemoryFacts } from '../../support/memory-facts.ts';

const born = genesis('section facts', 3);
const { key } = born.state.authority;
const self = 'ab'.repeat(32);
const { record: one } = succeed(born, 'one').link;
const { record: other } = succeed(born, 'other').link;

const chose = (record: SuccessorRecord): SectionNodeFact => ({
  kind: 'handover',
  key,
  fact: { kind: 'recordChosen', record },
});
const sealedOf = (living: TestSection): SectionNodeFact => {
  const { signature, chain } = sign(living);
  return { kind: 'sealed', sealed: encodeSealedState({ state: living.state, signature, chain }) };
};
const inherited: SectionNodeFact = { kind: 'handover', key, fact: { kind: 'inherited' } };

describe('the facts of the section’s machine', () => {
  let store: FactStore;
  beforeEach(() => {
    store = createMemoryFacts();
  });

  test('N20: a second, different successor of one key is refused before it is stored', async () => {
    const facts = sectionFactStore(store, self);
    await facts.append(chose(one));
    await facts.append(chose(one));
    await expect(facts.append(chose(other))).rejects.toThrow('has a value already');
    expect(await facts.load()).toEqual([chose(one), chose(one)]);
    // A restart on the same disk is bound by it, too.
    await expect(sectionFactStore(store, self).append(chose(other))).rejects.toThrow();
  });

  test('N20: the slot outlives the fact, which the next sealed state makes obsolete', async () => {
    const facts = sectionFactStore(store, self);
    await facts.append(chose(one));
    await facts.append(sealedOf(born));
    await facts.append(sealedOf(succeed(born, 'one').children[0] ?? born));
    // The last state under the previous key stays with the newest one.
    expect((await facts.load()).map(({ kind }) => kind)).toEqual(['sealed', 'sealed']);
    await expect(facts.append(chose(other))).rejects.toThrow('has a value already');
  });

  test('N20: another key, and another name in the same store, has its own slot', async () => {
    const facts = sectionFactStore(store, self);
    await facts.append(chose(one));
    const elsewhere: SectionNodeFact = {
      kind: 'handover',
      key: genesis('elsewhere', 3).state.authority.key,
      fact: { kind: 'recordChosen', record: other },
    };
    await facts.append(elsewhere);
    const renamed = sectionFactStore(store, 'cd'.repeat(32));
    await renamed.append(chose(other));
    expect(await facts.load()).toEqual([chose(one), elsewhere]);
    expect(await renamed.load()).toEqual([chose(other)]);
  });

  test('N38: a relocating node has the links of its old name, completely after an interrupted start', async () => {
    const links = [0, 1, 2].map((n): SectionNodeFact => ({
      kind: 'links',
      links: [Uint8Array.of(n)],
    }));
    const old = sectionFactStore(store, self);
    for (const fact of [sealedOf(born), ...links]) await old.append(fact);
    const next = 'cd'.repeat(32);
    const facts = sectionFactStore(store, next);
    await facts.append(links[0] ?? inherited);
    await copyLinks(store, next, self);
    expect(await facts.load()).toEqual(links);
    expect(isNewNode(await facts.load())).toBe(true);
    await copyLinks(store, next, self);
    expect(await facts.load()).toEqual(links);
    await facts.append({ kind: 'joining', certificate: null });
    expect(isNewNode(await facts.load())).toBe(false);
  });

  test('facts that may repeat are stored twice', async () => {
    const facts = sectionFactStore(store, self);
    for (let n = 0; n < 2; n++) await facts.append(inherited);
    expect(await facts.load()).toEqual([inherited, inherited]);
  });
});
