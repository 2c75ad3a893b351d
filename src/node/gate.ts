/** Performs what `roles/load.ts` decides: lets requests in, makes them wait, or sends them away. */
import type { Refusal } from '#core/refusal.ts';
import { err, ok, type Result } from '#core/result.ts';
import { admit, costOf, idleLoad, lanes, release, type Lane, type Load } from '#roles/load.ts';
import type { Metrics } from './metrics.ts';

export interface Gate {
  /** Runs `work` when it is its turn. Errors: `busy` with the time to come back and a credit. */
  readonly enter: <T>(
    lane: Lane,
    from: GateFrom,
    bytes: number,
    work: () => Promise<T>,
  ) => Promise<Result<T, Refusal & { readonly kind: 'busy' }>>;
}

export interface GateFrom {
  readonly peerId: string;
  /** See `addressGroup` of network/inbound.ts; null where no address tells peers apart. */
  readonly address: string | null;
}

/** Twice the window of one stream: a peer with several streams gets no more than others. */
export const maxPerPeer = 32;
/** Peer ids cost nothing, addresses do: so many requests of one address are at work or wait, but for members'. */
export const maxPerAddress = 64;
/** A node that is no member asks to come in or for news: a few messages at once are enough, and
 * twice as many of one address. */
export const maxPerOutsider = 8;

/** One gate per node; several nodes of one process each have their own. */
export function createGate(metrics: Metrics, now: () => number = () => performance.now()): Gate {
  let load: Load = idleLoad;
  let tickets = 0;
  const begin = new Map<number, () => void>();
  const atWork: Readonly<Record<Lane, Map<string, number>>> = {
    system: new Map(),
    client: new Map(),
    outside: new Map(),
  };
  const atWorkByAddress: typeof atWork = {
    system: new Map(),
    client: new Map(),
    outside: new Map(),
  };
  const leave = (counts: Map<string, number>, id: string): void => {
    const left = (counts.get(id) ?? 1) - 1;
    if (left > 0) counts.set(id, left);
    else counts.delete(id);
  };
  for (const lane of lanes) {
    metrics.gauge(`safe_${lane}_waiting`, () => load[lane].waiting.length);
    metrics.gauge(`safe_${lane}_running`, () => load[lane].running);
  }

  return {
    enter: async (lane, { peerId, address }, bytes, work) => {
      const peers = atWork[lane];
      const addresses = atWorkByAddress[lane];
      const ofPeer = peers.get(peerId) ?? 0;
      // Members answer for themselves, not for other peers behind their address.
      const shared = lane === 'system' ? null : address;
      const ofAddress = shared === null ? 0 : (addresses.get(shared) ?? 0);
      const ticket = ++tickets;
      const most = lane === 'outside' ? maxPerOutsider : maxPerPeer;
      const mostOfAddress = lane === 'outside' ? 2 * maxPerOutsider : maxPerAddress;
      if (ofPeer >= most || ofAddress >= mostOfAddress) {
        metrics.count('safe_busy_total', lane);
        return err({ kind: 'busy', afterMs: 500, credit: most });
      }
      const request = { ticket, cost: costOf(bytes) };
      const [next, verdict] = admit(load, lane, request, peers.size + (ofPeer === 0 ? 1 : 0));
      load = next;
      if (verdict.kind === 'busy') {
        metrics.count('safe_busy_total', lane);
        return err(verdict);
      }
      peers.set(peerId, ofPeer + 1);
      if (shared !== null) addresses.set(shared, ofAddress + 1);
      if (verdict.kind === 'wait') await new Promise<void>((go) => begin.set(ticket, go));
      const startedMs = now();
      try {
        return ok(await work());
      } finally {
        leave(peers, peerId);
        if (shared !== null) leave(addresses, shared);
        const [after, starting] = release(load, lane, now() - startedMs);
        load = after;
        for (const each of starting) {
          begin.get(each)?.();
          begin.delete(each);
        }
      }
    },
  };
}
