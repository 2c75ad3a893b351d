/**
 * Where nodes can be dialled: the newest record each node signed about itself (N28), remembered
 * with its counter, so that an older one, played back by a liar, changes nothing. Members of known
 * sections have a place of their own; strangers share a few.
 */
import { nameToId } from '#address/xor-name.ts';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { isDialledByNodes, isLoopback } from '#network/dial.ts';
import {
  decodeAddressRecord,
  verifyAddressRecord,
  type AddressRecord,
} from '#protocol/section/index.ts';
import { readTextFile, replaceFileLater } from '#storage/node/data-folder.ts';
import { isSignedBy } from './native-ed25519.ts';

/** `refused`: genuine, but there is no place for it. */
export type Offered = 'news' | 'known' | 'refused' | 'forged';

export interface AddressBook {
  /** What may be dialled for this name; empty when it is unknown. */
  readonly addressesOf: (name: Uint8Array) => readonly string[];
  /** The encoded record of one name. */
  readonly recordOf: (name: Uint8Array) => Uint8Array | null;
  /**
   * Takes an encoded record when it is genuine and newer than ours.
   * @param from who gave it; null for whoever was asked because of what it is: the join point, an
   *   elder. Of a stranger that nobody asked only its own record is taken.
   * @param address where that one is connected from, see addressGroup
   */
  readonly offer: (bytes: Uint8Array, from?: Uint8Array | null, address?: string | null) => Offered;
  /** This node's own record: never forgotten. */
  readonly offerOwn: (bytes: Uint8Array) => void;
  /**
   * Encoded records: those of `first`, then members', then others, newest offered first.
   * @param which `pinned`: no stranger's
   */
  readonly records: (
    limit: number,
    first?: readonly Uint8Array[],
    which?: 'all' | 'pinned',
  ) => readonly Uint8Array[];
  readonly names: () => readonly Uint8Array[];
  /** Of the names that are never forgotten in favour of strangers, those with a record. */
  readonly pinned: () => readonly Uint8Array[];
  /** Names that are never forgotten in favour of strangers: members of sections we know. */
  readonly pin: (ids: ReadonlySet<string>) => void;
  /** Lets the members' records be written, at most once a minute; a lost book is greeted together again. */
  readonly keep: () => void;
  /** Writes what is not written yet. Never rejects. */
  readonly close: () => Promise<void>;
}

/** 64 sections of 64 nodes: those whose names are pinned. */
export const maxKnownNodes = 4096;
/** Nodes that want to join, and whoever else comes by. */
export const maxStrangers = 64;
/** Eight usual addresses; a member may have longer ones. */
export const maxStrangerRecordBytes = 1024;
const keepEveryMs = 60_000;

export interface AddressBookOptions {
  readonly members?: number;
  readonly strangers?: number;
  /** The disk refused to be read or written: the book goes on in memory. */
  readonly failed?: (error: unknown) => void;
  readonly nowMs?: () => number;
}

interface Entry {
  readonly record: AddressRecord;
  readonly bytes: Uint8Array;
  /** It came by a connection with the node that it is about. */
  readonly direct: boolean;
  /** Where that connection came from; strangers from one address share its places. */
  readonly address: string | null;
}

/** @param path where the book is kept between starts; null keeps it in memory only. */
export function createAddressBook(
  networkId: Uint8Array,
  path: string | null,
  options: AddressBookOptions = {},
): AddressBook {
  const { members = maxKnownNodes, strangers = maxStrangers, nowMs = Date.now } = options;
  const known = new Map<string, Entry>();
  const own = new Set<string>();
  /** Before the members are known: what the disk and the join point name. */
  const early = new Set<string>();
  let pins: ReadonlySet<string> | null = null;
  let isPublic = false;
  let changed = false;
  let keptAtMs = Number.NEGATIVE_INFINITY;
  let writing: Promise<void> = Promise.resolve();
  let isWriting = false;

  const isPinned = (id: string): boolean => own.has(id) || (pins ?? early).has(id);
  const strangersKnown = (): readonly string[] => [...known.keys()].filter((id) => !isPinned(id));

  const take = (
    bytes: Uint8Array,
    from: Uint8Array | null,
    address: string | null,
    pinEarly: boolean,
  ): Offered => {
    const decoded = decodeAddressRecord(bytes);
    if (!decoded.ok) return 'forged';
    const record = decoded.value;
    const id = nameToId(record.name);
    const ours = known.get(id);
    // Before the signature: what we have already costs nothing, nor does what has no place.
    if (ours !== undefined && ours.record.counter >= record.counter) return 'known';
    const sender = from === null ? null : nameToId(from);
    const direct = sender === id;
    const pinned = isPinned(id) || pinEarly;
    const isTrusted = sender === null || direct || isPinned(sender);
    if (!pinned && (!isTrusted || bytes.length > maxStrangerRecordBytes)) return 'refused';
    if (!verifyAddressRecord(networkId, record, isSignedBy).ok) return 'forged';
    if (pinned ? known.size >= members + strangers : !makeRoom(id, direct, address))
      return 'refused';
    if (pinEarly) early.add(id);
    known.delete(id);
    const came = direct || ours === undefined ? { direct, address } : ours;
    known.set(id, { record, bytes, direct: came.direct, address: came.address });
    changed ||= pinned;
    return 'news';
  };

  /**
   * Whom somebody told about gives way to who came itself, never the other way round. Of those that came,
   * one of the address with the most: names cost nothing, and none of them pushes out who comes from
   * elsewhere.
   */
  const makeRoom = (id: string, direct: boolean, address: string | null): boolean => {
    const others = strangersKnown().filter((each) => each !== id);
    if (others.length < strangers) return true;
    const least = others.find((each) => known.get(each)?.direct !== true);
    if (least !== undefined || !direct) return least !== undefined && known.delete(least);
    const counts = new Map<string | null, number>([[address, 1]]);
    const addressOf = (each: string): string | null => known.get(each)?.address ?? null;
    for (const each of others) {
      counts.set(addressOf(each), (counts.get(addressOf(each)) ?? 0) + 1);
    }
    const most = Math.max(...counts.values());
    const crowded = others.filter((each) => counts.get(addressOf(each)) === most);
    const gives =
      counts.get(address) === most && most > 1
        ? crowded.find((each) => addressOf(each) === address)
        : crowded[0];
    return gives !== undefined && known.delete(gives);
  };

  /** The file is there and was not read: until it is, nothing is written over it. */
  let isUnread = path !== null;
  const read = (): void => {
    if (path === null || !isUnread) return;
    try {
      const lines = (readTextFile(path) ?? '').split('\n').filter(Boolean);
      isUnread = false;
      changed ||= lines.length > members;
      for (const line of lines.slice(0, members)) {
        const bytes = fromHex(line);
        if (bytes.ok) take(bytes.value, null, null, pins === null);
      }
    } catch (error) {
      options.failed?.(error);
    }
  };
  read();

  const write = (): Promise<void> => {
    if (path === null || !changed || isWriting) return writing;
    read();
    if (isUnread) {
      keptAtMs = nowMs();
      return writing;
    }
    changed = false;
    isWriting = true;
    keptAtMs = nowMs();
    const text = [...known]
      .filter(([id]) => isPinned(id))
      .map(([, { bytes }]) => `${toHex(bytes)}\n`)
      .join('');
    writing = replaceFileLater(path, text, 0o600)
      .catch((error: unknown) => {
        changed = true;
        options.failed?.(error);
      })
      .finally(() => {
        isWriting = false;
      });
    return writing;
  };

  return {
    addressesOf: (name) => {
      const all = known.get(nameToId(name))?.record.addresses ?? [];
      return all.filter((each) => isDialledByNodes(each, !isPublic));
    },
    recordOf: (name) => known.get(nameToId(name))?.bytes ?? null,
    offer: (bytes, from = null, address = null) =>
      take(bytes, from, address, from === null && pins === null),
    offerOwn: (bytes) => {
      const decoded = decodeAddressRecord(bytes);
      if (!decoded.ok) return;
      own.add(nameToId(decoded.value.name));
      take(bytes, null, null, false);
      // A node that others reach from elsewhere dials nothing on its own machine for a record.
      isPublic ||= decoded.value.addresses.some(
        (each) => isDialledByNodes(each, true) && !isLoopback(each.split('/')[2] ?? ''),
      );
    },
    records: (limit, first = [], which = 'all') => {
      const chosen = new Map<string, Uint8Array>();
      for (const name of first) {
        const entry = known.get(nameToId(name));
        if (entry !== undefined) chosen.set(nameToId(name), entry.bytes);
      }
      const rest = [...known].reverse();
      const ordered = [
        ...rest.filter(([id]) => isPinned(id)),
        ...rest.filter(([id]) => which === 'all' && !isPinned(id)),
      ];
      for (const [id, { bytes }] of ordered) {
        if (chosen.size >= limit) break;
        chosen.set(id, bytes);
      }
      return [...chosen.values()].slice(0, limit);
    },
    names: () => [...known.values()].map(({ record }) => record.name),
    pinned: () => [...known].filter(([id]) => isPinned(id)).map(([, { record }]) => record.name),
    pin: (ids) => {
      const before = new Set([...known.keys()].filter(isPinned));
      pins = ids;
      changed ||= [...known.keys()].some((id) => isPinned(id) !== before.has(id));
      for (const id of strangersKnown()) {
        if ((known.get(id)?.bytes.length ?? 0) > maxStrangerRecordBytes) known.delete(id);
      }
      const left = strangersKnown();
      for (const id of left.slice(0, Math.max(0, left.length - strangers))) known.delete(id);
    },
    keep: () => {
      if (nowMs() - keptAtMs >= keepEveryMs) void write();
    },
    close: async () => {
      await writing;
      await write();
    },
  };
}
