/**
 * What strangers may take of a node before their requests are even read: connections, bytes that
 * wait to become a request or an answer, and patience with invalid requests. Peer ids cost nothing,
 * so everything is counted by connection address too. Addresses of this machine are not counted:
 * behind the HTTP front, or in a local network, all peers come from one.
 */
import { setNewest } from '#core/bounded.ts';
import { createHeldBytes, type Caller, type HeldBytes } from './held-bytes.ts';

export type { Caller };

export interface Inbound {
  readonly open: HeldBytes['open'];
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
/**
 * Streams of strangers that were ended in {@link strikeWindowMs} because others hold too much. A
 * program of ours opens no more than some forty, and an address may be an office's.
 */
export const maxRefusedPerPeer = 256;
export const maxRefusedPerAddress = 4_096;
export const strikeWindowMs = 60_000;
export const cutOffMs = 60_000;
/** Peers and addresses remembered for their invalid requests, and addresses for their members; the longest remembered is forgotten. */
const maxRemembered = 4_096;

export function createInbound(now: () => number = () => performance.now()): Inbound {
  const invalid = createCounts(strikeWindowMs, now);
  const refusals = createCounts(strikeWindowMs, now);
  const cutOff = new Map<string, number>();
  const connections = new Map<string, number>();
  const buckets = createBuckets(maxConnectsPerSecond, now);
  const reserve = createBuckets(maxReservedConnectsPerSecond, now);
  const withMembers = new Map<string, true>();
  const noteMember = ({ address, isKnown }: Caller): void => {
    if (address === null || !isKnown()) return;
    setNewest(withMembers, address, true, maxRemembered);
  };

  /** @returns true when it has been counted so often that it is cut off. */
  const note = (counts: Counts, id: string, max: number): boolean => {
    if (counts.add(id) < max) return false;
    counts.forget(id);
    setNewest(cutOff, id, now() + cutOffMs, maxRemembered);
    return true;
  };
  const isOut = (id: string): boolean => (cutOff.get(id) ?? -Infinity) > now();

  const isCutOff = ({ peerId, address, isKnown }: Caller): boolean =>
    isOut(`peer ${peerId}`) || (address !== null && isOut(`address ${address}`) && !isKnown());

  const held = createHeldBytes(now, ({ peerId, address }) => {
    note(refusals, `peer ${peerId}`, maxRefusedPerPeer);
    if (address !== null) note(refusals, `address ${address}`, maxRefusedPerAddress);
  });

  return {
    open: (caller, end) => {
      noteMember(caller);
      return held.open(caller, end);
    },
    strike: ({ peerId, address, isKnown }) => {
      const peer = note(invalid, `peer ${peerId}`, maxInvalidPerPeer);
      // A member's name is not free: it answers for itself.
      if (address === null || isKnown()) return peer;
      return note(invalid, `address ${address}`, maxInvalidPerAddress) || peer;
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
    heldBytes: held.total,
  };
}

interface Counts {
  /** @returns how often it was added in the window that is open for it. */
  readonly add: (id: string) => number;
  readonly forget: (id: string) => void;
}

/** A window opens with the first count, and with the first one after its end. */
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
