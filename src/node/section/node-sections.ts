/**
 * What a node knows of its own and of other sections: the tree that redirects clients, the newest states,
 * whose messages are section work, and whose addresses stay in the book.
 */
import { matches, showPrefix, EMPTY_PREFIX, type Prefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import {
  createTree,
  learn,
  sectionProofOf,
  trustedUpdate,
  type SectionTree,
  type SignedAuthority,
  type TrustAnchor,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';
import type { Lane } from '#roles/request-lanes.ts';
import type { AddressBook } from '../peers/address-book.ts';
import { createKnownMembers } from './known-members.ts';
import type { NodeStanding } from './section-handle.ts';

export interface NodeSections {
  readonly tree: () => SectionTree;
  /** The newest states of other sections. */
  readonly others: () => readonly SignedAuthority[];
  readonly members: () => ReadonlySet<NodeId>;
  readonly adults: () => readonly NodeId[];
  readonly isElder: (id: NodeId) => boolean;
  /** A member of any section this node knows. */
  readonly isKnown: (id: NodeId) => boolean;
  readonly laneOf: (from: Uint8Array | null) => Lane;
  /** The longest prefix of `own` and the other sections that covers this name. */
  readonly prefixOf: (name: Uint8Array, own: SignedAuthority | null) => Prefix;
  /** Adds a verified state to the tree. */
  readonly addState: (state: SignedAuthority) => void;
  /** Takes the members of this node's own section. */
  readonly setOwn: (standing: NodeStanding) => void;
  /** @returns whether the update has a newer state of another section. */
  readonly addUpdate: (update: VerifiedUpdate) => boolean;
}

interface OwnSection {
  readonly members: ReadonlySet<NodeId>;
  readonly elders: ReadonlySet<NodeId>;
  /** Of the last state under the previous key. */
  readonly formerMembers: readonly NodeId[];
}

const noSection: OwnSection = { members: new Set(), elders: new Set(), formerMembers: [] };

export function createNodeSections(
  name: Uint8Array,
  anchor: TrustAnchor,
  book: Pick<AddressBook, 'pin'>,
): NodeSections {
  let tree = createTree(anchor);
  let own = noSection;
  const others = new Map<string, SignedAuthority>();
  const known = createKnownMembers();

  const pinKnown = (): void => {
    const authorities = [...others.values()].map(({ authority }) => authority);
    known.setOtherSections(authorities);
    // A node that is not a member keeps the nodes that the join point named.
    if (!own.members.has(nameToId(name))) return;
    const otherElders = authorities.flatMap(({ elders }) => idsOf(elders));
    // After a split the other half's members stay known until its own state arrives.
    book.pin(new Set([...own.members, ...otherElders, ...own.formerMembers, nameToId(name)]));
  };
  const addState = (state: SignedAuthority): void => {
    ({ tree } = learn(tree, trustedUpdate(sectionProofOf(state))));
  };

  return {
    tree: () => tree,
    others: () => [...others.values()],
    members: () => own.members,
    adults: () => [...own.members].filter((id) => !own.elders.has(id)),
    isElder: (id) => own.elders.has(id),
    isKnown: known.has,
    laneOf: (from) => (from !== null && known.has(nameToId(from)) ? 'system' : 'outside'),
    prefixOf: (target, state) =>
      [...others.values(), ...(state === null ? [] : [state])]
        .map(({ authority }) => authority.prefix)
        .filter((prefix) => matches(prefix, target))
        .sort((a, b) => b.bitCount - a.bitCount)[0] ?? EMPTY_PREFIX,
    addState,
    setOwn: ({ signed: { authority }, previous }) => {
      own = {
        members: new Set(idsOf(authority.members)),
        elders: new Set(idsOf(authority.elders)),
        formerMembers: idsOf(previous?.members ?? []),
      };
      known.setOwnSection(authority, previous);
      pinKnown();
    },
    addUpdate: (update) => {
      ({ tree } = learn(tree, update));
      const { authority, links } = update.proof;
      if (authority === null) return false;
      const state = { ...authority, chain: links };
      addState(state);
      others.set(showPrefix(state.authority.prefix), state);
      pinKnown();
      return true;
    },
  };
}

const idsOf = (nodes: readonly { readonly name: Uint8Array }[]): readonly NodeId[] =>
  nodes.map(({ name }) => nameToId(name));
