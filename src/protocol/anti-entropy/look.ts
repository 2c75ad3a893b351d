/**
 * An elder looks at the cover of a message before it looks inside: is the name ours, is the key
 * ours? If not, the sender is shown what it lacks, in one answer (E1–E3). How the cover travels, and
 * that it is signed as one with its content (N32), is the wire's to say (`roles/wire`).
 */
import { matches, type Prefix } from '#address/prefix.ts';
import type { XorName } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import {
  closestSection,
  sectionAt,
  sectionFor,
  trustFor,
  type SectionAuthority,
  type SectionProof,
  type SectionTree,
  type SignedAuthority,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import { pageFor } from './pages.ts';

/** For whom a message is, and under which key. */
export interface Cover {
  /** The name it is about: a node's, a chunk's, a slot's. Its section answers. */
  readonly destinationName: XorName;
  /** 96 bytes: that section's key as the sender knows it. */
  readonly destinationKey: Uint8Array;
  /** The newest generation the sender knows under that key. */
  readonly generation: bigint;
}

/** What an elder knows of sections. */
export interface Known {
  readonly tree: SectionTree;
  /** Its own section as it is sealed now. */
  readonly own: Omit<SignedAuthority, 'chain'>;
}

/** What a cover says of its sender, and what the sender therefore lacks. */
export type Looked =
  /** Ours: look inside. `behind`: the sender knows an older generation of the same key. */
  | { readonly kind: 'accept'; readonly behind: boolean }
  | { readonly kind: 'retry' | 'redirect'; readonly proof: SectionProof }
  | { readonly kind: 'newest'; readonly record: SignedSuccessor | null };

/** E1–E3, for a peer that asked over a connection of its own and waits for this one answer. */
export function lookAt({ tree, own }: Known, cover: Cover): Looked {
  const { destinationName, destinationKey } = cover;
  const { authority } = own;
  const isOurs = matches(authority.prefix, destinationName);
  if (isOurs && equalBytes(destinationKey, authority.key)) {
    return { kind: 'accept', behind: cover.generation < authority.generation };
  }
  if (trustFor(tree, destinationKey) === undefined) {
    return { kind: 'newest', record: newestRecord(tree, authority) };
  }
  if (isOurs) return { kind: 'retry', proof: pageFor(tree, destinationKey, own) };
  // Knowing no other section we show how the name's and ours parted.
  const closest = sectionToShow(tree, destinationName, authority.prefix) ?? own;
  return { kind: 'redirect', proof: pageFor(tree, destinationKey, closest) };
}

function sectionToShow(
  tree: SectionTree,
  name: Uint8Array,
  own: Prefix,
): Omit<SignedAuthority, 'chain'> | undefined {
  const closest = sectionFor(tree, name) ?? closestSection(tree, name, own);
  return closest === undefined ? undefined : sectionAt(tree, closest.prefix);
}

const newestRecord = (tree: SectionTree, { key }: SectionAuthority) =>
  tree.keys.get(toHex(key))?.link ?? null;
