/** An adult: keeps chunks and pointer records for the elders of its section, and signs for them. */
import { nameToId } from '#address/xor-name.ts';
import type { Refusal } from '#core/refusal.ts';
import { decodePointer, pointerAddress, verifyPointer } from '#data/pointer.ts';
import { receiptBytes, storedChunk, storedPointer } from '#data/receipt.ts';
import {
  decodeNodeRequest,
  encodeNodeReply,
  type NodeReply,
  type NodeRequest,
} from '#roles/wire/node.ts';
import type { ChunkStore } from '#storage/node/chunks.ts';
import type { FactStore } from '#storage/node/facts.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** Only for end-to-end tests (README): `off` gives no answer, `lie` returns altered bytes. */
export type AdultMode = 'ok' | 'off' | 'lie';

export interface AdultOptions {
  readonly label: string;
  readonly networkId: Uint8Array;
  readonly sign: (message: Uint8Array) => Uint8Array;
  readonly chunks: ChunkStore;
  readonly facts: FactStore;
  readonly isElder: (name: Uint8Array) => boolean;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface AdultService {
  /** Answers one request of the data protocol; rejects only in mode `off`. */
  readonly handle: (request: Uint8Array, from: Uint8Array | null) => Promise<Uint8Array>;
  readonly setMode: (mode: AdultMode) => void;
}

/** What a record may add around 64 KiB of evidence: larger ones are read again by the client. */
const maxEvidenceBytes = 64 * 1024;

export function createAdultService(options: AdultOptions): AdultService {
  const { networkId, sign, chunks, facts, metrics, log } = options;
  let mode: AdultMode = 'ok';

  const answer = async (request: NodeRequest): Promise<NodeReply> => {
    switch (request.kind) {
      case 'storeChunk': {
        const stored = await chunks.put(request.name, request.bytes);
        if (stored.ok) return receiptFor(receiptBytes(networkId, storedChunk(request.name)));
        if (stored.error === 'altered') return refused({ kind: 'malformed', what: 'name' });
        log.write({ event: 'storeFailed', node: options.label, error: stored.error });
        return refused({ kind: 'full' });
      }
      case 'fetchChunk': {
        const found = await chunks.get(request.name);
        if (found.ok)
          return { kind: 'chunk', bytes: mode === 'lie' ? altered(found.value) : found.value };
        if (found.error === 'broken') log.write({ event: 'readFailed', node: options.label });
        return refused({ kind: 'notFound' });
      }
      case 'storePointer': {
        const decoded = decodePointer(request.record);
        if (!decoded.ok) return refused({ kind: 'malformed', what: 'pointer' });
        const record = decoded.value;
        if (!verifyPointer(networkId, record))
          return refused({ kind: 'notAllowed', rule: 'owner' });
        const address = nameToId(pointerAddress(networkId, record.owner));
        const stored = await facts.putPointer(address, record.version, request.record);
        if (stored.ok) return receiptFor(receiptBytes(networkId, storedPointer(networkId, record)));
        const { kept } = stored.error;
        const evidence = kept.length <= maxEvidenceBytes ? kept : new Uint8Array();
        return refused({ kind: 'conflict', evidence });
      }
      case 'fetchPointer': {
        const record = await facts.getPointer(nameToId(request.address));
        if (record === null) return refused({ kind: 'notFound' });
        return { kind: 'pointer', record: mode === 'lie' ? altered(record) : record };
      }
      case 'deliver':
      case 'greet':
        return refused({ kind: 'notAllowed', rule: 'sectionProtocol' });
    }
  };

  const receiptFor = (bytes: Uint8Array): NodeReply => ({
    kind: 'receipt',
    signature: sign(bytes),
  });

  return {
    handle: async (bytes, from) => {
      if (mode === 'off') throw new Error('switched off for a test');
      const request = decodeNodeRequest(bytes);
      if (!request.ok) return encodeNodeReply(refused({ kind: 'malformed', what: 'request' }));
      metrics.count('safe_adult_requests_total', request.value.kind);
      if (from === null || !options.isElder(from)) {
        return encodeNodeReply(refused({ kind: 'notAllowed', rule: 'eldersOnly' }));
      }
      try {
        return encodeNodeReply(await answer(request.value));
      } catch (error) {
        log.write({
          event: 'adultFailed',
          node: options.label,
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

const refused = (refusal: Refusal): NodeReply => ({ kind: 'refused', refusal });

function altered(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const middle = copy.length >> 1;
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}
