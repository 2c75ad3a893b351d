/**
 * An elder checks the destination of a message before it decodes the payload: do the name and the
 * key belong to its section? If not, one answer contains all the sender lacks (ANTI-ENTROPY-E1–E3). `roles/wire`
 * defines how destinations are encoded and signed together with the payload (N32).
 */
import { matches, type Prefix } from '#address/prefix.ts';
import type { XorName } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import {
  closestSection,
  authorityAt,
  sectionFor,
  trustFor,
  type SectionAuthority,
  type SectionProof,
  type SectionTree,
  type SignedAuthority,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import { chainPageFor } from './chain-pages.ts';

/** The name a message is for, and the section key it is sent under. */
export interface MessageDestination {
  /** The name of a node, a chunk or a slot; its section answers. */
  readonly destinationName: XorName;
  /** 96 bytes: that section's key as the sender knows it. */
  readonly destinationKey: Uint8Array;
  /** The newest generation the sender knows under that key. */
  readonly generation: bigint;
}

/** The sections an elder knows. */
export interface SectionKnowledge {
  readonly tree: SectionTree;
  /** Its own section in the newest sealed state. */
  readonly own: Omit<SignedAuthority, 'chain'>;
}

/** The result of checking a destination, with what the sender lacks. */
export type DestinationCheck =
  /** Ours: decode the payload. `behind`: the sender knows only an older generation of the key. */
  | { readonly kind: 'accept'; readonly behind: boolean }
  | { readonly kind: 'retry' | 'redirect'; readonly proof: SectionProof }
  | { readonly kind: 'unknownKey'; readonly record: SignedSuccessor | null };

/** ANTI-ENTROPY-E1–E3, for a peer that asked over its own connection and waits for this one answer. */
export function checkDestination(
  { tree, own }: SectionKnowledge,
  destination: MessageDestination,
): DestinationCheck {
  const { destinationName, destinationKey } = destination;
  const { authority } = own;
  const isOurs = matches(authority.prefix, destinationName);
  if (isOurs && equalBytes(destinationKey, authority.key)) {
    return { kind: 'accept', behind: destination.generation < authority.generation };
  }
  if (trustFor(tree, destinationKey) === undefined) {
    return { kind: 'unknownKey', record: newestRecord(tree, authority) };
  }
  if (isOurs) return { kind: 'retry', proof: chainPageFor(tree, destinationKey, own) };
  // Knowing no closer section, the answer proves our own, from the key where the branches part.
  const closest = closestKnownSection(tree, destinationName, authority.prefix) ?? own;
  return { kind: 'redirect', proof: chainPageFor(tree, destinationKey, closest) };
}

function closestKnownSection(
  tree: SectionTree,
  name: Uint8Array,
  own: Prefix,
): Omit<SignedAuthority, 'chain'> | undefined {
  const closest = sectionFor(tree, name) ?? closestSection(tree, name, own);
  return closest === undefined ? undefined : authorityAt(tree, closest.prefix);
}

const newestRecord = (tree: SectionTree, { key }: SectionAuthority) =>
  tree.keys.get(toHex(key))?.link ?? null;
