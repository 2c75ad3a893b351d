/**
 * The bytes that peers make a node hold: half frames, requests at work, answers that are not sent yet.
 *
 * There are three pots: members, strangers that an address tells apart, and strangers without one
 * (this machine, a relay). In a pot the bytes are shared by member, by address, or by peer. Where a
 * bound is reached, a stream that waits for its own peer goes first, however little it holds; then the
 * share that holds most gives way, if that is more than the asker's would. So no peer is refused
 * because others have many peer ids, and none can end a stream that holds less than it wants itself.
 */
/** Who is at the other end of a connection. */
export interface Caller {
  readonly peerId: string;
  /** See `addressGroup` of inbound.ts; null where no address tells peers apart. */
  readonly address: string | null;
  /** Members of the sections this node knows; some of the bytes are theirs alone. */
  readonly isKnown: () => boolean;
}

/** Bytes held for one stream: half a frame, requests at work, answers not yet sent. */
export interface StreamAccount {
  /** @returns false when the budget is spent: the stream has to end. */
  readonly hold: (bytes: number) => boolean;
  readonly free: (bytes: number) => void;
  /**
   * A piece of `arrived` bytes came. @param held what the unfinished frame takes now, 0 without one.
   * @returns as `hold`
   */
  readonly receiving: (held: number, arrived: number) => boolean;
  /** The peer took `taken` bytes of an answer. @param waiting what of it is left; it is held already. */
  readonly sending: (waiting: number, taken: number) => void;
  /** The stream has ended: what it held is free. */
  readonly close: () => void;
}

export interface HeldBytes {
  /** @param end ends the stream, when others need what it holds. */
  readonly open: (caller: Caller, end: () => void) => StreamAccount;
  readonly total: () => number;
}

/** Two windows of requests of one stream, and as many answers. */
export const maxHeldPerPeer = 24 * 1024 * 1024;
/** All strangers of one address; its members have the bounds of a peer and of the node only. */
export const maxHeldPerAddress = 64 * 1024 * 1024;
export const maxHeldBytes = 256 * 1024 * 1024;
/** Of these, what peers together may hold that are no members. */
export const maxHeldByStrangers = 160 * 1024 * 1024;
/**
 * A peer that sends, or takes, less than {@link leastProgressBytes} for so long stands still. Yamux lets
 * a reader's progress be seen every 128 KiB at the least, and those may take seconds.
 */
export const standstillMs = 10_000;
/** At this pace the largest frame would take five times as long as it may. */
export const leastProgressBytes = 32 * 1024;

interface Pot {
  bytes: number;
  readonly shares: Map<string, Share>;
  /** Half frames and unsent answers, the one without progress for longest first. */
  readonly waits: Set<Wait>;
  /** Undefined when it has to be looked for. */
  largest: Share | undefined;
}

/** What one member, one address, or one peer without an address holds. */
interface Share {
  readonly pot: Pot;
  readonly id: string;
  bytes: number;
  readonly peers: Map<Peer, number>;
  readonly waits: Set<Wait>;
}

interface Peer {
  readonly id: string;
  readonly isKnown: () => boolean;
  known: boolean;
  bytes: number;
  open: number;
  /** Its streams that hold something. */
  readonly holding: Set<Held>;
}

interface Held {
  readonly peer: Peer;
  readonly address: string | null;
  readonly end: () => void;
  bytes: number;
  share: Share | undefined;
  readonly half: Wait;
  readonly unsent: Wait;
}

/** Bytes that are held until the peer itself does something. */
interface Wait {
  readonly of: () => Held;
  bytes: number;
  /** Moved since `at`. */
  moved: number;
  /** Of the last progress. */
  at: number;
  /** Where it is listed. */
  share: Share | undefined;
}

/** @param refused called when a stranger was refused because others hold too much. */
export function createHeldBytes(now: () => number, refused: (caller: Caller) => void): HeldBytes {
  const peers = new Map<string, Peer>();
  const members = emptyPot();
  const addressed = emptyPot();
  const unaddressed = emptyPot();
  const total = (): number => members.bytes + addressed.bytes + unaddressed.bytes;

  const shareFor = ({ peer, address }: Held): readonly [Pot, string] => {
    if (peer.known) return [members, peer.id];
    return address === null ? [unaddressed, peer.id] : [addressed, address];
  };

  const change = (held: Held, bytes: number): void => {
    if (bytes === 0) return;
    const share = held.share ?? openShare(...shareFor(held));
    const { pot } = share;
    held.share = share;
    held.bytes += bytes;
    held.peer.bytes += bytes;
    share.bytes += bytes;
    pot.bytes += bytes;
    const ofPeer = (share.peers.get(held.peer) ?? 0) + bytes;
    if (ofPeer > 0) share.peers.set(held.peer, ofPeer);
    else share.peers.delete(held.peer);
    if (held.bytes > 0) held.peer.holding.add(held);
    else {
      held.peer.holding.delete(held);
      held.share = undefined;
    }
    if (share.bytes === 0) pot.shares.delete(share.id);
    if (bytes < 0 && pot.largest === share) pot.largest = undefined;
    else if (pot.largest !== undefined && share.bytes > pot.largest.bytes) pot.largest = share;
  };

  /** @param moved bytes that came or went since the last call. */
  const note = (wait: Wait, bytes: number, moved: number): void => {
    const isNew = wait.bytes === 0;
    wait.bytes = bytes;
    wait.moved += moved;
    if (bytes > 0 && !isNew && wait.moved < leastProgressBytes) return;
    wait.share?.waits.delete(wait);
    wait.share?.pot.waits.delete(wait);
    wait.moved = 0;
    wait.share = bytes === 0 ? undefined : wait.of().share;
    if (wait.share === undefined) return;
    wait.at = now();
    wait.share.waits.add(wait);
    wait.share.pot.waits.add(wait);
  };

  /** Members come and go: looked up again for a peer that wants more, and before a stream is ended. */
  const isAsBefore = (peer: Peer): boolean => {
    const known = peer.isKnown();
    if (known === peer.known) return true;
    const moving = [...peer.holding].map((held) => {
      const [bytes, half, unsent] = [held.bytes, held.half.bytes, held.unsent.bytes];
      note(held.half, 0, 0);
      note(held.unsent, 0, 0);
      change(held, -bytes);
      return { held, bytes, half, unsent };
    });
    peer.known = known;
    for (const { held, bytes, half, unsent } of moving) {
      change(held, bytes);
      note(held.half, half, 0);
      note(held.unsent, unsent, 0);
    }
    return false;
  };

  /** Each ends something or finds that it has to be looked at anew, then @returns true. */
  const endPeer = (share: Share, peer: Peer): true => {
    if (!isAsBefore(peer)) return true;
    for (const held of [...peer.holding]) if (held.share === share) held.end();
    return true;
  };
  const endStill = (...all: readonly (Pot | Share | undefined)[]): boolean => {
    let first: Wait | undefined;
    for (const each of all) {
      const [oldest] = each?.waits ?? [];
      if (oldest !== undefined && oldest.at < (first?.at ?? Infinity)) first = oldest;
    }
    if (first === undefined || now() - first.at < standstillMs) return false;
    const held = first.of();
    if (isAsBefore(held.peer)) held.end();
    return true;
  };
  const endIn = (share: Share | undefined, moreThan: number): boolean => {
    const peer = share === undefined ? undefined : largestIn(share, moreThan);
    return share !== undefined && peer !== undefined && endPeer(share, peer);
  };
  const endLargest = (pot: Pot, moreThan: number): boolean => {
    pot.largest ??= largestOf(pot);
    return pot.largest !== undefined && pot.largest.bytes > moreThan && endIn(pot.largest, 0);
  };

  const makeRoomForMember = (wanted: number): boolean => {
    const strangers = addressed.bytes > unaddressed.bytes ? addressed : unaddressed;
    return (
      endStill(addressed, unaddressed) ||
      endLargest(strangers, 0) ||
      endStill(members) ||
      endLargest(members, wanted)
    );
  };
  const makeRoomForStranger = (pot: Pot, wanted: number, bytes: number): boolean => {
    const other = pot === addressed ? unaddressed : addressed;
    return (
      endStill(addressed, unaddressed) ||
      (other.bytes > pot.bytes + bytes ? endLargest(other, 0) : endLargest(pot, wanted))
    );
  };

  const fits = (held: Held, bytes: number, isClosed: () => boolean): boolean => {
    const { peer, address } = held;
    isAsBefore(peer);
    for (;;) {
      // Making room may have ended this very stream.
      if (isClosed() || peer.bytes + bytes > maxHeldPerPeer) return false;
      const [pot, id] = shareFor(held);
      const share = pot.shares.get(id);
      const ofShare = share?.bytes ?? 0;
      const isNodeFull = total() + bytes > maxHeldBytes;
      if (pot === members) {
        if (!isNodeFull) return true;
        if (!makeRoomForMember(ofShare + bytes)) return false;
        continue;
      }
      const isShareFull = address !== null && ofShare + bytes > maxHeldPerAddress;
      const isFull = isNodeFull || addressed.bytes + unaddressed.bytes + bytes > maxHeldByStrangers;
      if (!isShareFull && !isFull) return true;
      if (isShareFull ? endStill(share) : makeRoomForStranger(pot, ofShare + bytes, bytes))
        continue;
      // Its neighbours may be what is in the way: what they lose is no loss for others.
      const ofPeer = (share?.peers.get(peer) ?? 0) + bytes;
      if (!endIn(share, ofPeer)) return false;
    }
  };

  const peerOf = ({ peerId, isKnown }: Caller): Peer => {
    const peer = peers.get(peerId) ?? {
      id: peerId,
      isKnown,
      known: isKnown(),
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
      let closed = false;
      const wait = (): Wait => ({
        of: () => held,
        ...{ bytes: 0, moved: 0, at: 0, share: undefined },
      });
      const held: Held = {
        peer,
        address: caller.address,
        end: () => {
          account.close();
          end();
        },
        bytes: 0,
        share: undefined,
        half: wait(),
        unsent: wait(),
      };
      const hold = (bytes: number): boolean => {
        if (closed) return false;
        if (bytes === 0) return true;
        if (!fits(held, bytes, () => closed)) {
          if (!peer.known) refused(caller);
          return false;
        }
        change(held, bytes);
        return true;
      };
      const free = (bytes: number): void => change(held, -Math.min(bytes, held.bytes));
      const account: StreamAccount = {
        hold,
        free,
        receiving: (bytes, arrived) => {
          if (closed) return false;
          const before = held.half.bytes;
          // Less than before: a frame has ended, and that is progress.
          const moved = bytes < before ? leastProgressBytes : arrived;
          if (bytes < before || bytes === 0) {
            note(held.half, bytes, moved);
            free(before - bytes);
            return true;
          }
          if (!hold(bytes - before)) return false;
          note(held.half, bytes, moved);
          return true;
        },
        sending: (waiting, taken) => {
          if (!closed) note(held.unsent, waiting, taken);
        },
        close: () => {
          if (closed) return;
          closed = true;
          note(held.half, 0, 0);
          note(held.unsent, 0, 0);
          change(held, -held.bytes);
          peer.open -= 1;
          if (peer.open === 0) peers.delete(peer.id);
        },
      };
      return account;
    },
    total,
  };
}

const emptyPot = (): Pot => ({
  bytes: 0,
  shares: new Map(),
  waits: new Set(),
  largest: undefined,
});

function openShare(pot: Pot, id: string): Share {
  const share = pot.shares.get(id) ?? {
    pot,
    id,
    bytes: 0,
    peers: new Map(),
    waits: new Set(),
  };
  pot.shares.set(id, share);
  return share;
}

function largestOf({ shares }: Pot): Share | undefined {
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
