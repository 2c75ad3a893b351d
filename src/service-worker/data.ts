/** Chunks and pointer records: sent to elders, and believed only by name, receipt and signature. */
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import {
  choosePointer,
  encodePointer,
  openPointer,
  pointerAddress,
  decodePointer,
  provesConflict,
} from '#data/pointer.ts';
import {
  receiptBytes,
  storedChunk,
  storedPointer,
  type ReceiptStamp,
  type StoredThing,
} from '#data/receipt.ts';
import { isCongested, type Patience } from '#network/rpc.ts';
import { stampOf } from '#protocol/replication/index.ts';
import {
  eldersFor,
  receiptsRequired,
  reportsRequired,
  surelyAbsent,
  tellsEnough,
  type CopiesReport,
} from '#roles/light-client/elders.ts';
import { signersUnder } from '#roles/light-client/receipts.ts';
import { sha256Fast, verifyEd25519Fast } from '#runtime/jobs/ciphers.ts';
import { CallError, slowLink, stalled, unreachable } from './answers.ts';
import type { AskError, Elder, LightNode } from './light-node.ts';

/** What of a light node is needed here. */
export type DataNode = Pick<LightNode, 'section' | 'askFor' | 'catchUp' | 'stall'>;

const putTimeoutMs = 30_000;
const getTimeoutMs = 20_000;
/** A whole piece, while its bytes move: 17 kB/s. */
const longestPutMs = 90_000;
const longestGetMs = 60_000;
/** While bytes move on the stream, a piece has longer than the time for an answer. */
const putPatience: Patience = { idleMs: putTimeoutMs, totalMs: longestPutMs };
const getPatience: Patience = { idleMs: getTimeoutMs, totalMs: longestGetMs };
const catchUpTimeoutMs = 6_000;
/** An elder that is busy says for how long; we wait that long once, then ask the next. */
const longestBusyMs = 5_000;
/**
 * An elder that let a piece wait in vain is asked last for so long: it may have held it for as long as we
 * wait at most, and so may the next one, before the third is asked.
 */
const askedLastMs = 600_000;
/** Elders remembered for that. */
const maxFailures = 64;
/** Holders that gave altered bytes, told to the elder so that it asks others. */
const maxAvoided = 4;

/** When an elder last let a piece wait in vain: it is asked last, so that not every piece waits for it. */
const failures = new WeakMap<DataNode, Map<string, number>>();
const orderFor = (node: DataNode, elders: readonly Elder[], name: Uint8Array): readonly Elder[] => {
  const failed = failures.get(node);
  const order = eldersFor(elders, name);
  if (failed === undefined) return order;
  const since = Date.now() - askedLastMs;
  const failedAt = (elder: Elder): number => {
    const at = failed.get(toHex(elder.name)) ?? 0;
    return at > since ? at : 0;
  };
  // All of them: then it was our own connection.
  if (elders.every((elder) => failedAt(elder) > 0)) {
    failed.clear();
    return order;
  }
  return [...order].sort((a, b) => failedAt(a) - failedAt(b));
};
const noteFailure = (node: DataNode, elder: Pick<Elder, 'name'>): void => {
  const failed = failures.get(node) ?? new Map<string, number>();
  failures.set(node, failed);
  const id = toHex(elder.name);
  failed.delete(id);
  failed.set(id, Date.now());
  const [oldest] = failed.keys();
  if (failed.size > maxFailures && oldest !== undefined) failed.delete(oldest);
};

interface Receipt {
  readonly holder: Uint8Array;
  readonly signature: Uint8Array;
}

/** @returns how many genuine receipts of different members were given (at least three). */
export async function putChunk(node: DataNode, bytes: Uint8Array): Promise<number> {
  const name = await sha256Fast(bytes);
  let section = await node.section(name);
  let refusal = '';
  let full = 0;
  for (const elder of orderFor(node, section.elders, name)) {
    const request = { kind: 'putChunk', name, bytes } as const;
    const asked = stampOf(section.authority);
    const reply = await askPiece(node, name, elder, request, putPatience);
    section = await node.section(name); // It may have handed over meanwhile.
    if (!reply.ok) {
      refusal = reply.error.kind === 'refused' ? reply.error.refusal.kind : reply.error.kind;
      if (refusal === 'full') full += 1;
      continue;
    }
    if (reply.value.kind !== 'stored') continue;
    const holders = await genuine(node, name, elder, asked, storedChunk(name), reply.value);
    if (holders.size >= receiptsRequired) return holders.size;
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
  // Elders that answer, with adults that do not, are no section that cannot decide.
  const stall = refusal === 'too few receipts' ? null : node.stall(name);
  throw stall
    ? stalled(stall)
    : unreachable(`No elder could store a piece (${refusal || 'none answered'}).`);
}

/** @returns the chunk, checked by its name; throws a 404 when nobody has it. */
export async function getChunk(
  node: DataNode,
  name: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const section = await node.section(name);
  const told: string[] = [];
  let absent = 0;
  for (const elder of orderFor(node, section.elders, name)) {
    const avoid: Uint8Array[] = [];
    while (avoid.length <= maxAvoided) {
      const request = { kind: 'getChunk', name, avoid } as const;
      const reply = await askPiece(node, name, elder, request, getPatience, signal);
      if (signal?.aborted === true) throw new CallError(499, { kind: 'cancelled', message: '' });
      if (!reply.ok || reply.value.kind !== 'chunk') {
        const missing =
          !reply.ok && reply.error.kind === 'refused' && reply.error.refusal.kind === 'notFound';
        if (missing) absent += 1;
        told.push(`elder ${toHex(elder.name).slice(0, 6)}: ${missing ? 'not found' : 'no answer'}`);
        break;
      }
      const { bytes, holder } = reply.value;
      if (toHex(await sha256Fast(bytes)) === toHex(name)) return bytes;
      // The holder or the elder lies: ask for another copy, then another elder.
      told.push(`holder ${toHex(holder).slice(0, 6)}: altered bytes`);
      if (avoid.some((known) => toHex(known) === toHex(holder))) break;
      avoid.push(holder);
    }
  }
  const detail = told.slice(0, 7).join('; ');
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
    const reply = await askPatiently(node, address, elder, request, getTimeoutMs);
    section = await node.section(address);
    if (!reply.ok || reply.value.kind !== 'pointers') continue;
    const isMember = (holder: Uint8Array): boolean => section.holders.has(nameToId(holder));
    if (!reply.value.copies.every(({ holder }) => isMember(holder))) {
      // A newer state than ours, perhaps: the elder can prove it.
      await node.catchUp(elder, address, catchUpTimeoutMs);
      section = await node.section(address);
    }
    // A record its owner never signed tells nothing: neither that there is one nor that there is none.
    // A signed one is genuine whoever keeps it.
    const copies = reply.value.copies.filter(({ holder, record }) =>
      record === null ? isMember(holder) : openPointer(section.networkId, address, record).ok,
    );
    reports.push({ copies });
    const found = reports.flatMap((report) => report.copies.flatMap(({ record }) => record ?? []));
    if (found.length > 0 && tellsEnough(reports)) {
      const best = choosePointer(section.networkId, address, found);
      if (best !== null) return encodePointer(best);
    }
    if (surelyAbsent(reports)) return null;
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
  if (!openPointer(section.networkId, address, bytes).ok) {
    throw new CallError(400, {
      kind: 'internal',
      message: 'The record is not signed for this network.',
    });
  }
  section = await node.section(address);
  for (const elder of eldersFor(section.elders, address)) {
    const asked = stampOf(section.authority);
    const reply = await askPatiently(
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
    const thing = storedPointer(section.networkId, record);
    const holders = await genuine(node, address, elder, asked, thing, reply.value);
    if (holders.size >= receiptsRequired) return holders.size;
  }
  const stall = node.stall(address);
  throw stall ? stalled(stall) : unreachable('Your Safe could not be saved on the network yet.');
}

const versionTaken = (): CallError =>
  new CallError(409, {
    kind: 'versionTaken',
    message: 'Another device has just written; its changes are merged first.',
  });

/** The name, who is asked for it, the request, the patience, and a signal that ends it. */
type Asked = Parameters<LightNode['askFor']>;

/** Errors: throws when our own bytes were the reason; to send them to the next elder would not help. */
async function askPiece(node: DataNode, ...asked: Asked): ReturnType<LightNode['askFor']> {
  const [, elder, , , signal] = asked;
  const reply = await askPatiently(node, ...asked);
  if (reply.ok) failures.get(node)?.delete(toHex(elder.name));
  if (reply.ok || signal?.aborted === true) return reply;
  // Whatever the reason is: one elder that is slow, or breaks off, must not end every attempt.
  if (reply.error.kind !== 'refused') noteFailure(node, elder);
  if (isCongested(reply.error)) throw slowLink();
  return reply;
}

async function askPatiently(node: DataNode, ...asked: Asked): ReturnType<LightNode['askFor']> {
  const reply = await node.askFor(...asked);
  const wait = busyMs(reply.ok ? undefined : reply.error);
  if (wait === 0) return reply;
  await new Promise((go) => setTimeout(go, Math.min(wait, longestBusyMs)));
  return node.askFor(...asked);
}

const busyMs = (error: AskError | undefined): number =>
  error?.kind === 'refused' && error.refusal.kind === 'busy' ? error.refusal.afterMs : 0;

/**
 * Adults whose receipt for exactly this thing is genuine, each once (N41). Receipts under a newer
 * state than we know count when the elder has proved that state; one that cannot is passed over.
 * @param asked the stamp of the state by which the elder was asked
 */
async function genuine(
  node: DataNode,
  name: Uint8Array,
  elder: Elder,
  asked: ReceiptStamp,
  thing: StoredThing,
  told: { readonly stamp: ReceiptStamp; readonly receipts: readonly Receipt[] },
): Promise<ReadonlySet<string>> {
  const { stamp, receipts } = told;
  let { authority, networkId } = await node.section(name);
  let under = signersUnder(authority, asked, stamp);
  if (under.kind !== 'known') {
    // A newer state than ours; or of its key we know the link alone, and no members yet.
    await node.catchUp(elder, name, catchUpTimeoutMs);
    ({ authority, networkId } = await node.section(name));
    under = signersUnder(authority, asked, stamp);
  }
  if (under.kind !== 'known') return new Set();
  const { signers } = under;
  const message = receiptBytes(networkId, stamp, thing);
  const checked = await Promise.all(
    receipts.map(async ({ holder, signature }) => {
      const id = nameToId(holder);
      if (!signers.has(id)) return null;
      return (await verifyEd25519Fast(holder, message, signature)) ? id : null;
    }),
  );
  return new Set(checked.filter((id) => id !== null));
}
