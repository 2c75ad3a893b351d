/** The data half of an elder: forwards clients' puts and gets to the adults that hold the data. */
import type { NodeId } from '#core/machine.ts';
import type { Refusal } from '#core/refusal.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  decodePointer,
  evidenceVerdict,
  decodeVerifiedPointer,
  pointerAddress,
  pointerRankOf,
  verifyPointer,
} from '#data/pointer-record.ts';
import {
  receiptBytes,
  storedChunk,
  storedPointer,
  type StateRef,
  type StoredItem,
} from '#data/storage-receipt.ts';
import { copiesWanted, noDigest, stateRefOf, type Item } from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import {
  isCopy,
  isFound,
  isStoredOrConflict,
  holdersMissed,
  pointersWanted,
  replyToGetChunk,
  replyToGetPointer,
  replyToPut,
  wantedFor,
  type HolderAnswer,
} from '#roles/holder-query.ts';
import { candidatesFor, hasRoom, readersFor } from '#roles/holder-candidates.ts';
import type { ClientReply, ClientRequest } from '#roles/wire/client.ts';
import type { NodeReply, NodeRequest } from '#roles/wire/node-requests.ts';
import { isNameOf } from '#storage/node/chunk-files.ts';
import { copyIn, copyRequest, type ItemRef } from './copy-request.ts';
import {
  createHolderQueries,
  type QueryHolders,
  type HolderQueryOptions,
} from './query-holders.ts';
import { isSignedBy } from '../keys/native-ed25519.ts';
import { refusalReply } from '../requests/client-handler.ts';

export interface ElderDataOptions extends HolderQueryOptions {
  /** The newest state of the section. */
  readonly authority: () => SectionAuthority;
  /** Members that report a full disk: puts skip them. */
  readonly full: () => ReadonlySet<NodeId>;
  /** A client has enough receipts for this item (N42: it may be audited). */
  readonly onStored?: (item: Item) => void;
  /** A write did not reach this holder: it fetches it from the others (REPLICATION-R4). */
  readonly repair: (holder: Uint8Array, item: Item) => void;
}

type RequestOf<Kind extends ClientRequest['kind']> = Extract<ClientRequest, { kind: Kind }>;
export type DataRequest = RequestOf<'putChunk' | 'getChunk' | 'putPointer' | 'getPointer'>;

/** @returns the function that answers a client's data requests; it never rejects. */
export function createElderData(
  options: ElderDataOptions,
): (request: DataRequest) => Promise<ClientReply> {
  const queryHolders = createHolderQueries(options);
  const { networkId } = options.authority();
  return async (request) => {
    switch (request.kind) {
      case 'putChunk':
      case 'putPointer': {
        const write =
          request.kind === 'putChunk' ? chunkWrite(request) : pointerWrite(networkId, request);
        return write.ok ? put(options, queryHolders, write.value) : refusalReply(write.error);
      }
      case 'getChunk':
        return get(options, queryHolders, { kind: 'chunk', name: request.name }, request.avoid);
      case 'getPointer':
        return get(options, queryHolders, { kind: 'pointer', name: request.address }, []);
    }
  };
}

/** One thing to store, and what its holders answer. */
interface Write {
  readonly item: Item;
  readonly storedItem: StoredItem;
  readonly requestUnder: (stateRef: StateRef) => NodeRequest;
  readonly judge: (evidence: Uint8Array) => Evidence;
}

function chunkWrite({ name, bytes }: RequestOf<'putChunk'>): Result<Write, Refusal> {
  if (!isNameOf(name, bytes)) return err({ kind: 'malformed', what: 'name' });
  return ok({
    item: { kind: 'chunk', name, size: bytes.length, version: 0n, digest: noDigest },
    storedItem: storedChunk(name),
    requestUnder: (stateRef) => ({ kind: 'storeChunk', stateRef, name, bytes }),
    judge: () => 'false',
  });
}

function pointerWrite(
  networkId: Uint8Array,
  { record: bytes }: RequestOf<'putPointer'>,
): Result<Write, Refusal> {
  const decoded = decodePointer(bytes);
  if (!decoded.ok) return err({ kind: 'malformed', what: 'pointer' });
  const record = decoded.value;
  if (!verifyPointer(networkId, record)) return err({ kind: 'notAllowed', rule: 'owner' });
  const name = pointerAddress(networkId, record.owner);
  return ok({
    item: { kind: 'pointer', name, size: bytes.length, ...pointerRankOf(record) },
    storedItem: storedPointer(networkId, record),
    requestUnder: (stateRef) => ({ kind: 'storePointer', stateRef, record: bytes }),
    judge: (evidence) => judgeConflict(evidenceVerdict(networkId, record, evidence)),
  });
}

/** Asks the adults with room and, for a record, full ones that hold it already. */
async function put(
  { authority, full, onStored, repair }: ElderDataOptions,
  queryHolders: QueryHolders,
  write: Write,
): Promise<ClientReply> {
  const { kind, name } = write.item;
  const section = authority();
  const stateRef = stateRefOf(section);
  if (kind === 'chunk' && !hasRoom(section, full())) return refusalReply({ kind: 'full' });
  const candidates =
    kind === 'chunk'
      ? candidatesFor(section, name, full())
      : readersFor(section, name, full()).candidates;
  const answers = await queryHolders(
    { candidates, avoid: [], wanted: wantedFor.put, isGood: isStoredOrConflict },
    write.requestUnder(stateRef),
    (reply, holder) => {
      const receipt = receiptBytes(section.networkId, stateRef, write.storedItem);
      return checkReceipt(reply, write.judge, (signature) =>
        isSignedBy(holder, receipt, signature),
      );
    },
  );
  const reply = replyToPut(answers, kind === 'chunk' ? 'stored' : 'pointerStored', stateRef);
  if (reply.kind === 'refused') return reply;
  const assigned = candidatesFor(section, name, full()).slice(0, copiesWanted);
  onStored?.(write.item);
  for (const holder of holdersMissed(answers, assigned)) repair(holder, write.item);
  return reply;
}

async function get(
  { authority, full }: ElderDataOptions,
  queryHolders: QueryHolders,
  kept: ItemRef,
  avoid: readonly Uint8Array[],
): Promise<ClientReply> {
  const section = authority();
  const { candidates, holding } = readersFor(section, kept.name, full());
  const isChunk = kept.kind === 'chunk';
  const answers = await queryHolders(
    {
      ...{ candidates, avoid },
      ...(isChunk
        ? { wanted: wantedFor.chunk, isGood: isFound }
        : { wanted: pointersWanted(holding), isGood: isCopy }),
    },
    copyRequest(kept, stateRefOf(section)),
    (reply) => checkCopy(reply, section.networkId, kept),
  );
  return isChunk ? replyToGetChunk(answers) : replyToGetPointer(answers);
}

/** Does the record a holder shows when it refuses a write prove the conflict? */
type Evidence = 'conflict' | 'sameBody' | 'false';

function judgeConflict(verdict: ReturnType<typeof evidenceVerdict>): Evidence {
  if (verdict === 'same') return 'sameBody';
  return verdict === 'older' || verdict === 'taken' ? 'conflict' : 'false';
}

/** @returns the holder's answer, or the rule that its reply violates. */
function checkReceipt(
  reply: NodeReply,
  judge: Write['judge'],
  isReceipt: (signature: Uint8Array) => boolean,
): HolderAnswer | string {
  if (reply.kind === 'refused') {
    const { refusal } = reply;
    const evidence = refusal.kind === 'conflict' ? judge(refusal.evidence) : 'conflict';
    // It holds the same version and gives no receipt: a failure, but nothing false.
    if (evidence === 'sameBody') return 'noReceipt';
    return evidence === 'conflict' ? { kind: 'refused', refusal } : 'conflict';
  }
  if (reply.kind !== 'receipt') return 'otherAnswer';
  const { signature } = reply;
  return isReceipt(signature) ? { kind: 'stored', signature } : 'receipt';
}

/** @returns the holder's answer, or the rule that its reply violates. */
function checkCopy(
  reply: NodeReply,
  networkId: Uint8Array,
  { kind, name }: ItemRef,
): HolderAnswer | string {
  if (reply.kind === 'refused') {
    const { refusal } = reply;
    return refusal.kind === 'notFound' ? { kind: 'nothing' } : { kind: 'refused', refusal };
  }
  const bytes = copyIn(reply);
  if (bytes === null || reply.kind !== kind) return 'otherAnswer';
  const isGenuine =
    kind === 'chunk' ? isNameOf(name, bytes) : decodeVerifiedPointer(networkId, name, bytes).ok;
  return isGenuine ? { kind: 'found', bytes } : `${kind}Altered`;
}
