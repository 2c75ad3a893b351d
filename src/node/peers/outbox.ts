/**
 * Sends a machine's messages (the section's or replication's) to other nodes: one bounded queue per
 * peer. Messages that do not fit or arrive are lost; the machine's own gossip requests them again.
 */
import { nameToId } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { NodeHost } from '#network/node-host.ts';
import {
  decodeNodeReply,
  encodeNodeRequest,
  maxSectionMessageBytes,
} from '#roles/wire/node-requests.ts';
import type { AddressBook } from './address-book.ts';
import type { Metrics } from '../monitoring/metrics.ts';

export interface Outbox {
  readonly send: (to: NodeId, message: Uint8Array, kind: string) => void;
  /** An unreachable peer has just sent a message: try again immediately. */
  readonly markReachable: (from: Uint8Array) => void;
  readonly stop: () => void;
}

/** Waiting messages for one peer; the oldest is dropped for the newest. */
const maxWaitingPerPeer = 128;
const maxWaitingBytesPerPeer = 4 * 1024 * 1024;
const concurrentPerPeer = 4;
const timeoutMs = 10_000;
/** Peers without queued messages that are remembered for their failures; the oldest is evicted. */
const maxBackingOff = 256;
/** The backoff after a failure, doubled each time. */
const firstBackoffMs = 250;
const longestBackoffMs = 5_000;
/** A busy peer gets the same message again this many times, and then counts as failed. */
const maxBusyInARow = 8;

/** @returns null when the message was accepted or finally refused. */
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
  const peers = new PeerQueues();
  let stopped = false;
  metrics.gauge(`safe_${stream}_outbox_waiting`, () => peers.waiting());
  metrics.gauge(`safe_${stream}_outbox_peers`, () => peers.count());

  const drop = (reason: 'tooLarge' | 'full' | 'backoff', messages = 1): void => {
    if (messages > 0) metrics.count('safe_outbox_dropped_total', reason, messages);
  };

  // Not async up to the request: an error of our own must reach the sender.
  const deliver = (to: NodeId, peer: PeerQueue, message: Uint8Array): void => {
    const request = encodeNodeRequest({ kind: 'deliver', protocol, message });
    const where = { name: peer.name, addresses: book.addressesOf(peer.name) };
    const answered = host.request(where, stream, tag, request, { timeoutMs });
    peer.running += 1;
    void answered.then((answer) => onAnswer(to, peer, message, answer));
  };

  const onAnswer = (
    to: NodeId,
    peer: PeerQueue,
    message: Uint8Array,
    answer: Awaited<ReturnType<NodeHost['request']>>,
  ): void => {
    peer.running -= 1;
    const afterMs = answer.ok ? busyForMs(answer.value) : null;
    if (afterMs !== null && peer.busyInARow < maxBusyInARow) {
      if (!peer.requeue(message)) drop('full');
      return peer.pause(afterMs, () => pump(to, peer));
    }
    if (answer.ok && afterMs === null) peer.onAccepted();
    else {
      metrics.count('safe_outbox_failed_total', answer.ok ? 'busy' : answer.error.kind);
      peer.onFailed();
    }
    pump(to, peer);
  };

  const pump = (to: NodeId, peer: PeerQueue): void => {
    while (!stopped && !peer.isPausing && peer.running < concurrentPerPeer) {
      const message = peer.take();
      if (message === undefined) {
        if (peer.running === 0) peers.retire(to, peer);
        return;
      }
      if (peer.isBackingOff()) drop('backoff');
      else deliver(to, peer, message);
    }
  };

  return {
    send: (to, message, kind) => {
      const peer = peers.of(to);
      if (peer === undefined || message.length > maxSectionMessageBytes) return drop('tooLarge');
      metrics.count('safe_messages_out_total', kind);
      metrics.count('safe_bytes_out_total', kind, message.length);
      drop('full', peer.add(message));
      pump(to, peer);
    },
    markReachable: (from) => peers.known(nameToId(from))?.endBackoff(),
    stop: () => {
      stopped = true;
      peers.clear();
    },
  };
}

/** The queues by peer. Unreachable peers are last, in order of failure; names are free. */
class PeerQueues {
  readonly #byPeer = new Map<NodeId, PeerQueue>();

  /** @returns undefined when no peer has this id. */
  of(to: NodeId): PeerQueue | undefined {
    const known = this.#byPeer.get(to);
    if (known !== undefined) return known;
    const name = fromHex(to);
    if (!name.ok || name.value.length !== 32) return undefined;
    const queue = new PeerQueue(name.value);
    this.#byPeer.set(to, queue);
    return queue;
  }

  known(to: NodeId): PeerQueue | undefined {
    return this.#byPeer.get(to);
  }

  /** The queue is empty and nothing is sent: it is kept only for its failures. */
  retire(to: NodeId, queue: PeerQueue): void {
    this.#byPeer.delete(to);
    if (queue.failures === 0) return;
    this.#byPeer.set(to, queue);
    const backingOff = [...this.#byPeer].filter(([, each]) => each.running + each.size() === 0);
    for (const [id] of backingOff.slice(0, Math.max(0, backingOff.length - maxBackingOff)))
      this.#byPeer.delete(id);
  }

  waiting(): number {
    return [...this.#byPeer.values()].reduce((sum, queue) => sum + queue.size(), 0);
  }

  count(): number {
    return this.#byPeer.size;
  }

  clear(): void {
    this.#byPeer.clear();
  }
}

/** The messages waiting for one peer, and how it answered the last ones. */
class PeerQueue {
  readonly name: Uint8Array;
  running = 0;
  failures = 0;
  busyInARow = 0;
  /** A timer is running after an answer "busy". */
  isPausing = false;
  readonly #waiting: Uint8Array[] = [];
  #bytes = 0;
  #backoffUntil = 0;

  constructor(name: Uint8Array) {
    this.name = name;
  }

  size(): number {
    return this.#waiting.length;
  }

  /** @returns the number of older messages dropped for it. */
  add(message: Uint8Array): number {
    this.#waiting.push(message);
    this.#bytes += message.length;
    let dropped = 0;
    while (
      this.size() > maxWaitingPerPeer ||
      (this.#bytes > maxWaitingBytesPerPeer && this.size() > 1)
    ) {
      this.take();
      dropped += 1;
    }
    return dropped;
  }

  take(): Uint8Array | undefined {
    const message = this.#waiting.shift();
    this.#bytes -= message?.length ?? 0;
    return message;
  }

  /** Puts a message back at the front. @returns false when there is no room. */
  requeue(message: Uint8Array): boolean {
    if (this.size() >= maxWaitingPerPeer) return false;
    this.#waiting.unshift(message);
    this.#bytes += message.length;
    return true;
  }

  pause(afterMs: number, onOver: () => void): void {
    if (this.isPausing) return;
    this.busyInARow += 1;
    this.isPausing = true;
    const end = (): void => {
      this.isPausing = false;
      onOver();
    };
    setTimeout(end, Math.min(afterMs, longestBackoffMs)).unref();
  }

  onAccepted(): void {
    this.busyInARow = 0;
    this.endBackoff();
  }

  onFailed(): void {
    const backoffMs = Math.min(longestBackoffMs, firstBackoffMs * 2 ** this.failures);
    this.failures = Math.min(this.failures + 1, 10);
    this.#backoffUntil = Date.now() + backoffMs;
  }

  isBackingOff(): boolean {
    return Date.now() < this.#backoffUntil;
  }

  endBackoff(): void {
    this.failures = 0;
    this.#backoffUntil = 0;
  }
}
