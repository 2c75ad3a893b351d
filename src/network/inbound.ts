/**
 * What strangers may take of a node before their requests are even read: connections, bytes that
 * wait to become a request or an answer, and patience with invalid requests. Peer ids cost nothing,
 * so everything is counted by connection address too. Addresses of this machine are not counted:
 * behind the HTTP front, or in a local network, all peers come from one.
 */
import { setNewest } from '#core/bounded.ts';

/** Who is at the other end of a connection. */
export interface Caller {
  readonly peerId: string;
  /** From {@link addressGroup}; null where no address tells peers apart. */
  readonly address: string | null;
  /** Members of the sections this node knows; some of the bytes are theirs alone. */
  readonly isKnown: () => boolean;
}

/** Bytes held for one stream: half a frame, requests at work, answers not yet sent. */
export interface StreamAccount {
  /** @returns false when the budget is spent: the stream has to end. */
  readonly hold: (bytes: number) => boolean;
  readonly free: (bytes: number) => void;
  /** The stream has ended: what it held is free. */
  readonly close: () => void;
}

export interface Inbound {
  /** @param end ends the stream, when others need what it holds. */
  readonly open: (caller: Caller, end: () => void) => StreamAccount;
  /** It sent something that no program of ours sends. @returns true when it is to be cut off now. */
  readonly strike: (caller: Caller) => boolean;
  /** Members are cut off for what they sent themselves, strangers also for others of their address. */
  readonly isCutOff: (caller: Caller) => boolean;
  /**
   * A new connection of this address. @returns false when it has too many, or too many at once.
   * @param hasMember Is a member connected from there? Before the key agreement nobody is told from
   * anybody else: an address with members has a small reserve, and {@link mayStay} takes it back.
   */
  readonly connect: (address: string | null, hasMember?: () => boolean) => boolean;
  /** After the key agreement: of an address that is cut off, or full, only members stay. */
  readonly mayStay: (caller: Caller) => boolean;
  readonly disconnected: (address: string | null) => void;
  readonly heldBytes: () => number;
}

/** Two windows of requests of one stream, and as many answers. */
export const maxHeldPerPeer = 24 * 1024 * 1024;
export const maxHeldPerAddress = 64 * 1024 * 1024;
export const maxHeldBytes = 256 * 1024 * 1024;
/** Of these, what peers together may hold that are no members. */
export const maxHeldByStrangers = 160 * 1024 * 1024;
/** A household, an office, a cloud machine with many nodes. */
export const maxConnectionsPerAddress = 256;
/** New connections of one address in a second: each costs a key agreement. */
export const maxConnectsPerSecond = 32;
/** Beyond these, for an address members are known to come from: connections, and new ones in a second. */
export const maxReservedConnections = 16;
export const maxReservedConnectsPerSecond = 4;
/** Invalid requests in {@link strikeWindowMs} after which a peer, or an address, is cut off. */
export const maxInvalidPerPeer = 16;
export const maxInvalidPerAddress = 64;
export const strikeWindowMs = 60_000;
export const cutOffMs = 60_000;
/** Peers and addresses remembered for their invalid requests, and addresses for their members; the longest remembered is forgotten. */
const maxRemembered = 4_096;

interface Holder {
  bytes: number;
  readonly ends: Set<() => void>;
  readonly isKnown: () => boolean;
}

export function createInbound(now: () => number = () => performance.now()): Inbound {
  const holders = new Map<string, Holder>();
  const heldByAddress = new Map<string, number>();
  let held = 0;
  const invalid = new Map<string, number[]>();
  const cutOff = new Map<string, number>();
  const connections = new Map<string, number>();
  const buckets = createBuckets(maxConnectsPerSecond, now);
  const reserve = createBuckets(maxReservedConnectsPerSecond, now);
  const withMembers = new Map<string, true>();
  const noteMember = ({ address, isKnown }: Caller): void => {
    if (address === null || !isKnown()) return;
    setNewest(withMembers, address, true, maxRemembered);
  };

  const heldByStrangers = (): number => {
    let sum = 0;
    for (const holder of holders.values()) if (!holder.isKnown()) sum += holder.bytes;
    return sum;
  };
  /** Ends the streams of the stranger that holds most, if that is more than the asker would hold. */
  const makeRoom = (asker: string, wanted: number): boolean => {
    let most: readonly [string, Holder] | undefined;
    for (const each of holders) {
      if (!each[1].isKnown() && each[1].bytes > (most?.[1].bytes ?? 0)) most = each;
    }
    if (most === undefined || most[0] === asker || most[1].bytes <= wanted) return false;
    for (const end of [...most[1].ends]) end();
    return true;
  };

  const fits = (caller: Caller, holder: Holder, bytes: number): boolean => {
    const wanted = holder.bytes + bytes;
    if (wanted > maxHeldPerPeer) return false;
    const ofAddress = caller.address === null ? 0 : (heldByAddress.get(caller.address) ?? 0);
    if (ofAddress + bytes > maxHeldPerAddress) return false;
    const isFull = (): boolean =>
      held + bytes > maxHeldBytes ||
      // Cheap as long as little is held; the sum is looked at only near the bound.
      (!caller.isKnown() &&
        held + bytes > maxHeldByStrangers &&
        heldByStrangers() + bytes > maxHeldByStrangers);
    while (isFull()) if (!makeRoom(caller.peerId, wanted)) return false;
    return true;
  };

  const note = (id: string, max: number): boolean => {
    const at = now();
    const recent = (invalid.get(id) ?? []).filter((time) => at - time < strikeWindowMs);
    recent.push(at);
    setNewest(invalid, id, recent, maxRemembered);
    if (recent.length < max) return false;
    invalid.delete(id);
    setNewest(cutOff, id, at + cutOffMs, maxRemembered);
    return true;
  };
  const isOut = (id: string): boolean => (cutOff.get(id) ?? -Infinity) > now();

  const isCutOff = ({ peerId, address, isKnown }: Caller): boolean =>
    isOut(`peer ${peerId}`) || (address !== null && isOut(`address ${address}`) && !isKnown());

  return {
    open: (caller, end) => {
      noteMember(caller);
      const holder = holders.get(caller.peerId) ?? {
        bytes: 0,
        ends: new Set(),
        isKnown: caller.isKnown,
      };
      holders.set(caller.peerId, holder);
      const finish = (): void => {
        account.close();
        end();
      };
      holder.ends.add(finish);
      let own = 0;
      let closed = false;
      const change = (bytes: number): void => {
        own += bytes;
        holder.bytes += bytes;
        held += bytes;
        if (caller.address === null) return;
        const left = (heldByAddress.get(caller.address) ?? 0) + bytes;
        if (left > 0) heldByAddress.set(caller.address, left);
        else heldByAddress.delete(caller.address);
      };
      const account: StreamAccount = {
        hold: (bytes) => {
          if (closed || !fits(caller, holder, bytes)) return false;
          // Making room may have ended this very stream's peer.
          if (closed) return false;
          change(bytes);
          return true;
        },
        free: (bytes) => change(-Math.min(bytes, own)),
        close: () => {
          if (closed) return;
          closed = true;
          change(-own);
          holder.ends.delete(finish);
          if (holder.ends.size === 0 && holders.get(caller.peerId) === holder) {
            holders.delete(caller.peerId);
          }
        },
      };
      return account;
    },
    strike: ({ peerId, address, isKnown }) => {
      const peer = note(`peer ${peerId}`, maxInvalidPerPeer);
      // A member's name is not free: it answers for itself.
      if (address === null || isKnown()) return peer;
      return note(`address ${address}`, maxInvalidPerAddress) || peer;
    },
    isCutOff,
    connect: (address, hasMember = () => false) => {
      if (address === null) return true;
      const open = connections.get(address) ?? 0;
      const isFree =
        !isOut(`address ${address}`) && open < maxConnectionsPerAddress && buckets.take(address);
      const isReserved = (): boolean =>
        open < maxConnectionsPerAddress + maxReservedConnections &&
        (withMembers.has(address) || hasMember()) &&
        reserve.take(address);
      if (!isFree && !isReserved()) return false;
      connections.set(address, open + 1);
      return true;
    },
    mayStay: (caller) => {
      noteMember(caller);
      const { address, isKnown } = caller;
      const open = address === null ? 0 : (connections.get(address) ?? 0);
      return !isCutOff(caller) && (open <= maxConnectionsPerAddress || isKnown());
    },
    disconnected: (address) => {
      if (address === null) return;
      const left = (connections.get(address) ?? 1) - 1;
      if (left > 0) connections.set(address, left);
      else connections.delete(address);
    },
    heldBytes: () => held,
  };
}

/** One token bucket per name, full at the beginning; full ones are forgotten. */
export function createBuckets(
  perSecond: number,
  now: () => number,
): { readonly take: (name: string) => boolean; readonly size: () => number } {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return {
    take: (name) => {
      const at = now();
      const kept = buckets.get(name) ?? { tokens: perSecond, at };
      const tokens = Math.min(perSecond, kept.tokens + ((at - kept.at) * perSecond) / 1_000);
      const admitted = tokens >= 1;
      buckets.delete(name);
      buckets.set(name, { tokens: admitted ? tokens - 1 : tokens, at });
      // The first ones were not asked for longest: after a second each is full again.
      for (const [other, { at: last }] of buckets) {
        if (at - last < 1_000 && buckets.size <= maxRemembered) break;
        buckets.delete(other);
      }
      return admitted;
    },
    size: () => buckets.size,
  };
}

/**
 * What counts as one address: a whole IPv4 address, the first 64 bits of an IPv6 address (one
 * subscriber has them all).
 * @param remoteAddr a multiaddr. @returns null for this machine, and for connections through a relay
 * or WebRTC, whose address says nothing of the peer.
 */
export function addressGroup(remoteAddr: string): string | null {
  if (remoteAddr.includes('/p2p-circuit') || remoteAddr.startsWith('/webrtc')) return null;
  const [, version, host = ''] = /^\/ip([46])\/([^/]+)/.exec(remoteAddr) ?? [];
  if (version === '4') return hostGroup(host);
  return version === '6' ? hostGroup(host) : null;
}

/** The same for the bare host of a datagram. */
export function hostGroup(host: string): string | null {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1];
  if (mapped !== undefined) return hostGroup(mapped);
  if (!host.includes(':')) return host.startsWith('127.') ? null : host;
  if (host === '::1') return null;
  const [before = '', after] = (host.split('%')[0] ?? '').toLowerCase().split('::');
  const parts = before === '' ? [] : before.split(':');
  const rest = after === undefined || after === '' ? [] : after.split(':');
  const zeros = after === undefined ? 0 : Math.max(0, 8 - parts.length - rest.length);
  const all = [...parts, ...Array<string>(zeros).fill('0'), ...rest];
  return `${all
    .slice(0, 4)
    .map((part) => part.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
