/**
 * The sections a light node has verified, the addresses of their elders, and the part that survives a
 * restart (N33).
 */
import { EMPTY_PREFIX, showPrefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import type { SectionKeys } from '#money/spend-certificate.ts';
import { chainPageFor } from '#protocol/anti-entropy/index.ts';
import {
  chainForPeer,
  closestSection,
  encodeSignedAuthority,
  parentPrefixOf,
  performVerifyUpdate,
  namesUnderCurrentKeys,
  authorityAt,
  sectionFor,
  sectionsOf,
  type SectionAuthority,
  type SectionProof,
  type SectionTree,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import {
  decodeTrustStore,
  encodeTrustStore,
  planPin,
  openTrustStore,
  pin,
  verifiedEpoch,
  type TrustStore,
} from '#roles/light-client/stored-sections.ts';
import { moneyKeysOf } from '#roles/light-client/money-keys.ts';
import { adultNamesOf } from '#roles/holder-candidates.ts';
import type { StoredSections } from '#storage/browser/worker-store.ts';
import { createNodeAddresses, type NodeAddresses } from './node-addresses.ts';

export interface Elder {
  readonly name: Uint8Array;
  readonly index: number;
  readonly publicShare: Uint8Array;
  readonly addresses: readonly string[];
}

export interface Section {
  readonly authority: SectionAuthority;
  /** The signed authority as received, for the vault to verify itself. */
  readonly signed: Uint8Array;
  readonly networkId: Uint8Array;
  readonly elders: readonly Elder[];
  /** Adults: members that may hold chunks and pointer records, as hex names. */
  readonly holders: ReadonlySet<string>;
}

export interface KnownSections {
  /** The section responsible for a name, or the closest one; undefined while none is known. */
  readonly current: (name?: Uint8Array) => Section | undefined;
  /** Everything verified: initially only the genesis key. */
  readonly tree: () => SectionTree;
  /** N33: checks what a proof adds, and stores it. @returns whether it is valid. */
  readonly verifyAndStore: (proof: SectionProof) => Promise<boolean>;
  readonly addRecords: (records: readonly Uint8Array[]) => void;
  readonly addressesOf: (name: Uint8Array) => readonly string[];
  /** Nodes with known addresses: elders of known sections first. */
  readonly namesWithAddresses: () => readonly Uint8Array[];
  /** Reads what a previous run stored. @returns whether there was anything. */
  readonly load: () => Promise<boolean>;
  readonly save: () => Promise<void>;
  /** Current and superseded money keys (N34). */
  readonly money: () => SectionKeys;
  /** Every verified section, by prefix. */
  readonly sections: () => readonly Section[];
  /** The chain page from a known key towards a name, for the vault to check itself. */
  readonly proof: (name: Uint8Array, from: Uint8Array) => SectionProof | undefined;
  /** Names under every key that may have a successor by now. */
  readonly namesToPoll: () => readonly Uint8Array[];
  /** N33: where and when a key has named two successors. */
  readonly fork: () => { readonly epoch: number; readonly prefix: string } | null;
  /** The newest verified epoch. */
  readonly epoch: () => bigint;
}

/** Per network id in hex: pins (roles/light-client/stored-sections.ts), and address records. */
export interface SectionStore {
  readonly pins: (network: string) => Promise<StoredSections | undefined>;
  readonly savePins: (network: string, kept: StoredSections) => Promise<void>;
}

export function openKnownSections(
  anchor: TrustAnchor,
  store: SectionStore,
  onChange: () => void,
): KnownSections {
  const network = toHex(anchor.networkId);
  let trustStore: TrustStore = openTrustStore(anchor);
  const sectionCache = new Map<string, Section>();
  const records = createNodeAddresses(
    anchor.networkId,
    () => elderIdsIn(trustStore.tree),
    () => sectionCache.clear(),
  );

  const toSection = (authority: SectionAuthority): Section => {
    const id = `${toHex(authority.key)}/${authority.generation}`;
    const section =
      sectionCache.get(id) ?? sectionOf(anchor, trustStore.tree, authority, records.addressesOf);
    sectionCache.set(id, section);
    return section;
  };

  const current: KnownSections['current'] = (name = anchor.genesisKey.slice(0, 32)) => {
    const authority = sectionFor(trustStore.tree, name) ?? closestSection(trustStore.tree, name);
    return authority === undefined ? undefined : toSection(authority);
  };

  /** Best effort: on a full disk this run continues, and the next one requests it again. */
  const save = (): Promise<void> =>
    store
      .savePins(network, { pins: encodeTrustStore(trustStore), addresses: records.encoded() })
      .catch(() => undefined);

  return {
    current,
    tree: () => trustStore.tree,
    verifyAndStore: async (proof) => {
      const plan = planPin(trustStore, proof);
      if (plan.kind !== 'verify') return plan.kind === 'same';
      const verified = performVerifyUpdate(blsSuite, plan.job);
      if (!verified.ok) return false;
      const before = trustStore;
      const pinned = pin(before, verified.value);
      ({ store: trustStore } = pinned);
      if (!pinned.changed) return true;
      sectionCache.clear();
      await save();
      onChange();
      // A conflicting successor record is stored to show the fork, and nothing below it is accepted.
      return trustStore.tree !== before.tree;
    },
    addRecords: records.add,
    addressesOf: records.addressesOf,
    namesWithAddresses: records.names,
    load: async () => {
      const kept = await store.pins(network);
      if (kept === undefined) return false;
      trustStore = decodeTrustStore(kept.pins, anchor) ?? trustStore;
      records.add(kept.addresses);
      return true;
    },
    save,
    money: () => moneyKeysOf(trustStore.tree),
    sections: () => sectionsOf(trustStore.tree).map(toSection),
    proof: (name, from) => {
      const { prefix } = current(name)?.authority ?? {};
      const signed = prefix === undefined ? undefined : authorityAt(trustStore.tree, prefix);
      return signed === undefined ? undefined : chainPageFor(trustStore.tree, from, signed);
    },
    namesToPoll: () => namesUnderCurrentKeys(trustStore.tree),
    fork: () => forkIn(trustStore),
    epoch: () => verifiedEpoch(trustStore),
  };
}

const elderIdsIn = (tree: SectionTree): ReadonlySet<string> =>
  new Set(sectionsOf(tree).flatMap(({ elders }) => elders.map(({ name }) => nameToId(name))));

/** The rest of the worker's view of a pinned authority. */
function sectionOf(
  { genesisKey, networkId }: TrustAnchor,
  tree: SectionTree,
  authority: SectionAuthority,
  addressesOf: NodeAddresses['addressesOf'],
): Section {
  const { signature = new Uint8Array(48) } = authorityAt(tree, authority.prefix) ?? {};
  const chain = chainForPeer(tree, genesisKey, authority.key);
  return {
    authority,
    signed: encodeSignedAuthority({ authority, signature, chain }),
    networkId,
    elders: authority.elders.map(({ name, index, publicShare }) => ({
      ...{ name, index, publicShare },
      addresses: addressesOf(name),
    })),
    // Elders do not store chunks: an elder's receipt counts for no copy.
    holders: new Set(adultNamesOf(authority).map(nameToId)),
  };
}

function forkIn({ fork }: TrustStore): ReturnType<KnownSections['fork']> {
  if (fork === null) return null;
  const { record } = fork.first;
  const prefix = showPrefix(parentPrefixOf(record) ?? EMPTY_PREFIX);
  return { epoch: Number(record.epoch), prefix };
}
