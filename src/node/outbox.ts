/**
 * Messages of a machine (the section's, or replication's) on their way to other nodes: one bounded queue per peer. What
 * does not fit or arrive is lost; the machine's own gossip asks for it again.
 */
import { nameToId } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { NodeHost } from '#network/node-host.ts';
import { decodeNodeReply, encodeNodeRequest, maxSectionMessageBytes } from '#roles/wire/node.ts';
import type { AddressBook } from './address-book.ts';
import type { Metrics } from './metrics.ts';

export interface Outbox {
  readonly send: (to: NodeId, message: Uint8Array, kind: string) => void;
  /** Somebody we could not reach has just been heard: try again at once. */
  readonly heard: (from: Uint8Array) => void;
  readonly stop: () => void;
}

/** Waiting messages for one peer; the oldest gives way to the newest. */
const maxWaitingPerPeer = 128;
const maxWaitingBytesPerPeer = 4 * 1024 * 1024;
const atOnce = 4;
const timeoutMs = 10_000;
/** Peers without a message under way that are remembered for their failures; the oldest is forgotten. */
const maxResting = 256;
/** After a failure nothing is tried for this long, doubled each time. */
const firstRestMs = 250;
const longestRestMs = 5_000;
/** A peer that is busy is asked again so often, with the same message, and then counts as one that fails. */
const maxBusyInARow = 8;

interface Peer {
  readonly name: Uint8Array;
  waiting: Uint8Array[];
  bytes: number;
  running: number;
  failures: number;
  restUntil: number;
  /** Answers "busy" in a row; a timer is running while `pausing`. */
  busy: number;
  pausing: boolean;
}

/** @returns null when the message was taken, or refused for good. */
function busyForMs(answer: Uint8Array): number | null {
  const reply = decodeNodeReply(answer);
  const refusal = reply.ok && reply.value.kind === 'refused' ? reply.value.refusal : null;
  return refusal?.kind === 'busy' ? refusal.afterMs : null;
}

export function createOutbox(
  host: NodeHost,
  book: AddressBook,
  tag: string,
  metrics: Metrics,
  protocol: 'section' | 'replication' = 'section',
): Outbox {
  const stream = protocol === 'section' ? 'section' : 'data';
  const peers = new Map<NodeId, Peer>();
  let stopped = false;
  metrics.gauge(`safe_${stream}_outbox_waiting`, () =>
    [...peers.values()].reduce((sum, { waiting }) => sum + waiting.length, 0),
  );

  metrics.gauge(`safe_${stream}_outbox_peers`, () => peers.size);

  const peerOf = (to: NodeId): Peer | undefined => {
    const known = peers.get(to);
    if (known !== undefined) return known;
    const name = fromHex(to);
    if (!name.ok || name.value.length !== 32) return undefined;
    const peer: Peer = {
      name: name.value,
      waiting: [],
      bytes: 0,
      running: 0,
      failures: 0,
      restUntil: 0,
      busy: 0,
      pausing: false,
    };
    peers.set(to, peer);
    return peer;
  };

  const rest = (to: NodeId, peer: Peer): void => {
    peers.set(to, peer);
    const resting = [...peers].filter(([, { running, waiting }]) => running + waiting.length === 0);
    for (const [id] of resting.slice(0, Math.max(0, resting.length - maxResting))) peers.delete(id);
  };

  /** Back to where it came from, as far as there is room. */
  const keep = (peer: Peer, message: Uint8Array): void => {
    if (peer.waiting.length >= maxWaitingPerPeer) {
      metrics.count('safe_outbox_dropped_total', 'full');
      return;
    }
    peer.waiting.unshift(message);
    peer.bytes += message.length;
  };

  const pause = (to: NodeId, peer: Peer, afterMs: number): void => {
    if (peer.pausing) return;
    peer.busy += 1;
    peer.pausing = true;
    setTimeout(
      () => {
        peer.pausing = false;
        pump(to, peer);
      },
      Math.min(afterMs, longestRestMs),
    ).unref();
  };

  const pump = (to: NodeId, peer: Peer): void => {
    while (!stopped && !peer.pausing && peer.running < atOnce) {
      const message = peer.waiting.shift();
      if (message === undefined) {
        if (peer.running > 0) return;
        peers.delete(to);
        // Unreachable peers come last in the map, by when they failed; names cost nothing.
        if (peer.failures > 0) rest(to, peer);
        return;
      }
      peer.bytes -= message.length;
      if (Date.now() < peer.restUntil) {
        metrics.count('safe_outbox_dropped_total', 'resting');
        continue;
      }
      peer.running += 1;
      const request = encodeNodeRequest({ kind: 'deliver', protocol, message });
      const where = { name: peer.name, addresses: book.addressesOf(peer.name) };
      void host.request(where, stream, tag, request, { timeoutMs }).then((answer) => {
        peer.running -= 1;
        const afterMs = answer.ok ? busyForMs(answer.value) : null;
        if (afterMs !== null && peer.busy < maxBusyInARow) {
          keep(peer, message);
          pause(to, peer, afterMs);
          return;
        }
        if (answer.ok && afterMs === null) {
          peer.busy = 0;
          peer.failures = 0;
          peer.restUntil = 0;
        } else {
          metrics.count('safe_outbox_failed_total', answer.ok ? 'busy' : answer.error.kind);
          const restMs = Math.min(longestRestMs, firstRestMs * 2 ** peer.failures);
          peer.failures = Math.min(peer.failures + 1, 10);
          peer.restUntil = Date.now() + restMs;
        }
        pump(to, peer);
      });
    }
  };

  return {
    send: (to, message, kind) => {
      const peer = peerOf(to);
      if (peer === undefined || message.length > maxSectionMessageBytes) {
        metrics.count('safe_outbox_dropped_total', 'unfit');
        return;
      }
      metrics.count('safe_messages_out_total', kind);
      metrics.count('safe_bytes_out_total', kind, message.length);
      peer.waiting.push(message);
      peer.bytes += message.length;
      while (
        peer.waiting.length > maxWaitingPerPeer ||
        (peer.bytes > maxWaitingBytesPerPeer && peer.waiting.length > 1)
      ) {
        peer.bytes -= peer.waiting.shift()?.length ?? 0;
        metrics.count('safe_outbox_dropped_total', 'full');
      }
      pump(to, peer);
    },
    heard: (from) => {
      const peer = peers.get(nameToId(from));
      if (peer === undefined) return;
      peer.failures = 0;
      peer.restUntil = 0;
    },
    stop: () => {
      stopped = true;
      peers.clear();
    },
  };
}
