/** How one node reaches others: a queue per protocol between nodes, and single requests. */
import type { Result } from '#core/result.ts';
import type { NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { AddressBook } from './address-book.ts';
import { createOutbox, type Outbox } from './outbox.ts';

/** Sends one request of a protocol to a node; resolves within its own time limit. */
export type RequestPeer = (
  to: Uint8Array,
  request: Uint8Array,
) => Promise<Result<Uint8Array, unknown>>;

export interface NodeLinks {
  readonly tag: string;
  readonly section: Outbox;
  readonly replication: Outbox;
  readonly request: (
    to: Uint8Array,
    protocol: 'data' | 'client',
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  readonly stop: () => void;
}

/** An adult answers from its disk; an unresponsive one must not use up a client's own deadline. */
const adultTimeoutMs = 6_000;

export function createNodeLinks(
  host: NodeHost,
  book: AddressBook,
  networkId: Uint8Array,
  metrics: Metrics,
): NodeLinks {
  const tag = networkTag(networkId);
  const section = createOutbox(host, book, tag, metrics);
  const replication = createOutbox(host, book, tag, metrics, 'replication');
  return {
    tag,
    section,
    replication,
    request: (name, protocol, request) =>
      host.request({ name, addresses: book.addressesOf(name) }, protocol, tag, request, {
        timeoutMs: adultTimeoutMs,
      }),
    stop: () => {
      section.stop();
      replication.stop();
    },
  };
}
