/** The sections for display: their tree, and the changes between two views. */
import type { SectionView } from '#bridge/worker-messages.ts';
import { bitsOf, networkTexts } from './texts.ts';

export interface PrefixNode {
  readonly bits: string;
  /** Null above a split, and where nothing is known yet. */
  readonly section: SectionView | null;
  /** None, or the two halves. */
  readonly halves: readonly PrefixNode[];
}

/** Every split down to the known sections; the unknown half of one is a leaf without a section. */
export function prefixTree(sections: readonly SectionView[], bits = ''): PrefixNode {
  const section = sections.find(({ prefix }) => bitsOf(prefix) === bits) ?? null;
  const inside = sections.filter(
    ({ prefix }) => bitsOf(prefix).length > bits.length && bitsOf(prefix).startsWith(bits),
  );
  const halves = inside.length === 0 ? [] : ['0', '1'].map((bit) => prefixTree(inside, bits + bit));
  return { bits, section, halves };
}

/** Position in the drawing: `from` and `to` on the line of all names (0…1), `depth` below the root. */
export interface TreeBranch {
  readonly bits: string;
  readonly depth: number;
  readonly from: number;
  readonly to: number;
  readonly section: SectionView | null;
  readonly isLeaf: boolean;
}

/** Lays out the tree: each half gets half the width. */
export function layOutTree(node: PrefixNode, from = 0, to = 1, depth = 0): readonly TreeBranch[] {
  const { bits, section, halves } = node;
  const middle = (from + to) / 2;
  const [zero, one] = halves;
  const own = { bits, depth, from, to, section, isLeaf: zero === undefined };
  if (zero === undefined || one === undefined) return [own];
  return [
    own,
    ...layOutTree(zero, from, middle, depth + 1),
    ...layOutTree(one, middle, to, depth + 1),
  ];
}

/** The changes a person should see, as whole sentences, in the order of the sections. */
export function changesBetween(
  before: readonly SectionView[],
  after: readonly SectionView[],
): readonly string[] {
  if (before.length === 0) return [];
  return after.flatMap((section) => {
    const same = before.find(({ prefix }) => prefix === section.prefix);
    if (same === undefined) return appeared(before, section);
    return same.key === section.key ? memberChanges(same, section) : handedOver(same, section);
  });
}

function appeared(before: readonly SectionView[], { prefix }: SectionView): readonly string[] {
  const bits = bitsOf(prefix);
  const whole = before.find((each) => bits.startsWith(bitsOf(each.prefix)));
  return [whole ? networkTexts.split(whole.prefix, prefix) : networkTexts.found(prefix)];
}

function handedOver(before: SectionView, { prefix, epoch, elders }: SectionView) {
  const old = namesOf(before.elders);
  const fresh = elders.filter(({ name }) => !old.has(name)).map(({ name }) => shortName(name));
  return [networkTexts.handedOver(prefix, epoch, fresh)];
}

function memberChanges(before: SectionView, after: SectionView): readonly string[] {
  const [old, now] = [membersOf(before), membersOf(after)];
  const joined = [...now].filter((name) => !old.has(name)).map(shortName);
  const left = [...old].filter((name) => !now.has(name)).map(shortName);
  return [
    ...joined.map((name) => networkTexts.joined(name, after.prefix)),
    ...left.map((name) => networkTexts.left(name, after.prefix)),
  ];
}

export const shortName = (name: string): string => name.slice(0, 6);

const namesOf = (nodes: readonly { readonly name: string }[]): ReadonlySet<string> =>
  new Set(nodes.map(({ name }) => name));

const membersOf = ({ elders, adults }: SectionView): ReadonlySet<string> =>
  namesOf([...elders, ...adults]);
