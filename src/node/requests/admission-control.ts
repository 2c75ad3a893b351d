/**
 * Decides how many requests one peer or one address may have running and waiting (`maxPerPeer`,
 * `maxPerAddress`, `maxPerOutsider`). Of those admitted, `roles/request-lanes.ts` decides the turn:
 * this performs it, so it runs requests, queues them, or answers busy.
 */
import type { Refusal } from '#core/refusal.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  admitRequest,
  costOf,
  idleLoad,
  lanes,
  release,
  type Lane,
  type Load,
} from '#roles/request-lanes.ts';
import type { Metrics } from '../monitoring/metrics.ts';

export interface AdmissionControl {
  /** Runs `work` in its turn. Errors: `busy` with a delay and a credit. */
  readonly run: <T>(
    lane: Lane,
    from: RequestSource,
    bytes: number,
    work: () => Promise<T>,
  ) => Promise<Result<T, Refusal & { readonly kind: 'busy' }>>;
}

export interface RequestSource {
  readonly peerId: string;
  /** See `addressGroup` of network/limits/inbound-limits.ts; null if peers cannot be distinguished. */
  readonly address: string | null;
}

/** Twice the window of one stream: a peer with several streams gets no more than others. */
export const maxPerPeer = 32;
/** Peer ids are free, addresses are not: running and waiting requests per address, except members'. */
export const maxPerAddress = 64;
/** A node that is not a member sends a few messages to join or to look up states; twice as many are
 * accepted per address. */
export const maxPerOutsider = 8;

/** One per node; several nodes of one process have one each. */
export function createAdmissionControl(
  metrics: Metrics,
  now: () => number = () => performance.now(),
): AdmissionControl {
  let load: Load = idleLoad;
  let lastQueueNumber = 0;
  const starters = new Map<number, () => void>();
  const active: Readonly<Record<Lane, ActiveRequests>> = {
    system: new ActiveRequests(maxPerPeer, null),
    client: new ActiveRequests(maxPerPeer, maxPerAddress),
    outside: new ActiveRequests(maxPerOutsider, 2 * maxPerOutsider),
  };
  for (const lane of lanes) {
    metrics.gauge(`safe_${lane}_waiting`, () => load[lane].waiting.length);
    metrics.gauge(`safe_${lane}_running`, () => load[lane].running);
  }

  return {
    run: async (lane, source, bytes, work) => {
      const queueNumber = ++lastQueueNumber;
      const requests = active[lane];
      if (!requests.hasRoomFor(source)) {
        metrics.count('safe_rejected_busy_total', lane);
        return err({ kind: 'busy', afterMs: 500, credit: requests.maxOfPeer });
      }
      const request = { requestId: queueNumber, cost: costOf(bytes) };
      const [next, verdict] = admitRequest(load, lane, request, requests.peersWith(source));
      load = next;
      if (verdict.kind === 'busy') {
        metrics.count('safe_rejected_busy_total', lane);
        return err(verdict);
      }
      requests.add(source);
      if (verdict.kind === 'wait') await new Promise<void>((go) => starters.set(queueNumber, go));
      const startedMs = now();
      try {
        return ok(await work());
      } finally {
        requests.remove(source);
        const [after, starting] = release(load, lane, now() - startedMs);
        load = after;
        for (const each of starting) {
          starters.get(each)?.();
          starters.delete(each);
        }
      }
    },
  };
}

/** Running and waiting requests of one lane, per peer and per address. */
class ActiveRequests {
  readonly maxOfPeer: number;
  /** Null for members: they are limited only by themselves, not by other peers at their address. */
  readonly #maxOfAddress: number | null;
  readonly #byPeer = new Map<string, number>();
  readonly #byAddress = new Map<string, number>();

  constructor(maxOfPeer: number, maxOfAddress: number | null) {
    this.maxOfPeer = maxOfPeer;
    this.#maxOfAddress = maxOfAddress;
  }

  hasRoomFor({ peerId, address }: RequestSource): boolean {
    if ((this.#byPeer.get(peerId) ?? 0) >= this.maxOfPeer) return false;
    if (this.#maxOfAddress === null || address === null) return true;
    return (this.#byAddress.get(address) ?? 0) < this.#maxOfAddress;
  }

  /** The number of peers with requests, this one included. */
  peersWith({ peerId }: RequestSource): number {
    return this.#byPeer.size + (this.#byPeer.has(peerId) ? 0 : 1);
  }

  add({ peerId, address }: RequestSource): void {
    change(this.#byPeer, peerId, 1);
    if (this.#maxOfAddress !== null && address !== null) change(this.#byAddress, address, 1);
  }

  remove({ peerId, address }: RequestSource): void {
    change(this.#byPeer, peerId, -1);
    if (this.#maxOfAddress !== null && address !== null) change(this.#byAddress, address, -1);
  }
}

function change(counts: Map<string, number>, id: string, by: number): void {
  const left = (counts.get(id) ?? 0) + by;
  if (left > 0) counts.set(id, left);
  else counts.delete(id);
}
