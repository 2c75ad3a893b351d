/**
 * Where nodes can be dialled: the newest record each node signed about itself (N28), remembered
 * with its counter, so that an older one, played back by a liar, changes nothing.
 */
import { readFileSync } from 'node:fs';
import { nameToId } from '#address/xor-name.ts';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import {
  decodeAddressRecord,
  verifyAddressRecord,
  type AddressRecord,
} from '#protocol/section/index.ts';
import { replaceFile } from '#storage/node/data-folder.ts';

export interface AddressBook {
  /** Empty when the name is unknown. */
  readonly addressesOf: (name: Uint8Array) => readonly string[];
  /** The encoded record of one name. */
  readonly recordOf: (name: Uint8Array) => Uint8Array | null;
  /** Takes an encoded record when it is genuine and newer than ours. */
  readonly offer: (bytes: Uint8Array) => 'news' | 'known' | 'refused';
  /** Encoded records: those of `first`, then others, newest offered first. */
  readonly records: (limit: number, first?: readonly Uint8Array[]) => readonly Uint8Array[];
  readonly names: () => readonly Uint8Array[];
  /** Names that are never forgotten in favour of strangers: members of sections we know. */
  readonly pin: (ids: ReadonlySet<string>) => void;
  /** Writes what changed to disk; a lost book is only greeted together again. */
  readonly keep: () => void;
}

/** 64 sections of 64 nodes; a stranger's record beyond that replaces another stranger's. */
export const maxKnownNodes = 4096;

/** @param path where the book is kept between starts; null keeps it in memory only. */
export function createAddressBook(
  networkId: Uint8Array,
  path: string | null,
  most = maxKnownNodes,
): AddressBook {
  const known = new Map<string, { readonly record: AddressRecord; readonly bytes: Uint8Array }>();
  let pinned: ReadonlySet<string> = new Set();
  let changed = false;

  const offer = (bytes: Uint8Array): 'news' | 'known' | 'refused' => {
    const decoded = decodeAddressRecord(bytes);
    if (!decoded.ok) return 'refused';
    const record = decoded.value;
    const id = nameToId(record.name);
    const ours = known.get(id);
    // Before the signature: what we have already costs nothing.
    if (ours !== undefined && ours.record.counter >= record.counter) return 'known';
    if (!verifyAddressRecord(networkId, record).ok) return 'refused';
    known.delete(id);
    if (known.size >= most && !makeRoom()) return 'refused';
    known.set(id, { record, bytes });
    changed = true;
    return 'news';
  };

  const makeRoom = (): boolean => {
    for (const id of known.keys()) {
      if (pinned.has(id)) continue;
      return known.delete(id);
    }
    return false;
  };

  for (const line of path === null ? [] : linesIn(path)) {
    const bytes = fromHex(line);
    if (bytes.ok) offer(bytes.value);
  }
  changed = false;

  return {
    addressesOf: (name) => known.get(nameToId(name))?.record.addresses ?? [],
    recordOf: (name) => known.get(nameToId(name))?.bytes ?? null,
    offer,
    records: (limit, first = []) => {
      const chosen = new Map<string, Uint8Array>();
      for (const name of first) {
        const entry = known.get(nameToId(name));
        if (entry !== undefined) chosen.set(nameToId(name), entry.bytes);
      }
      for (const [id, { bytes }] of [...known].reverse()) {
        if (chosen.size >= limit) break;
        chosen.set(id, bytes);
      }
      return [...chosen.values()].slice(0, limit);
    },
    names: () => [...known.values()].map(({ record }) => record.name),
    pin: (ids) => {
      pinned = ids;
    },
    keep: () => {
      if (path === null || !changed) return;
      changed = false;
      const lines = [...known.values()].map(({ bytes }) => toHex(bytes));
      replaceFile(path, `${lines.join('\n')}\n`, 0o600);
    },
  };
}

function linesIn(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}
