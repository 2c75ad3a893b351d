/**
 * An adult: keeps chunks and pointer records for the elders of its section, and signs for them.
 * To other adults it gives what the sealed state makes them keep, and takes their replication
 * messages (protocol/replication).
 */
import { nameToId } from '#address/xor-name.ts';
import type { Refusal } from '#core/refusal.ts';
import { decodePointer, pointerAddress, verifyPointer } from '#data/pointer.ts';
import {
  judgeStamp,
  receiptBytes,
  storedChunk,
  storedPointer,
  type ReceiptStamp,
  type StoredThing,
} from '#data/receipt.ts';
import {
  decodeNodeRequest,
  encodeNodeReply,
  type NodeReply,
  type NodeRequest,
} from '#roles/wire/node.ts';
import type { Holdings } from './holdings.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { ReplicationService } from './replication-service.ts';

/** Only for end-to-end tests (README): `off` gives no answer, `lie` returns altered bytes. */
export type AdultMode = 'ok' | 'off' | 'lie';

export interface AdultOptions {
  readonly label: string;
  readonly networkId: Uint8Array;
  readonly sign: (message: Uint8Array) => Uint8Array;
  readonly holdings: Holdings;
  readonly replication: Pick<
    ReplicationService,
    'stamp' | 'store' | 'mayHandOver' | 'lost' | 'receive'
  >;
  readonly isElder: (name: Uint8Array) => boolean;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface AdultService {
  /**
   * Answers one request of the data protocol; rejects only in mode `off`.
   * @param invalid called when no program of ours would have sent these bytes.
   */
  readonly handle: (
    request: Uint8Array,
    from: Uint8Array | null,
    invalid?: () => void,
  ) => Promise<Uint8Array>;
  readonly setMode: (mode: AdultMode) => void;
}

/** The section's next word brings one of us to the other's state. */
const otherStateForMs = 500;

export function createAdultService(options: AdultOptions): AdultService {
  const { label, networkId, sign, holdings, replication, metrics, log } = options;
  let mode: AdultMode = 'ok';

  const store = async (
    request: Extract<NodeRequest, { kind: 'storeChunk' | 'storePointer' }>,
  ): Promise<NodeReply> => {
    const { stamp } = request;
    if (!isCurrent(replication.stamp(), stamp)) return otherState;
    if (request.kind === 'storeChunk') {
      const { name, bytes } = request;
      const stored = await replication.store({ kind: 'chunk', name }, () =>
        holdings.putChunk(name, bytes),
      );
      if (stored.ok) return receiptFor(stamp, storedChunk(name));
      if (stored.error === 'altered') return refused({ kind: 'malformed', what: 'name' });
      log.write({ event: 'storeFailed', node: label, error: stored.error });
      return refused({ kind: 'full' });
    }
    const decoded = decodePointer(request.record);
    if (!decoded.ok) return refused({ kind: 'malformed', what: 'pointer' });
    const record = decoded.value;
    if (!verifyPointer(networkId, record)) return refused({ kind: 'notAllowed', rule: 'owner' });
    const name = pointerAddress(networkId, record.owner);
    const stored = await replication.store({ kind: 'pointer', name }, () =>
      holdings.putPointer(name, record.version, request.record),
    );
    if (stored.ok) return receiptFor(stamp, storedPointer(networkId, record));
    if (stored.error.kind === 'full') return refused({ kind: 'full' });
    // Any record fits: nobody believes a conflict without the record that was there before.
    return refused({ kind: 'conflict', evidence: stored.error.kept });
  };

  const fetch = async (
    request: Extract<NodeRequest, { kind: 'fetchChunk' | 'fetchPointer' }>,
    from: Uint8Array,
  ): Promise<NodeReply> => {
    const isChunk = request.kind === 'fetchChunk';
    const kept = isChunk
      ? ({ kind: 'chunk', name: request.name } as const)
      : ({ kind: 'pointer', name: request.address } as const);
    // N42: who the sealed state makes a holder has its ticket in that state, whatever its stamp.
    const isHolder = replication.mayHandOver(nameToId(from), kept.name);
    const isElder = options.isElder(from);
    if (!isElder && !isHolder) return refused({ kind: 'notAllowed', rule: 'eldersOnly' });
    const current = isHolder || isCurrent(replication.stamp(), request.stamp);
    // Whoever chose its holders by an old state may look for the newest version in a wrong place.
    if (!isChunk && !current) return otherState;
    const bytes = await holdings.read(kept);
    if (bytes === null) {
      replication.lost(kept);
      return current ? refused({ kind: 'notFound' }) : otherState;
    }
    const given = mode === 'lie' ? altered(bytes) : bytes;
    return isChunk ? { kind: 'chunk', bytes: given } : { kind: 'pointer', record: given };
  };

  const answer = async (request: NodeRequest, from: Uint8Array): Promise<NodeReply> => {
    switch (request.kind) {
      case 'storeChunk':
      case 'storePointer':
        if (!options.isElder(from)) return refused({ kind: 'notAllowed', rule: 'eldersOnly' });
        return store(request);
      case 'fetchChunk':
      case 'fetchPointer':
        return fetch(request, from);
      case 'deliver': {
        if (request.protocol !== 'replication') return notOurs(from);
        const taken = await replication.receive(nameToId(from), request.message);
        return taken ? { kind: 'taken' } : refused({ kind: 'malformed', what: 'message' });
      }
      case 'greet':
        return notOurs(from);
    }
  };

  const notOurs = (from: Uint8Array): NodeReply =>
    refused({
      kind: 'notAllowed',
      rule: options.isElder(from) ? 'sectionProtocol' : 'eldersOnly',
    });

  const receiptFor = (stamp: ReceiptStamp, thing: StoredThing): NodeReply => ({
    kind: 'receipt',
    signature: sign(receiptBytes(networkId, stamp, thing)),
  });

  return {
    handle: async (bytes, from, invalid) => {
      if (mode === 'off') throw new Error('switched off for a test');
      const request = decodeNodeRequest(bytes);
      if (!request.ok) {
        invalid?.();
        return encodeNodeReply(refused({ kind: 'malformed', what: 'request' }));
      }
      metrics.count('safe_adult_requests_total', request.value.kind);
      if (from === null)
        return encodeNodeReply(refused({ kind: 'notAllowed', rule: 'eldersOnly' }));
      try {
        const reply = await answer(request.value, from);
        // Inside a request, too: elders look at names and records before they pass them on.
        if (reply.kind === 'refused' && reply.refusal.kind === 'malformed') invalid?.();
        return encodeNodeReply(reply);
      } catch (error) {
        log.write({
          event: 'adultFailed',
          node: label,
          kind: request.value.kind,
          error: String(error),
        });
        return encodeNodeReply(refused({ kind: 'full' }));
      }
    },
    setMode: (next) => {
      mode = next;
    },
  };
}

/**
 * N41: made by our state or a newer one of the same key. A newer one has the same elders, and a
 * receipt under it is worth nothing if we are no member there.
 */
function isCurrent(own: ReceiptStamp | null, theirs: ReceiptStamp): boolean {
  if (own === null) return false;
  const verdict = judgeStamp(own, theirs);
  return verdict === 'same' || verdict === 'newer';
}

const refused = (refusal: Refusal): NodeReply => ({ kind: 'refused', refusal });
const otherState = refused({ kind: 'busy', afterMs: otherStateForMs });

function altered(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const middle = copy.length >> 1;
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}
