/** Sends chunks and pointer records to elders; trusts replies only by name, receipt and signature. */
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import {
  choosePointer,
  encodePointer,
  decodeVerifiedPointer,
  pointerAddress,
  decodePointer,
  provesConflict,
} from '#data/pointer-record.ts';
import { storedChunk, storedPointer } from '#data/storage-receipt.ts';
import { isCongested, type RequestTimeout } from '#network/rpc/rpc-stream.ts';
import { stateRefOf } from '#protocol/replication/index.ts';
import { eldersFor } from '#roles/light-client/elders-to-query.ts';
import {
  reportsRequired,
  isProvenAbsent,
  hasEnoughReports,
  type CopiesReport,
} from '#roles/light-client/required-counts.ts';
import { sha256Fast } from '#runtime/jobs/ciphers.ts';
import { CallError, slowLink, stalled, unreachable } from './http/http-responses.ts';
import { requestOrder, recordDelivery } from './light-node/request-order.ts';
import type { ElderRequestError, LightNode } from './light-node/light-node.ts';
import { catchUpTimeoutMs, verifyReceipts } from './verify-receipts.ts';

/** The part of a light node used here. */
export type DataNode = Pick<LightNode, 'section' | 'requestFor' | 'catchUp' | 'stall'>;

const putTimeoutMs = 30_000;
const getTimeoutMs = 20_000;
/** For a whole piece, while its bytes make progress: 17 kB/s. */
const longestPutMs = 90_000;
const longestGetMs = 60_000;
/** While its bytes make progress, a piece may take longer than the time for a reply. */
const putTimeout: RequestTimeout = { idleMs: putTimeoutMs, totalMs: longestPutMs };
const getTimeout: RequestTimeout = { idleMs: getTimeoutMs, totalMs: longestGetMs };
/** A busy elder names a delay; we wait that long once, then ask the next elder. */
const longestBusyMs = 5_000;
/** Holders that gave altered bytes, listed in the request so that the elder asks others. */
const maxAvoided = 4;

/** @returns the number of genuine receipts from different members (at least three). */
export async function putChunk(node: DataNode, bytes: Uint8Array): Promise<number> {
  const name = await sha256Fast(bytes);
  let section = await node.section(name);
  let refusal = '';
  let full = 0;
  for (const elder of requestOrder(node, section.elders, name)) {
    const request = { kind: 'putChunk', name, bytes } as const;
    const requestState = stateRefOf(section.authority);
    const reply = await requestPiece(node, name, elder, request, putTimeout);
    section = await node.section(name); // It may have handed over meanwhile.
    if (!reply.ok) {
      refusal = reply.error.kind === 'refused' ? reply.error.refusal.kind : reply.error.kind;
      if (refusal === 'full') full += 1;
      continue;
    }
    if (reply.value.kind !== 'stored') continue;
    const item = storedChunk(name);
    const holders = await verifyReceipts(node, name, elder, requestState, item, reply.value);
    if (holders !== null) return holders;
    refusal = 'too few receipts';
  }
  // Two elders may lie about it.
  if (full >= reportsRequired) {
    throw new CallError(507, {
      kind: 'networkRefused',
      message: 'The network has no room for this piece now. It is tried again in a minute.',
      afterMs: 60_000,
    });
  }
  // Only adults failed, elders answered: the section is not stalled.
  const stall = refusal === 'too few receipts' ? null : node.stall(name);
  throw stall
    ? stalled(stall)
    : unreachable(`No elder could store a piece (${refusal || 'none answered'}).`);
}

/** @returns the chunk, checked by its name; throws a 404 when no holder has it. */
export async function getChunk(
  node: DataNode,
  name: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const section = await node.section(name);
  const attempts: string[] = [];
  let absent = 0;
  for (const elder of requestOrder(node, section.elders, name)) {
    const avoid: Uint8Array[] = [];
    while (avoid.length <= maxAvoided) {
      const request = { kind: 'getChunk', name, avoid } as const;
      const reply = await requestPiece(node, name, elder, request, getTimeout, signal);
      if (signal?.aborted === true) throw new CallError(499, { kind: 'cancelled', message: '' });
      if (!reply.ok || reply.value.kind !== 'chunk') {
        const missing =
          !reply.ok && reply.error.kind === 'refused' && reply.error.refusal.kind === 'notFound';
        if (missing) absent += 1;
        attempts.push(
          `elder ${toHex(elder.name).slice(0, 6)}: ${missing ? 'not found' : 'no answer'}`,
        );
        break;
      }
      const { bytes, holder } = reply.value;
      if (toHex(await sha256Fast(bytes)) === toHex(name)) return bytes;
      // The holder or the elder lies: request another copy, then ask another elder.
      attempts.push(`holder ${toHex(holder).slice(0, 6)}: altered bytes`);
      if (avoid.some((known) => toHex(known) === toHex(holder))) break;
      avoid.push(holder);
    }
  }
  const detail = attempts.slice(0, 7).join('; ');
  if (absent >= 5) {
    throw new CallError(404, {
      kind: 'notFound',
      message: `A piece of this file is not on the network (${detail}).`,
    });
  }
  throw unreachable(`A piece could not be fetched (${detail}).`);
}

/** @returns the encoded record of the highest valid version, or `null` when there is none. */
export async function getPointer(node: DataNode, address: Uint8Array): Promise<Uint8Array | null> {
  let section = await node.section(address);
  const reports: CopiesReport[] = [];
  for (const elder of eldersFor(section.elders, address)) {
    const request = { kind: 'getPointer', address } as const;
    const reply = await requestUnlessBusy(node, address, elder, request, getTimeoutMs);
    section = await node.section(address);
    if (!reply.ok || reply.value.kind !== 'pointers') continue;
    const isMember = (holder: Uint8Array): boolean => section.holders.has(nameToId(holder));
    if (!reply.value.copies.every(({ holder }) => isMember(holder))) {
      // It may have a newer state than ours, which it can prove.
      await node.catchUp(elder, address, catchUpTimeoutMs);
      section = await node.section(address);
    }
    // A record that its owner never signed proves nothing, neither that one exists nor that none does. A
    // signed one is genuine, whichever node stores it.
    const copies = reply.value.copies.filter(({ holder, record }) =>
      record === null
        ? isMember(holder)
        : decodeVerifiedPointer(section.networkId, address, record).ok,
    );
    reports.push({ copies });
    const found = reports.flatMap((report) => report.copies.flatMap(({ record }) => record ?? []));
    if (found.length > 0 && hasEnoughReports(reports)) {
      const best = choosePointer(section.networkId, address, found);
      if (best !== null) return encodePointer(best);
    }
    if (isProvenAbsent(reports)) return null;
  }
  throw unreachable('Too few elders answered to be sure what your Safe holds.');
}

/** Stores a record; throws a 409 when another device has taken this version. */
export async function putPointer(node: DataNode, bytes: Uint8Array): Promise<number> {
  let section = await node.section();
  const decoded = decodePointer(bytes);
  if (!decoded.ok) throw new CallError(400, { kind: 'internal', message: 'Malformed record.' });
  const record = decoded.value;
  const address = pointerAddress(section.networkId, record.owner);
  if (!decodeVerifiedPointer(section.networkId, address, bytes).ok) {
    throw new CallError(400, {
      kind: 'internal',
      message: 'The record is not signed for this network.',
    });
  }
  section = await node.section(address);
  for (const elder of eldersFor(section.elders, address)) {
    const requestState = stateRefOf(section.authority);
    const reply = await requestUnlessBusy(
      node,
      address,
      elder,
      { kind: 'putPointer', record: bytes },
      putTimeoutMs,
    );
    section = await node.section(address);
    const refusal = !reply.ok && reply.error.kind === 'refused' ? reply.error.refusal : null;
    if (
      refusal?.kind === 'conflict' &&
      provesConflict(section.networkId, record, refusal.evidence)
    ) {
      throw versionTaken();
    }
    if (!reply.ok || reply.value.kind !== 'pointerStored') continue;
    const item = storedPointer(section.networkId, record);
    const holders = await verifyReceipts(node, address, elder, requestState, item, reply.value);
    if (holders !== null) return holders;
  }
  const stall = node.stall(address);
  throw stall ? stalled(stall) : unreachable('Your Safe could not be saved on the network yet.');
}

const versionTaken = (): CallError =>
  new CallError(409, {
    kind: 'versionTaken',
    message: 'Another device has just written; its changes are merged first.',
  });

/** The name, the elder, the request, the timeout, and a signal that ends it. */
type RequestArguments = Parameters<LightNode['requestFor']>;

/** Errors: throws when our own bytes were the reason, so that another elder cannot help. */
async function requestPiece(
  node: DataNode,
  ...args: RequestArguments
): ReturnType<LightNode['requestFor']> {
  const [, elder, , , signal] = args;
  const reply = await requestUnlessBusy(node, ...args);
  if (reply.ok) recordDelivery(node, elder, true);
  if (reply.ok || signal?.aborted === true) return reply;
  // Whatever the reason: a slow or failing elder must not end every attempt.
  if (reply.error.kind !== 'refused') recordDelivery(node, elder, false);
  if (isCongested(reply.error)) throw slowLink();
  return reply;
}

async function requestUnlessBusy(
  node: DataNode,
  ...args: RequestArguments
): ReturnType<LightNode['requestFor']> {
  const reply = await node.requestFor(...args);
  const wait = busyMs(reply.ok ? undefined : reply.error);
  if (wait === 0) return reply;
  await new Promise((go) => setTimeout(go, Math.min(wait, longestBusyMs)));
  return node.requestFor(...args);
}

const busyMs = (error: ElderRequestError | undefined): number =>
  error?.kind === 'refused' && error.refusal.kind === 'busy' ? error.refusal.afterMs : 0;
