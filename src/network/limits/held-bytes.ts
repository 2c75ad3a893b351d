/**
 * Bounds the bytes that a node holds for its peers: partial frames, requests being processed, unsent
 * replies.
 *
 * There are three pools: members, non-members with a distinguishing address, and non-members without one
 * (this machine, a relay). A pool is shared by member, by address, or by peer. At a bound, a stream that
 * waits for its own peer is ended first, however little it holds; then the largest share, if it is larger
 * than the requester's would be. So many peer ids cannot crowd out another peer, and no peer can end a
 * stream that holds less than it wants itself.
 */
/** The peer at the other end of a connection. */
export interface InboundPeer {
  readonly peerId: string;
  /** See `addressGroup` of inbound-limits.ts; null where addresses do not distinguish peers. */
  readonly address: string | null;
  /** Members of the sections this node knows; part of the bytes is reserved for them. */
  readonly isMember: () => boolean;
}

/** Bytes held for one stream: a partial frame, requests being processed, unsent replies. */
export interface StreamAccount {
  /** @returns false when the budget is spent: the caller must end the stream. */
  readonly hold: (bytes: number) => boolean;
  readonly free: (bytes: number) => void;
  /**
   * `arrived` bytes were received. @param held size of the partial frame, 0 without one.
   * @returns as `hold`
   */
  readonly receiving: (held: number, arrived: number) => boolean;
  /** The peer took `taken` bytes of a reply. @param waiting its unsent rest; it is held already. */
  readonly sending: (waiting: number, taken: number) => void;
  /** The stream has ended: frees what it held. */
  readonly close: () => void;
}

export interface HeldBytes {
  /** @param end ends the stream when its bytes are needed for others. */
  readonly open: (caller: InboundPeer, end: () => void) => StreamAccount;
  readonly total: () => number;
}

/** Two windows of requests of one stream, and as many replies. */
export const maxHeldPerPeer = 24 * 1024 * 1024;
/** All non-members of one address; its members have only the bounds of a peer and of the node. */
export const maxHeldPerAddress = 64 * 1024 * 1024;
export const maxHeldBytes = 256 * 1024 * 1024;
/** The part of it that all non-members together may hold. */
export const maxHeldByNonMembers = 160 * 1024 * 1024;
/**
 * A peer that sends or takes less than {@link minProgressBytes} in this time has stalled. Yamux shows a
 * reader's progress at least every 128 KiB, which may take seconds.
 */
export const stallTimeoutMs = 10_000;
/** At this rate the largest frame would take five times its limit. */
export const minProgressBytes = 32 * 1024;

interface MemoryPool {
  bytes: number;
  readonly shares: Map<string, Share>;
  /** Partial frames and unsent replies, the longest stalled first. */
  readonly waits: Set<PendingBytes>;
  /** Undefined when it must be recomputed. */
  largest: Share | undefined;
}

/** The bytes held for one member, one address, or one peer without an address. */
interface Share {
  readonly pool: MemoryPool;
  readonly id: string;
  bytes: number;
  readonly peers: Map<Peer, number>;
  readonly waits: Set<PendingBytes>;
}

interface Peer {
  readonly id: string;
  readonly isMember: () => boolean;
  wasMember: boolean;
  bytes: number;
  open: number;
  /** Its streams with held bytes. */
  readonly holding: Set<StreamUsage>;
}

interface StreamUsage {
  readonly peer: Peer;
  readonly address: string | null;
  readonly end: () => void;
  bytes: number;
  share: Share | undefined;
  readonly half: PendingBytes;
  readonly unsent: PendingBytes;
}

/** Bytes that only the peer itself can free. */
interface PendingBytes {
  readonly of: () => StreamUsage;
  bytes: number;
  /** Bytes moved since `at`. */
  moved: number;
  /** Time of the last progress. */
  at: number;
  /** The share that lists it. */
  share: Share | undefined;
}

/** @param refused called when a non-member was refused because others hold too much. */
export function createHeldBytes(
  now: () => number,
  refused: (caller: InboundPeer) => void,
): HeldBytes {
  const ledger = new Ledger(now);
  const room = new Room(ledger, now);
  const peers = new Map<string, Peer>();
  const peerOf = ({ peerId, isMember }: InboundPeer): Peer => {
    const peer = peers.get(peerId) ?? {
      id: peerId,
      isMember,
      wasMember: isMember(),
      bytes: 0,
      open: 0,
      holding: new Set(),
    };
    peers.set(peerId, peer);
    return peer;
  };

  return {
    open: (caller, end) => {
      const peer = peerOf(caller);
      peer.open += 1;
      return new Account(ledger, room, peer, caller.address, {
        end,
        refused: () => refused(caller),
        closed: () => {
          peer.open -= 1;
          if (peer.open === 0) peers.delete(peer.id);
        },
      });
    },
    total: () => ledger.total(),
  };
}

/** What one stream holds, until it is closed. */
class Account implements StreamAccount {
  readonly #ledger: Ledger;
  readonly #room: Room;
  readonly #on: Record<'end' | 'refused' | 'closed', () => void>;
  readonly #held: StreamUsage;
  #isClosed = false;

  constructor(
    ledger: Ledger,
    room: Room,
    peer: Peer,
    address: string | null,
    on: Record<'end' | 'refused' | 'closed', () => void>,
  ) {
    this.#ledger = ledger;
    this.#room = room;
    this.#on = on;
    const wait = (): PendingBytes => ({
      of: () => this.#held,
      ...{ bytes: 0, moved: 0, at: 0, share: undefined },
    });
    const end = (): void => {
      this.close();
      on.end();
    };
    const [half, unsent] = [wait(), wait()];
    this.#held = { peer, address, end, bytes: 0, share: undefined, half, unsent };
  }

  hold(bytes: number): boolean {
    if (this.#isClosed) return false;
    if (bytes === 0) return true;
    if (!this.#room.fits(this.#held, bytes, () => this.#isClosed)) {
      if (!this.#held.peer.wasMember) this.#on.refused();
      return false;
    }
    this.#ledger.change(this.#held, bytes);
    return true;
  }

  free(bytes: number): void {
    this.#ledger.change(this.#held, -Math.min(bytes, this.#held.bytes));
  }

  receiving(bytes: number, arrived: number): boolean {
    if (this.#isClosed) return false;
    const { half } = this.#held;
    const before = half.bytes;
    // Fewer bytes than before: a frame was completed, which is progress.
    const moved = bytes < before ? minProgressBytes : arrived;
    if (bytes < before || bytes === 0) {
      this.#ledger.recordProgress(half, bytes, moved);
      this.free(before - bytes);
      return true;
    }
    if (!this.hold(bytes - before)) return false;
    this.#ledger.recordProgress(half, bytes, moved);
    return true;
  }

  sending(waiting: number, taken: number): void {
    if (!this.#isClosed) this.#ledger.recordProgress(this.#held.unsent, waiting, taken);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#ledger.recordProgress(this.#held.half, 0, 0);
    this.#ledger.recordProgress(this.#held.unsent, 0, 0);
    this.#ledger.change(this.#held, -this.#held.bytes);
    this.#on.closed();
  }
}

/** Admits more bytes, and ends streams of other peers or of the same one to make room for them. */
class Room {
  readonly #ledger: Ledger;
  readonly #now: () => number;

  constructor(ledger: Ledger, now: () => number) {
    this.#ledger = ledger;
    this.#now = now;
  }

  fits(held: StreamUsage, bytes: number, isClosed: () => boolean): boolean {
    const { peer, address } = held;
    const ledger = this.#ledger;
    ledger.isMembershipUnchanged(peer);
    for (;;) {
      // Making room may have ended this very stream.
      if (isClosed() || peer.bytes + bytes > maxHeldPerPeer) return false;
      const [pool, id] = ledger.shareFor(held);
      const share = pool.shares.get(id);
      const wanted = (share?.bytes ?? 0) + bytes;
      const isNodeFull = ledger.total() + bytes > maxHeldBytes;
      if (pool === ledger.members) {
        if (!isNodeFull) return true;
        if (!this.#makeRoomForMember(wanted)) return false;
        continue;
      }
      const isShareFull = address !== null && wanted > maxHeldPerAddress;
      const isFull = isNodeFull || ledger.ofNonMembers() + bytes > maxHeldByNonMembers;
      if (!isShareFull && !isFull) return true;
      if (isShareFull ? this.#closeStalled(share) : this.#makeRoomForNonMember(pool, wanted, bytes))
        continue;
      // The limit may be its own group's: ending a larger peer of the group costs no other group anything.
      const ofPeer = (share?.peers.get(peer) ?? 0) + bytes;
      if (!this.#closeLargestPeer(share, ofPeer)) return false;
    }
  }

  /** Each of the following ends a stream or marks a share for recomputation, then @returns true. */
  #makeRoomForMember(wanted: number): boolean {
    const { members, addressed, unaddressed } = this.#ledger;
    const nonMembers = addressed.bytes > unaddressed.bytes ? addressed : unaddressed;
    return (
      this.#closeStalled(addressed, unaddressed) ||
      this.#closeLargestShare(nonMembers, 0) ||
      this.#closeStalled(members) ||
      this.#closeLargestShare(members, wanted)
    );
  }

  #makeRoomForNonMember(pool: MemoryPool, wanted: number, bytes: number): boolean {
    const { addressed, unaddressed } = this.#ledger;
    const other = pool === addressed ? unaddressed : addressed;
    return (
      this.#closeStalled(addressed, unaddressed) ||
      (other.bytes > pool.bytes + bytes
        ? this.#closeLargestShare(other, 0)
        : this.#closeLargestShare(pool, wanted))
    );
  }

  #closeStalled(...all: readonly (MemoryPool | Share | undefined)[]): boolean {
    let first: PendingBytes | undefined;
    for (const each of all) {
      const [oldest] = each?.waits ?? [];
      if (oldest !== undefined && oldest.at < (first?.at ?? Infinity)) first = oldest;
    }
    if (first === undefined || this.#now() - first.at < stallTimeoutMs) return false;
    const held = first.of();
    if (this.#ledger.isMembershipUnchanged(held.peer)) held.end();
    return true;
  }

  #closeLargestShare(pool: MemoryPool, moreThan: number): boolean {
    pool.largest ??= largestOf(pool);
    return (pool.largest?.bytes ?? 0) > moreThan && this.#closeLargestPeer(pool.largest, 0);
  }

  #closeLargestPeer(share: Share | undefined, moreThan: number): boolean {
    const peer = share === undefined ? undefined : largestIn(share, moreThan);
    if (peer === undefined) return false;
    if (!this.#ledger.isMembershipUnchanged(peer)) return true;
    for (const held of [...peer.holding]) if (held.share === share) held.end();
    return true;
  }
}

/** Who holds how many bytes, and since when they wait for their own peer. */
class Ledger {
  readonly members = emptyPool();
  readonly addressed = emptyPool();
  readonly unaddressed = emptyPool();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  total(): number {
    return this.members.bytes + this.ofNonMembers();
  }

  ofNonMembers(): number {
    return this.addressed.bytes + this.unaddressed.bytes;
  }

  shareFor({ peer, address }: StreamUsage): readonly [MemoryPool, string] {
    if (peer.wasMember) return [this.members, peer.id];
    return address === null ? [this.unaddressed, peer.id] : [this.addressed, address];
  }

  change(held: StreamUsage, bytes: number): void {
    if (bytes === 0) return;
    const share = held.share ?? openShare(...this.shareFor(held));
    const { pool } = share;
    held.share = share;
    held.bytes += bytes;
    held.peer.bytes += bytes;
    share.bytes += bytes;
    pool.bytes += bytes;
    const ofPeer = (share.peers.get(held.peer) ?? 0) + bytes;
    if (ofPeer > 0) share.peers.set(held.peer, ofPeer);
    else share.peers.delete(held.peer);
    if (held.bytes > 0) held.peer.holding.add(held);
    else {
      held.peer.holding.delete(held);
      held.share = undefined;
    }
    if (share.bytes === 0) pool.shares.delete(share.id);
    if (bytes < 0 && pool.largest === share) pool.largest = undefined;
    else if (pool.largest !== undefined && share.bytes > pool.largest.bytes) pool.largest = share;
  }

  /** @param moved bytes received or sent since the last call. */
  recordProgress(wait: PendingBytes, bytes: number, moved: number): void {
    const isNew = wait.bytes === 0;
    wait.bytes = bytes;
    wait.moved += moved;
    if (bytes > 0 && !isNew && wait.moved < minProgressBytes) return;
    wait.share?.waits.delete(wait);
    wait.share?.pool.waits.delete(wait);
    wait.moved = 0;
    wait.share = bytes === 0 ? undefined : wait.of().share;
    if (wait.share === undefined) return;
    wait.at = this.#now();
    wait.share.waits.add(wait);
    wait.share.pool.waits.add(wait);
  }

  /** Membership changes, so it is looked up again when a peer wants more and before a stream is ended. */
  isMembershipUnchanged(peer: Peer): boolean {
    const known = peer.isMember();
    if (known === peer.wasMember) return true;
    const moving = [...peer.holding].map((held) => {
      const [bytes, half, unsent] = [held.bytes, held.half.bytes, held.unsent.bytes];
      this.recordProgress(held.half, 0, 0);
      this.recordProgress(held.unsent, 0, 0);
      this.change(held, -bytes);
      return { held, bytes, half, unsent };
    });
    peer.wasMember = known;
    for (const { held, bytes, half, unsent } of moving) {
      this.change(held, bytes);
      this.recordProgress(held.half, half, 0);
      this.recordProgress(held.unsent, unsent, 0);
    }
    return false;
  }
}

const emptyPool = (): MemoryPool => ({
  bytes: 0,
  shares: new Map(),
  waits: new Set(),
  largest: undefined,
});

function openShare(pool: MemoryPool, id: string): Share {
  const share = pool.shares.get(id) ?? {
    pool,
    id,
    bytes: 0,
    peers: new Map(),
    waits: new Set(),
  };
  pool.shares.set(id, share);
  return share;
}

function largestOf({ shares }: MemoryPool): Share | undefined {
  let most: Share | undefined;
  for (const share of shares.values()) if (share.bytes > (most?.bytes ?? 0)) most = share;
  return most;
}

function largestIn({ peers }: Share, moreThan: number): Peer | undefined {
  let most: Peer | undefined;
  let bytes = moreThan;
  for (const [peer, held] of peers) {
    if (held <= bytes) continue;
    most = peer;
    bytes = held;
  }
  return most;
}
