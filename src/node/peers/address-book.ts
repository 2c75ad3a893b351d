/**
 * Addresses of nodes: the newest record that each node signed about itself (N28), with its counter, so
 * that a replayed older one changes nothing. Members of known sections have reserved places; all other
 * nodes share a few.
 */
import { nameToId } from '#address/xor-name.ts';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { isDialledByNodes, isLoopback } from '#network/address-checks.ts';
import {
  decodeAddressRecord,
  verifyAddressRecord,
  type AddressRecord,
} from '#protocol/section/index.ts';
import { readTextFile, replaceFileLater } from '#storage/node/data-folder.ts';
import { isSignedBy } from '../keys/native-ed25519.ts';

/** `refused`: genuine, but there is no room for it. */
export type OfferResult = 'news' | 'known' | 'refused' | 'forged';

export interface AddressBook {
  /** The addresses to dial for this name; empty when it is unknown. */
  readonly addressesOf: (name: Uint8Array) => readonly string[];
  /** The encoded record of one name. */
  readonly recordOf: (name: Uint8Array) => Uint8Array | null;
  /**
   * Adds an encoded record if it is genuine and newer than ours.
   * @param from the sender; null for a source chosen for its role (the join point, an elder). From an
   *   unknown sender only its own record is accepted.
   * @param address the sender's address, see addressGroup
   */
  readonly offer: (
    bytes: Uint8Array,
    from?: Uint8Array | null,
    address?: string | null,
  ) => OfferResult;
  /** This node's own record: never evicted. */
  readonly offerOwn: (bytes: Uint8Array) => void;
  /**
   * Encoded records: those of `first`, then members', then others, newest offered first.
   * @param which `pinned`: only members' and this node's own
   */
  readonly records: (
    limit: number,
    first?: readonly Uint8Array[],
    which?: 'all' | 'pinned',
  ) => readonly Uint8Array[];
  readonly names: () => readonly Uint8Array[];
  /** The pinned names that have a record. */
  readonly pinned: () => readonly Uint8Array[];
  /** Names never evicted for other nodes: members of the sections we know. */
  readonly pin: (ids: ReadonlySet<string>) => void;
  /** Saves members' records, at most once a minute; a lost book is collected again by exchanges. */
  readonly saveSoon: () => void;
  /** Writes unsaved changes. Never rejects. */
  readonly close: () => Promise<void>;
}

/** Pinned names: 64 sections of 64 nodes. */
export const maxKnownNodes = 4096;
/** Nodes that want to join, and other nodes without membership. */
export const maxNonMembers = 64;
/** Eight usual addresses; a member's record may be longer. */
export const maxNonMemberRecordBytes = 1024;
const saveEveryMs = 60_000;

export interface AddressBookOptions {
  readonly members?: number;
  readonly nonMembers?: number;
  /** A disk error: the book continues in memory. */
  readonly onError?: (error: unknown) => void;
  readonly nowMs?: () => number;
}

interface Entry {
  readonly id: string;
  readonly record: AddressRecord;
  readonly bytes: Uint8Array;
  /** Received over a connection with the node it is about. */
  readonly direct: boolean;
  /** The address of that connection; non-members from one address share its places. */
  readonly address: string | null;
}

/** @param path the file of the book; null keeps it in memory only. */
export function createAddressBook(
  networkId: Uint8Array,
  path: string | null,
  options: AddressBookOptions = {},
): AddressBook {
  const { members = maxKnownNodes, nonMembers = maxNonMembers } = options;
  const onChange = (): void => file?.markChanged();
  const table = new AddressTable(networkId, members, nonMembers, onChange);
  let isPublic = false;
  const file = path === null ? null : new AddressFile(path, table, members, options);
  file?.read();

  return {
    addressesOf: (name) => {
      const all = table.get(name)?.record.addresses ?? [];
      return all.filter((each) => isDialledByNodes(each, !isPublic));
    },
    recordOf: (name) => table.get(name)?.bytes ?? null,
    offer: (bytes, from = null, address = null) => table.add(bytes, from, address),
    offerOwn: (bytes) => {
      const decoded = decodeAddressRecord(bytes);
      if (!decoded.ok) return;
      table.addOwnName(decoded.value.name);
      table.add(bytes, null, null);
      // A node with a public address does not dial loopback addresses from records.
      isPublic ||= decoded.value.addresses.some(
        (each) => isDialledByNodes(each, true) && !isLoopback(each.split('/')[2] ?? ''),
      );
    },
    records: (limit, first = [], which = 'all') => {
      const entries = [
        ...first.flatMap((name) => table.get(name) ?? []),
        ...table.pinned().reverse(),
        ...(which === 'all' ? table.nonMembers().reverse() : []),
      ];
      return [...new Set(entries)].slice(0, limit).map(({ bytes }) => bytes);
    },
    names: () => table.all().map(({ record }) => record.name),
    pinned: () => table.pinned().map(({ record }) => record.name),
    pin: (ids) => table.pin(ids),
    saveSoon: () => file?.saveSoon(),
    close: async () => file?.close(),
  };
}

/** The newest record of each node, and the rules by which they get and lose their places. */
class AddressTable {
  readonly #networkId: Uint8Array;
  readonly #maxMembers: number;
  readonly #maxNonMembers: number;
  /** Called when members' records have changed. */
  readonly #onChange: () => void;
  /** Newest offered last. */
  readonly #known = new Map<string, Entry>();
  readonly #own = new Set<string>();
  /** Before the members are known: the names from the disk and the join point. */
  readonly #provisionalPins = new Set<string>();
  #pins: ReadonlySet<string> | null = null;

  constructor(
    networkId: Uint8Array,
    maxMembers: number,
    maxNonMembers: number,
    onChange: () => void,
  ) {
    this.#networkId = networkId;
    this.#maxMembers = maxMembers;
    this.#maxNonMembers = maxNonMembers;
    this.#onChange = onChange;
  }

  get(name: Uint8Array): Entry | undefined {
    return this.#known.get(nameToId(name));
  }

  all(): Entry[] {
    return [...this.#known.values()];
  }

  pinned(): Entry[] {
    return this.all().filter(({ id }) => this.#isPinned(id));
  }

  nonMembers(): Entry[] {
    return this.all().filter(({ id }) => !this.#isPinned(id));
  }

  addOwnName(name: Uint8Array): void {
    this.#own.add(nameToId(name));
  }

  add(bytes: Uint8Array, from: Uint8Array | null, address: string | null): OfferResult {
    const decoded = decodeAddressRecord(bytes);
    if (!decoded.ok) return 'forged';
    const record = decoded.value;
    const id = nameToId(record.name);
    const ours = this.#known.get(id);
    // Before verifying: skip records we have already and those without room.
    if (ours !== undefined && ours.record.counter >= record.counter) return 'known';
    const sender = from === null ? null : nameToId(from);
    const direct = sender === id;
    const isProvisional = sender === null && this.#pins === null;
    const pinned = this.#isPinned(id) || isProvisional;
    const isTrusted = sender === null || direct || this.#isPinned(sender);
    if (!pinned && (!isTrusted || bytes.length > maxNonMemberRecordBytes)) return 'refused';
    if (!verifyAddressRecord(this.#networkId, record, isSignedBy).ok) return 'forged';
    const source = direct || ours === undefined ? { direct, address } : ours;
    const entry = { id, record, bytes, direct: source.direct, address: source.address };
    const hasRoom = pinned
      ? this.#known.size < this.#maxMembers + this.#maxNonMembers
      : this.#makeRoom(id, direct, address);
    if (!hasRoom) return 'refused';
    if (isProvisional) this.#provisionalPins.add(id);
    this.#known.delete(id);
    this.#known.set(id, entry);
    if (pinned) this.#onChange();
    return 'news';
  }

  pin(ids: ReadonlySet<string>): void {
    const before = new Set(this.pinned());
    this.#pins = ids;
    if (this.all().some((entry) => this.#isPinned(entry.id) !== before.has(entry)))
      this.#onChange();
    for (const { id, bytes } of this.nonMembers()) {
      if (bytes.length > maxNonMemberRecordBytes) this.#known.delete(id);
    }
    const left = this.nonMembers();
    for (const { id } of left.slice(0, Math.max(0, left.length - this.#maxNonMembers)))
      this.#known.delete(id);
  }

  #isPinned(id: string): boolean {
    return this.#own.has(id) || (this.#pins ?? this.#provisionalPins).has(id);
  }

  #makeRoom(id: string, direct: boolean, address: string | null): boolean {
    const others = this.nonMembers().filter((each) => each.id !== id);
    if (others.length < this.#maxNonMembers) return true;
    const evicted = evictedFor(direct, address, others);
    return evicted !== undefined && this.#known.delete(evicted.id);
  }
}

/**
 * A node known only from others is evicted for one that connected itself, never the reverse. Among
 * the latter, one from the address with the most is evicted: names are free, so that none pushes out
 * a node from another address.
 */
function evictedFor(
  direct: boolean,
  address: string | null,
  others: readonly Entry[],
): Entry | undefined {
  const indirect = others.find((each) => !each.direct);
  if (indirect !== undefined || !direct) return indirect;
  const counts = new Map<string | null, number>([[address, 1]]);
  for (const each of others) counts.set(each.address, (counts.get(each.address) ?? 0) + 1);
  const most = Math.max(...counts.values());
  const crowded = others.filter((each) => counts.get(each.address) === most);
  return counts.get(address) === most && most > 1
    ? crowded.find((each) => each.address === address)
    : crowded[0];
}

/** Keeps the pinned records on disk. A disk error delays a save and loses nothing in memory. */
class AddressFile {
  readonly #path: string;
  readonly #table: AddressTable;
  readonly #maxRecords: number;
  readonly #options: AddressBookOptions;
  /** The file is not overwritten until it was read. */
  #isUnread = true;
  #isChanged = false;
  #isWriting = false;
  #writing: Promise<void> = Promise.resolve();
  #savedAtMs = Number.NEGATIVE_INFINITY;

  constructor(path: string, table: AddressTable, maxRecords: number, options: AddressBookOptions) {
    this.#path = path;
    this.#table = table;
    this.#maxRecords = maxRecords;
    this.#options = options;
  }

  markChanged(): void {
    this.#isChanged = true;
  }

  read(): void {
    if (!this.#isUnread) return;
    try {
      const lines = (readTextFile(this.#path) ?? '').split('\n').filter(Boolean);
      this.#isUnread = false;
      this.#isChanged ||= lines.length > this.#maxRecords;
      for (const line of lines.slice(0, this.#maxRecords)) {
        const bytes = fromHex(line);
        if (bytes.ok) this.#table.add(bytes.value, null, null);
      }
    } catch (error) {
      this.#options.onError?.(error);
    }
  }

  saveSoon(): void {
    if (this.#now() - this.#savedAtMs >= saveEveryMs) void this.#write();
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#write();
  }

  #now(): number {
    return this.#options.nowMs?.() ?? Date.now();
  }

  #write(): Promise<void> {
    if (!this.#isChanged || this.#isWriting) return this.#writing;
    this.read();
    this.#savedAtMs = this.#now();
    if (this.#isUnread) return this.#writing;
    this.#isChanged = false;
    this.#isWriting = true;
    const text = this.#table
      .pinned()
      .map(({ bytes }) => `${toHex(bytes)}\n`)
      .join('');
    this.#writing = replaceFileLater(this.#path, text, 0o600)
      .catch((error: unknown) => {
        this.#isChanged = true;
        this.#options.onError?.(error);
      })
      .finally(() => {
        this.#isWriting = false;
      });
    return this.#writing;
  }
}
