/** Where nodes can be dialled: the newest address record that each has signed. */
import { nameToId } from '#address/xor-name.ts';
import {
  decodeAddressRecord,
  verifyAddressRecord,
  type AddressRecord,
} from '#protocol/section/index.ts';

export interface NodeAddresses {
  /** Stores what is genuine and newer. */
  readonly add: (list: readonly Uint8Array[]) => void;
  readonly addressesOf: (name: Uint8Array) => readonly string[];
  /** Nodes with known addresses: elders of known sections first. */
  readonly names: () => readonly Uint8Array[];
  readonly encoded: () => readonly Uint8Array[];
}

/** Address records of nodes that are not elders of a known section: two replies of bootstrap nodes. */
export const maxOtherRecords = 32;

/** @param elders of all known sections, as hex names */
export function createNodeAddresses(
  networkId: Uint8Array,
  elders: () => ReadonlySet<string>,
  onChange: () => void,
): NodeAddresses {
  const records = new Map<string, { readonly record: AddressRecord; readonly bytes: Uint8Array }>();

  return {
    add: (list) => {
      for (const bytes of list) {
        const decoded = decodeAddressRecord(bytes);
        if (!decoded.ok || !verifyAddressRecord(networkId, decoded.value).ok) continue;
        const record = decoded.value;
        const id = nameToId(record.name);
        const held = records.get(id);
        if (held !== undefined && held.record.counter >= record.counter) continue;
        records.delete(id);
        records.set(id, { record, bytes });
        onChange();
      }
      // Records of elders stay; of the others, which may become elders, only the newest few.
      const elderIds = elders();
      const others = [...records.keys()].filter((id) => !elderIds.has(id));
      for (const id of others.slice(0, Math.max(0, others.length - maxOtherRecords))) {
        records.delete(id);
      }
    },
    addressesOf: (name) => records.get(nameToId(name))?.record.addresses ?? [],
    names: () => {
      const elderIds = elders();
      const names = [...records.values()].map(({ record }) => record.name);
      const isElder = (name: Uint8Array): boolean => elderIds.has(nameToId(name));
      return [...names.filter(isElder), ...names.filter((name) => !isElder(name))];
    },
    encoded: () => [...records.values()].map(({ bytes }) => bytes),
  };
}
