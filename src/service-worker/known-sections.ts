/**
 * The sections a light node has verified, where their elders can be dialled, and what of it survives
 * its death (N33).
 */
import { EMPTY_PREFIX, showPrefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import type { SectionKeys } from '#money/certificate.ts';
import { pageFor } from '#protocol/anti-entropy/index.ts';
import {
  chainFor,
  closestSection,
  decodeAddressRecord,
  encodeSignedAuthority,
  parentPrefixOf,
  performVerifyUpdate,
  placesOf,
  sectionAt,
  sectionFor,
  sectionsOf,
  verifyAddressRecord,
  type SectionAuthority,
  type SectionProof,
  type SectionTree,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import {
  decodePins,
  encodePins,
  follow,
  openPins,
  pin,
  verifiedEpoch,
  type Pins,
} from '#roles/light-client/pins.ts';
import { moneyKeysOf } from '#roles/light-client/money-keys.ts';
import { adultsOf } from '#roles/placement.ts';

export interface Elder {
  readonly name: Uint8Array;
  readonly index: number;
  readonly publicShare: Uint8Array;
  readonly addresses: readonly string[];
}

export interface Section {
  readonly authority: SectionAuthority;
  /** The signed authority as it came, for the vault to verify itself. */
  readonly signed: Uint8Array;
  readonly networkId: Uint8Array;
  readonly elders: readonly Elder[];
  /** Adults: members that may hold chunks and pointer records, as hex names. */
  readonly holders: ReadonlySet<string>;
}

export interface KnownSections {
  /** The section that answers for a name, or the closest one; undefined while none is known. */
  readonly current: (name?: Uint8Array) => Section | undefined;
  /** All that was verified: at first the genesis key alone. */
  readonly tree: () => SectionTree;
  /** Checks what a proof adds, and keeps it. @returns whether it holds. */
  readonly believe: (proof: SectionProof) => Promise<boolean>;
  readonly takeRecords: (records: readonly Uint8Array[]) => void;
  readonly addressesOf: (name: Uint8Array) => readonly string[];
  /** Whose addresses are known: elders of known sections first. */
  readonly recorded: () => readonly Uint8Array[];
  /** Reads what an earlier life kept. @returns whether there was anything. */
  readonly recall: () => Promise<boolean>;
  readonly keep: () => Promise<void>;
  /** Who signs and who signed for money (N34). */
  readonly money: () => SectionKeys;
  /** Every verified section, by prefix. */
  readonly sections: () => readonly Section[];
  /** The page of links from a known key on the way to a name, for the vault to check itself. */
  readonly proof: (name: Uint8Array, from: Uint8Array) => SectionProof | undefined;
  /** Names under every key that may have a successor by now. */
  readonly places: () => readonly Uint8Array[];
  /** N33: a key has named two successors; where and when. */
  readonly fork: () => { readonly epoch: number; readonly prefix: string } | null;
  /** "Verified up to". */
  readonly epoch: () => bigint;
}

/** Of one network, by its id in hex: pins (roles/light-client/pins.ts), and address records. */
export interface KeptSections {
  readonly pins: Uint8Array;
  readonly addresses: readonly Uint8Array[];
}

export interface SectionStore {
  readonly pins: (network: string) => Promise<KeptSections | undefined>;
  readonly keepPins: (network: string, kept: KeptSections) => Promise<void>;
}

/** Address records of nodes that are no elder of a known section: two answers of bootstrap nodes. */
export const maxOtherRecords = 32;

export function openKnownSections(
  anchor: TrustAnchor,
  store: SectionStore,
  onChange: () => void,
): KnownSections {
  const { genesisKey, networkId } = anchor;
  const network = toHex(networkId);
  let pins: Pins = openPins(anchor);
  /** By elder: the newest record it signed. */
  const records = new Map<string, { readonly counter: bigint; readonly bytes: Uint8Array }>();
  const made = new Map<string, Section>();

  const elderIds = (): ReadonlySet<string> =>
    new Set(
      sectionsOf(pins.tree).flatMap(({ elders }) => elders.map(({ name }) => nameToId(name))),
    );

  const takeRecords = (list: readonly Uint8Array[]): void => {
    const elders = elderIds();
    for (const bytes of list) {
      const record = decodeAddressRecord(bytes);
      if (!record.ok || !verifyAddressRecord(networkId, record.value).ok) continue;
      const id = nameToId(record.value.name);
      const held = records.get(id);
      if (held !== undefined && held.counter >= record.value.counter) continue;
      records.delete(id);
      records.set(id, { counter: record.value.counter, bytes });
      made.clear();
    }
    // Who is an elder stays; of the others, who may become one, the newest few.
    const others = [...records.keys()].filter((id) => !elders.has(id));
    for (const id of others.slice(0, Math.max(0, others.length - maxOtherRecords))) {
      records.delete(id);
    }
  };

  const addressesOf = (name: Uint8Array): readonly string[] => {
    const held = records.get(nameToId(name));
    const record = held === undefined ? undefined : decodeAddressRecord(held.bytes);
    return record?.ok === true ? record.value.addresses : [];
  };

  /** What the rest of the worker sees of an authority that the pins hold. */
  const present = (authority: SectionAuthority): Section => {
    const id = `${toHex(authority.key)}/${authority.generation}`;
    const known = made.get(id);
    if (known !== undefined) return known;
    const { signature } = sectionAt(pins.tree, authority.prefix) ?? {};
    const chain = chainFor(pins.tree, genesisKey, authority.key);
    const section: Section = {
      authority,
      signed: encodeSignedAuthority({
        authority,
        signature: signature ?? new Uint8Array(48),
        chain,
      }),
      networkId,
      elders: authority.elders.map(({ name, index, publicShare }) => ({
        name,
        index,
        publicShare,
        addresses: addressesOf(name),
      })),
      // Elders do not store: a receipt of one is no copy.
      holders: new Set(adultsOf(authority).map(nameToId)),
    };
    made.set(id, section);
    return section;
  };

  const current = (name: Uint8Array = genesisKey.slice(0, 32)): Section | undefined => {
    const authority = sectionFor(pins.tree, name) ?? closestSection(pins.tree, name);
    return authority === undefined ? undefined : present(authority);
  };

  /** Best effort: on a full disk the next life asks for it again, and this one goes on. */
  const keep = (): Promise<void> =>
    store
      .keepPins(network, {
        pins: encodePins(pins),
        addresses: [...records.values()].map(({ bytes }) => bytes),
      })
      .catch(() => undefined);

  /** N33: checks what a proof adds, and keeps it. @returns whether it holds. */
  const believe = async (proof: SectionProof): Promise<boolean> => {
    const plan = follow(pins, proof);
    if (plan.kind !== 'verify') return plan.kind === 'same';
    const verified = performVerifyUpdate(blsSuite, plan.job);
    if (!verified.ok) return false;
    const before = pins;
    const pinned = pin(before, verified.value);
    ({ pins } = pinned);
    if (!pinned.news) return true;
    made.clear();
    await keep();
    onChange();
    // A second word is kept for the person to see, and nothing of it is believed.
    return pins.tree !== before.tree;
  };

  return {
    current,
    tree: () => pins.tree,
    believe,
    takeRecords,
    addressesOf,
    recorded: () => {
      const elders = elderIds();
      const names = [...records.values()].flatMap(({ bytes }) => {
        const record = decodeAddressRecord(bytes);
        return record.ok ? [record.value.name] : [];
      });
      const isElder = (name: Uint8Array): boolean => elders.has(nameToId(name));
      return [...names.filter(isElder), ...names.filter((name) => !isElder(name))];
    },
    recall: async () => {
      const kept = await store.pins(network);
      if (kept === undefined) return false;
      pins = decodePins(kept.pins, anchor) ?? pins;
      takeRecords(kept.addresses);
      return true;
    },
    keep,
    money: () => moneyKeysOf(pins.tree),
    sections: () => sectionsOf(pins.tree).map(present),
    proof: (name, from) => {
      const { prefix } = current(name)?.authority ?? {};
      const signed = prefix === undefined ? undefined : sectionAt(pins.tree, prefix);
      return signed === undefined ? undefined : pageFor(pins.tree, from, signed);
    },
    places: () => placesOf(pins.tree),
    fork: () => {
      if (pins.fork === null) return null;
      const { record } = pins.fork.first;
      return {
        epoch: Number(record.epoch),
        prefix: showPrefix(parentPrefixOf(record) ?? EMPTY_PREFIX),
      };
    },
    epoch: () => verifiedEpoch(pins),
  };
}
