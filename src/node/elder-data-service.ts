/** The data half of an elder: puts and gets for clients, carried to the adults that keep things. */
import { createHash } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { Result } from '#core/result.ts';
import {
  decodePointer,
  evidenceVerdict,
  openPointer,
  pointerAddress,
  rankOf,
  verifyPointer,
} from '#data/pointer.ts';
import {
  receiptBytes,
  storedChunk,
  storedPointer,
  type ReceiptStamp,
  type StoredThing,
} from '#data/receipt.ts';
import { copiesWanted, noDigest, stampOf, type Item } from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import {
  isCopy,
  isFound,
  isStoredOrTaken,
  missedBy,
  pointersWanted,
  replyToGetChunk,
  replyToGetPointer,
  replyToPut,
  startAsking,
  wantedFor,
  type HolderAnswer,
} from '#roles/elder-data.ts';
import { candidatesFor, hasRoom, readersFor } from '#roles/placement.ts';
import type { ClientReply, ClientRequest } from '#roles/wire/client.ts';
import {
  decodeNodeReply,
  encodeNodeRequest,
  type NodeReply,
  type NodeRequest,
} from '#roles/wire/node.ts';
import { askHolders, createSuspects } from './ask-holders.ts';
import type { Log } from './log.ts';
import { isSignedBy } from './native-ed25519.ts';
import type { Misbehaviour } from './section-port.ts';

export interface ElderDataOptions {
  readonly label: string;
  /** The newest state of the section. */
  readonly authority: () => SectionAuthority;
  /** Sends one request of the data protocol to an adult. */
  readonly request: (
    holder: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  /** Members that say that their disk is full: puts pass them over. */
  readonly full: () => ReadonlySet<NodeId>;
  /** A client has enough receipts for this (N42: it may be audited). */
  readonly onStored?: (item: Item) => void;
  /** A write did not reach this holder: it fetches it from the others (R4). */
  readonly repair: (holder: Uint8Array, item: Item) => void;
  /** What a holder did: for fault detection (N7). */
  readonly misbehaved: (holder: NodeId, issue: Misbehaviour) => void;
  readonly log: Log;
}

export type DataRequest = Extract<
  ClientRequest,
  { kind: 'putChunk' | 'getChunk' | 'putPointer' | 'getPointer' }
>;

/** @returns the function that answers a client's data requests; it never rejects. */
export function createElderData(
  options: ElderDataOptions,
): (request: DataRequest) => Promise<ClientReply> {
  const { authority, full, log } = options;
  const { networkId } = authority();
  const suspects = createSuspects();

  const blame = (holder: Uint8Array, rule: string): HolderAnswer => {
    suspects.add(holder);
    options.misbehaved(nameToId(holder), honestFailures.has(rule) ? 'data' : 'falsehood');
    log.write({ event: 'holderFailed', node: options.label, peer: nameToId(holder), rule });
    return { kind: 'failed' };
  };

  const ask = async (
    holder: Uint8Array,
    request: Uint8Array,
    check: (reply: NodeReply) => HolderAnswer | string,
  ): Promise<HolderAnswer> => {
    const answer = await options.request(holder, request);
    if (!answer.ok) return blame(holder, 'silent');
    const reply = decodeNodeReply(answer.value);
    if (!reply.ok) return blame(holder, 'malformed');
    const checked = check(reply.value);
    if (typeof checked === 'string') return blame(holder, checked);
    suspects.clear(holder);
    return checked;
  };

  const receiptCheck =
    (
      holder: Uint8Array,
      stamp: ReceiptStamp,
      thing: StoredThing,
      judge: (evidence: Uint8Array) => Evidence,
    ) =>
    (reply: NodeReply): HolderAnswer | string => {
      if (reply.kind === 'refused') {
        const { refusal } = reply;
        const evidence = refusal.kind === 'conflict' ? judge(refusal.evidence) : 'conflict';
        // It has what we bring and gives no receipt: not what we asked for, yet nothing false.
        if (evidence === 'sameBody') return 'noReceipt';
        return evidence === 'conflict' ? { kind: 'refused', refusal } : 'conflict';
      }
      if (reply.kind !== 'receipt') return 'otherAnswer';
      const fits = isSignedBy(holder, receiptBytes(networkId, stamp, thing), reply.signature);
      return fits ? { kind: 'stored', signature: reply.signature } : 'receipt';
    };

  /** Asks the adults with room, and those that have the record already even if they are full. */
  const put = async (
    item: Item,
    thing: StoredThing,
    requestUnder: (stamp: ReceiptStamp) => NodeRequest,
    judge: (evidence: Uint8Array) => Evidence,
  ): Promise<ClientReply> => {
    const { kind, name } = item;
    const section = authority();
    const stamp = stampOf(section);
    const candidates =
      kind === 'chunk'
        ? candidatesFor(section, name, full())
        : readersFor(section, name, full()).candidates;
    if (kind === 'chunk' && !hasRoom(section, full())) {
      return { kind: 'refused', refusal: { kind: 'full' } };
    }
    // Once for all holders: a mebibyte more or less to copy.
    const encoded = encodeNodeRequest(requestUnder(stamp));
    const asked = await askHolders(
      startAsking(candidates, [], suspects.ids()),
      wantedFor.put,
      isStoredOrTaken,
      (holder) => ask(holder, encoded, receiptCheck(holder, stamp, thing, judge)),
    );
    const reply = replyToPut(asked, kind === 'chunk' ? 'stored' : 'pointerStored', stamp);
    if (reply.kind === 'refused') return reply;
    const holders = candidatesFor(section, name, full()).slice(0, copiesWanted);
    options.onStored?.(item);
    for (const holder of missedBy(asked, holders)) options.repair(holder, item);
    return reply;
  };

  return async (request) => {
    switch (request.kind) {
      case 'putChunk': {
        const { name, bytes } = request;
        if (!isNameOf(name, bytes))
          return { kind: 'refused', refusal: { kind: 'malformed', what: 'name' } };
        const item: Item = {
          ...{ kind: 'chunk', name, size: bytes.length },
          ...{ version: 0n, digest: noDigest },
        };
        return put(
          item,
          storedChunk(name),
          (stamp) => ({ kind: 'storeChunk', stamp, name, bytes }),
          () => 'false',
        );
      }
      case 'getChunk': {
        const { name, avoid } = request;
        const section = authority();
        const encoded = encodeNodeRequest({ kind: 'fetchChunk', stamp: stampOf(section), name });
        const { candidates } = readersFor(section, name, full());
        const first = startAsking(candidates, avoid, suspects.ids());
        const asked = await askHolders(first, wantedFor.chunk, isFound, (holder) =>
          ask(holder, encoded, (reply) => {
            if (isNotFound(reply)) return { kind: 'nothing' };
            if (reply.kind === 'refused') return { kind: 'refused', refusal: reply.refusal };
            if (reply.kind !== 'chunk') return 'otherAnswer';
            return isNameOf(name, reply.bytes)
              ? { kind: 'found', bytes: reply.bytes }
              : 'chunkAltered';
          }),
        );
        return replyToGetChunk(asked);
      }
      case 'putPointer': {
        const decoded = decodePointer(request.record);
        if (!decoded.ok)
          return { kind: 'refused', refusal: { kind: 'malformed', what: 'pointer' } };
        const record = decoded.value;
        if (!verifyPointer(networkId, record)) {
          return { kind: 'refused', refusal: { kind: 'notAllowed', rule: 'owner' } };
        }
        const address = pointerAddress(networkId, record.owner);
        const thing = storedPointer(networkId, record);
        const size = request.record.length;
        const item: Item = { kind: 'pointer', name: address, size, ...rankOf(record) };
        return put(
          item,
          thing,
          (stamp) => ({ kind: 'storePointer', stamp, record: request.record }),
          (evidence) => judgeConflict(evidenceVerdict(networkId, record, evidence)),
        );
      }
      case 'getPointer': {
        const { address } = request;
        const section = authority();
        const encoded = encodeNodeRequest({
          kind: 'fetchPointer',
          stamp: stampOf(section),
          address,
        });
        const { candidates, holding } = readersFor(section, address, full());
        const first = startAsking(candidates, [], suspects.ids());
        const asked = await askHolders(first, pointersWanted(holding), isCopy, (holder) =>
          ask(holder, encoded, (reply) => {
            if (isNotFound(reply)) return { kind: 'nothing' };
            if (reply.kind === 'refused') return { kind: 'refused', refusal: reply.refusal };
            if (reply.kind !== 'pointer') return 'otherAnswer';
            const fits = openPointer(networkId, address, reply.record).ok;
            return fits ? { kind: 'found', bytes: reply.record } : 'pointerAltered';
          }),
        );
        return replyToGetPointer(asked);
      }
    }
  };
}

/** What a holder shows when it refuses a write: does it prove that the holder has to refuse? */
type Evidence = 'conflict' | 'sameBody' | 'false';

function judgeConflict(verdict: ReturnType<typeof evidenceVerdict>): Evidence {
  if (verdict === 'same') return 'sameBody';
  return verdict === 'older' || verdict === 'taken' ? 'conflict' : 'false';
}

/** Rules that an honest holder may break, too. */
const honestFailures: ReadonlySet<string> = new Set(['silent', 'noReceipt']);

const isNotFound = (reply: NodeReply): boolean =>
  reply.kind === 'refused' && reply.refusal.kind === 'notFound';

const isNameOf = (name: Uint8Array, bytes: Uint8Array): boolean =>
  equalBytes(createHash('sha256').update(bytes).digest(), name);
