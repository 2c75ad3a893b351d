/**
 * An adult: stores chunks and pointer records for the elders of its section, and signs receipts for
 * them. It gives other adults the copies that the sealed state assigns to them, and receives their
 * replication messages (protocol/replication).
 */
import { nameToId } from '#address/xor-name.ts';
import type { Refusal } from '#core/refusal.ts';
import { decodePointer, pointerAddress, verifyPointer } from '#data/pointer-record.ts';
import {
  checkStateRef,
  receiptBytes,
  storedChunk,
  storedPointer,
  type StateRef,
  type StoredItem,
} from '#data/storage-receipt.ts';
import {
  decodeNodeRequest,
  encodeNodeReply,
  type NodeReply,
  type NodeRequest,
} from '#roles/wire/node-requests.ts';
import type { Holdings } from './holdings.ts';
import type { Log } from '../monitoring/log.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { ReplicationService } from './replication-service.ts';

export interface AdultOptions {
  readonly label: string;
  readonly networkId: Uint8Array;
  readonly sign: (message: Uint8Array) => Uint8Array;
  readonly holdings: Holdings;
  readonly replication: Pick<
    ReplicationService,
    'stateRef' | 'store' | 'maySendCopy' | 'lost' | 'receive'
  >;
  readonly isElder: (name: Uint8Array) => boolean;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface AdultService {
  /**
   * Answers one request of the data protocol; never rejects.
   * @param invalid called for bytes that no program of ours sends.
   */
  readonly handle: (
    request: Uint8Array,
    from: Uint8Array | null,
    invalid?: () => void,
  ) => Promise<Uint8Array>;
}

/** By then a state update has reached the side that is behind. */
const stateMismatchRetryMs = 500;

export function createAdultService(options: AdultOptions): AdultService {
  const { label, metrics, log } = options;
  return {
    handle: async (bytes, from, invalid) => {
      const request = decodeNodeRequest(bytes);
      if (!request.ok) {
        invalid?.();
        return encodeNodeReply(refused({ kind: 'malformed', what: 'request' }));
      }
      metrics.count('safe_adult_requests_total', request.value.kind);
      if (from === null)
        return encodeNodeReply(refused({ kind: 'notAllowed', rule: 'eldersOnly' }));
      try {
        const reply = await answer(options, request.value, from);
        // Also for contents: elders check names and records before they forward them.
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
  };
}

function answer(
  options: AdultOptions,
  request: NodeRequest,
  from: Uint8Array,
): NodeReply | Promise<NodeReply> {
  const isElder = options.isElder(from);
  switch (request.kind) {
    case 'storeChunk':
    case 'storePointer':
      return isElder
        ? store(options, request)
        : refused({ kind: 'notAllowed', rule: 'eldersOnly' });
    case 'fetchChunk':
    case 'fetchPointer':
      return fetch(options, request, from);
    case 'deliver':
      return request.protocol === 'replication'
        ? receive(options, request.message, from)
        : notServedHere(isElder);
    case 'exchangeAddresses':
      return notServedHere(isElder);
  }
}

const notServedHere = (isElder: boolean): NodeReply =>
  refused({ kind: 'notAllowed', rule: isElder ? 'sectionProtocol' : 'eldersOnly' });

async function receive(
  { replication }: AdultOptions,
  message: Uint8Array,
  from: Uint8Array,
): Promise<NodeReply> {
  const accepted = await replication.receive(nameToId(from), message);
  return accepted ? { kind: 'accepted' } : refused({ kind: 'malformed', what: 'message' });
}

async function store(
  { label, networkId, sign, holdings, replication, log }: AdultOptions,
  request: Extract<NodeRequest, { kind: 'storeChunk' | 'storePointer' }>,
): Promise<NodeReply> {
  const { stateRef } = request;
  const receiptFor = (thing: StoredItem): NodeReply => ({
    kind: 'receipt',
    signature: sign(receiptBytes(networkId, stateRef, thing)),
  });
  if (!isCurrent(replication.stateRef(), stateRef)) return stateMismatch;
  if (request.kind === 'storeChunk') {
    const { name, bytes } = request;
    const stored = await replication.store({ kind: 'chunk', name }, () =>
      holdings.putChunk(name, bytes),
    );
    if (stored.ok) return receiptFor(storedChunk(name));
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
  if (stored.ok) return receiptFor(storedPointer(networkId, record));
  if (stored.error.kind === 'full') return refused({ kind: 'full' });
  // The evidence is the stored record: without it, any record could pass for a conflict.
  return refused({ kind: 'conflict', evidence: stored.error.kept });
}

async function fetch(
  { holdings, replication, isElder: isElderName }: AdultOptions,
  request: Extract<NodeRequest, { kind: 'fetchChunk' | 'fetchPointer' }>,
  from: Uint8Array,
): Promise<NodeReply> {
  const isChunk = request.kind === 'fetchChunk';
  const kept = isChunk
    ? ({ kind: 'chunk', name: request.name } as const)
    : ({ kind: 'pointer', name: request.address } as const);
  // N42: a holder under the sealed state may fetch, whatever state its request refers to.
  const isHolder = replication.maySendCopy(nameToId(from), kept.name);
  const isElder = isElderName(from);
  if (!isElder && !isHolder) return refused({ kind: 'notAllowed', rule: 'eldersOnly' });
  const current = isHolder || isCurrent(replication.stateRef(), request.stateRef);
  // A requester with an old state may look for the newest version at the wrong holders.
  if (!isChunk && !current) return stateMismatch;
  const bytes = await holdings.read(kept);
  if (bytes === null) {
    replication.lost(kept);
    return current ? refused({ kind: 'notFound' }) : stateMismatch;
  }
  return isChunk ? { kind: 'chunk', bytes } : { kind: 'pointer', record: bytes };
}

/**
 * N41: the request refers to our state or a newer one of the same key. A newer one has the same
 * elders, and its receipt is worthless if we are not a member there.
 */
function isCurrent(own: StateRef | null, theirs: StateRef): boolean {
  if (own === null) return false;
  const verdict = checkStateRef(own, theirs);
  return verdict === 'same' || verdict === 'newer';
}

const refused = (refusal: Refusal): NodeReply => ({ kind: 'refused', refusal });
const stateMismatch = refused({ kind: 'busy', afterMs: stateMismatchRetryMs });
