/**
 * Limits peers before their requests are read: connections, bytes of incomplete requests and replies, and
 * invalid requests. Peer ids are free, so everything is also counted by connection address. Addresses of
 * this machine are not counted: behind the HTTP front, or in a local network, all peers share one.
 */
import { setNewest } from '#core/bounded-collections.ts';
import { createHeldBytes, type InboundPeer, type HeldBytes } from './held-bytes.ts';

export type { InboundPeer };

export interface InboundLimits {
  readonly open: HeldBytes['open'];
  /** It sent bytes that none of our programs sends. @returns true when it must be disconnected now. */
  readonly strike: (caller: InboundPeer) => boolean;
  /** Members are banned only for their own bytes, non-members also for others of their address. */
  readonly isBanned: (caller: InboundPeer) => boolean;
  /**
   * A new connection from this address. @returns false when it has too many, or too many per second.
   * @param hasMember Is a member connected from there? Peers are not identified before the key agreement,
   * so an address with members has a small reserve, which {@link mayStay} takes back.
   */
  readonly connect: (address: string | null, hasMember?: () => boolean) => boolean;
  /** After the key agreement: only members may stay from an address that is banned or full. */
  readonly mayStay: (caller: InboundPeer) => boolean;
  readonly disconnected: (address: string | null) => void;
  readonly heldBytes: () => number;
}

/** Enough for a household, an office, a cloud machine with many nodes. */
export const maxConnectionsPerAddress = 256;
/** New connections of one address per second: each costs a key agreement. */
export const maxConnectsPerSecond = 32;
/** Reserve of an address that members are known to use: connections, and new ones per second. */
export const maxReservedConnections = 16;
export const maxReservedConnectsPerSecond = 4;
/** Invalid requests in {@link strikeWindowMs} after which a peer, or an address, is banned. */
export const maxInvalidPerPeer = 16;
export const maxInvalidPerAddress = 64;
/**
 * Streams of non-members ended in {@link strikeWindowMs} because others hold too much. Our programs open at
 * most about forty, and one address may be an office.
 */
export const maxRefusedPerPeer = 256;
export const maxRefusedPerAddress = 4_096;
export const strikeWindowMs = 60_000;
export const banMs = 60_000;
/** Peers and addresses counted for invalid requests, and addresses of members; the oldest is evicted. */
const maxRemembered = 4_096;

export function createInboundLimits(now: () => number = () => performance.now()): InboundLimits {
  const invalid = createCounts(strikeWindowMs, now);
  const refusals = createCounts(strikeWindowMs, now);
  const bans = new Map<string, number>();
  const connections = new Map<string, number>();
  const buckets = createBuckets(maxConnectsPerSecond, now);
  const reserve = createBuckets(maxReservedConnectsPerSecond, now);
  const withMembers = new Map<string, true>();
  const recordMember = ({ address, isMember }: InboundPeer): void => {
    if (address === null || !isMember()) return;
    setNewest(withMembers, address, true, maxRemembered);
  };

  /** @returns true when this count reaches the limit and bans the id. */
  const recordStrike = (counts: Counts, id: string, max: number): boolean => {
    if (counts.add(id) < max) return false;
    counts.forget(id);
    setNewest(bans, id, now() + banMs, maxRemembered);
    return true;
  };
  const isBannedId = (id: string): boolean => (bans.get(id) ?? -Infinity) > now();

  const isBanned = ({ peerId, address, isMember }: InboundPeer): boolean =>
    isBannedId(`peer ${peerId}`) ||
    (address !== null && isBannedId(`address ${address}`) && !isMember());

  const held = createHeldBytes(now, ({ peerId, address }) => {
    recordStrike(refusals, `peer ${peerId}`, maxRefusedPerPeer);
    if (address !== null) recordStrike(refusals, `address ${address}`, maxRefusedPerAddress);
  });

  return {
    open: (caller, end) => {
      recordMember(caller);
      return held.open(caller, end);
    },
    strike: ({ peerId, address, isMember }) => {
      const peer = recordStrike(invalid, `peer ${peerId}`, maxInvalidPerPeer);
      // Member names are not free, so a member's strikes count for itself only.
      if (address === null || isMember()) return peer;
      return recordStrike(invalid, `address ${address}`, maxInvalidPerAddress) || peer;
    },
    isBanned,
    connect: (address, hasMember = () => false) => {
      if (address === null) return true;
      const open = connections.get(address) ?? 0;
      const isFree =
        !isBannedId(`address ${address}`) &&
        open < maxConnectionsPerAddress &&
        buckets.take(address);
      const isReserved = (): boolean =>
        open < maxConnectionsPerAddress + maxReservedConnections &&
        (withMembers.has(address) || hasMember()) &&
        reserve.take(address);
      if (!isFree && !isReserved()) return false;
      connections.set(address, open + 1);
      return true;
    },
    mayStay: (caller) => {
      recordMember(caller);
      const { address, isMember } = caller;
      const open = address === null ? 0 : (connections.get(address) ?? 0);
      return !isBanned(caller) && (open <= maxConnectionsPerAddress || isMember());
    },
    disconnected: (address) => {
      if (address === null) return;
      const left = (connections.get(address) ?? 1) - 1;
      if (left > 0) connections.set(address, left);
      else connections.delete(address);
    },
    heldBytes: held.total,
  };
}

interface Counts {
  /** @returns the count in the current window of this id. */
  readonly add: (id: string) => number;
  readonly forget: (id: string) => void;
}

/** A window opens with the first count, and again with the first count after its end. */
function createCounts(windowMs: number, now: () => number): Counts {
  const counts = new Map<string, { readonly since: number; count: number }>();
  return {
    add: (id) => {
      const at = now();
      const known = counts.get(id);
      const entry =
        known !== undefined && at - known.since < windowMs ? known : { since: at, count: 0 };
      entry.count += 1;
      setNewest(counts, id, entry, maxRemembered);
      return entry.count;
    },
    forget: (id) => void counts.delete(id),
  };
}

/** One token bucket per name, initially full; full buckets are evicted. */
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
      // The first entries were used longest ago: after one second each is full again.
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
 * Groups remote addresses: a whole IPv4 address, or the first 64 bits of an IPv6 address (one subscriber
 * has them all).
 * @param remoteAddr a multiaddr. @returns null for this machine, and for connections through a relay or
 * WebRTC, whose address does not identify the peer.
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
