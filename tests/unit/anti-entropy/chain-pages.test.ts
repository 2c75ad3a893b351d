/**
 * Goal: the cost of a page of links depends neither on the number of known keys nor on the key
 * named, and the page is the one a walk over all keys finds. Method: a tree of handovers and splits
 * made by hand; its map counts look-ups.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { child, EMPTY_PREFIX, type Prefix } from '#address/prefix.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import { chainPageFor } from '#protocol/anti-entropy/index.ts';
import {
  createTree,
  maxChainLinks,
  maxKnownKeys,
  type KnownKey,
  type SectionTree,
  type SignedAuthority,
  type SignedSuccessor,
} from '#protocol/section/index.ts';

let looks = 0;
class CountedKeys extends Map<string, KnownKey> {
  override get(key: string): KnownKey | undefined {
    looks += 1;
    return super.get(key);
  }
  override *values(): MapIterator<KnownKey> {
    for (const each of super.values()) {
      looks += 1;
      yield each;
    }
  }
}

const genesisKey = keyOf('genesis');
function keyOf(what: string): Uint8Array {
  return new Uint8Array(96).map((_, at) => sha256(utf8(what))[at % 32] ?? 0);
}

/** A network whose first section hands over and splits, and whose halves hand over. */
function network(before: number, after: number) {
  const empty = createTree({ genesisKey, networkId: new Uint8Array(32) });
  const keys = new CountedKeys(empty.keys);
  let made = 0;
  const succeed = (of: Uint8Array, prefixes: readonly Prefix[]): readonly Uint8Array[] => {
    const parent = keys.get(toHex(of));
    if (parent === undefined) throw new Error('a parent');
    const children = prefixes.map((prefix) => {
      const key = keyOf(`key ${++made}`);
      return { prefix, key, charterHash: sha256(key) };
    });
    const successor = {
      record: { parentKey: of, children },
      signature: new Uint8Array(48),
    } as unknown as SignedSuccessor;
    keys.set(toHex(of), { ...parent, successor });
    for (const each of children) {
      const epoch = parent.epoch + 1n;
      keys.set(toHex(each.key), { ...each, epoch, link: successor, successor: null });
    }
    return children.map(({ key }) => key);
  };
  const line = (from: Uint8Array, prefix: Prefix, count: number): readonly Uint8Array[] => {
    const all = [from];
    for (let n = 0; n < count; n++) all.push(...succeed(all.at(-1) ?? from, [prefix]));
    return all;
  };
  const halves = (prefix: Prefix): readonly Prefix[] => [child(prefix, 0), child(prefix, 1)];
  const root = line(genesisKey, EMPTY_PREFIX, before);
  const [zero, one] = halves(EMPTY_PREFIX) as [Prefix, Prefix];
  const [first, second] = succeed(root.at(-1) ?? genesisKey, [zero, one]) as [
    Uint8Array,
    Uint8Array,
  ];
  const left = line(first, zero, after);
  const right = line(second, one, after);
  const quarters = succeed(left.at(-1) ?? first, halves(zero));
  return { tree: { ...empty, keys } satisfies SectionTree, root, left, right, quarters };
}

const targetOf = (tree: SectionTree, key: Uint8Array): SignedAuthority => {
  const prefix = tree.keys.get(toHex(key))?.prefix ?? EMPTY_PREFIX;
  return { authority: { key, prefix } } as unknown as SignedAuthority;
};

/** The result of a walk over all links. */
function walked(tree: SectionTree, known: Uint8Array, key: Uint8Array) {
  const lineOf = (of: Uint8Array): readonly Uint8Array[] => {
    const line = [of];
    for (let link = tree.keys.get(toHex(of))?.link ?? null; link !== null;) {
      line.push(link.record.parentKey);
      link = tree.keys.get(toHex(link.record.parentKey))?.link ?? null;
    }
    return line;
  };
  const down = lineOf(key).map(toHex);
  const from =
    lineOf(known)
      .map(toHex)
      .find((each) => down.includes(each)) ?? '';
  const keyPath = down.slice(0, down.indexOf(from)).reverse();
  return {
    links: keyPath.slice(0, maxChainLinks).map((each) => tree.keys.get(each)?.link),
    whole: keyPath.length <= maxChainLinks,
  };
}

beforeEach(() => {
  looks = 0;
});

test('a page equals the result of a walk over all links, from any key to any section', () => {
  const { tree } = network(20, 18);
  const all = [...tree.keys.values()].map(({ key }) => key);
  for (const known of all) {
    for (const key of all) {
      const page = chainPageFor(tree, known, targetOf(tree, key));
      const { links, whole } = walked(tree, known, key);
      expect(page.links).toEqual(links);
      expect(page.authority !== null).toBe(whole);
    }
  }
});

describe('with the maximum number of known keys', () => {
  const { tree, root, left, right, quarters } = network(1_300, 1_390);
  const target = targetOf(tree, quarters[0] ?? genesisKey);

  test('a page costs as many look-ups as it has links, for any key of the asker', () => {
    expect(tree.keys.size).toBeLessThanOrEqual(maxKnownKeys);
    expect(tree.keys.size).toBeGreaterThan(maxKnownKeys - 32);
    const froms = {
      genesis: genesisKey,
      'an old key': root[700],
      'a key of the half': left[3],
      'the last key': quarters[0],
    };
    for (const [what, from] of Object.entries(froms)) {
      looks = 0;
      const { links } = chainPageFor(tree, from ?? genesisKey, target);
      expect(links.length, what).toBeGreaterThanOrEqual(what === 'the last key' ? 0 : 16);
      expect(looks, what).toBeLessThanOrEqual(maxChainLinks + 8);
    }
  });

  test('all keys are scanned once per tree, not once per asker from another branch', () => {
    const otherBranch = right.at(-1) ?? genesisKey;
    const first = chainPageFor(tree, otherBranch, target);
    looks = 0;
    for (const from of right.slice(-50)) expect(chainPageFor(tree, from, target)).toEqual(first);
    expect(looks).toBeLessThanOrEqual(50 * (maxChainLinks + 8));
    expect(toHex(first.links[0]?.record.parentKey ?? genesisKey)).toBe(
      toHex(root.at(-1) ?? genesisKey),
    );
  });
});
