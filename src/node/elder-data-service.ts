/** The data half of an elder: puts and gets for clients, carried to the adults that keep things. */
import { createHash } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { Result } from '#core/result.ts';
import { decodePointer, openPointer, pointerAddress, verifyPointer } from '#data/pointer.ts';
import { receiptBytes, storedChunk, storedPointer, type StoredThing } from '#data/receipt.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import {
  isCopy,
  isFound,
  isStored,
  replyToGetChunk,
  replyToGetPointer,
  replyToPut,
  startAsking,
  wantedFor,
  type HolderAnswer,
} from '#roles/elder-data.ts';
import { candidatesFor } from '#roles/placement.ts';
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

export interface ElderDataOptions {
  readonly label: string;
  /** The newest state of the section. */
  readonly authority: () => SectionAuthority;
  /** Sends one request of the data protocol to an adult. */
  readonly request: (
    holder: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  /** A holder said that its disk takes no more. */
  readonly onFull?: (holder: Uint8Array) => void;
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
  const { authority, log } = options;
  const { networkId } = authority();
  const suspects = createSuspects();

  const blame = (holder: Uint8Array, rule: string): HolderAnswer => {
    suspects.add(holder);
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
    (holder: Uint8Array, thing: StoredThing) =>
    (reply: NodeReply): HolderAnswer | string => {
      if (reply.kind === 'refused') {
        if (reply.refusal.kind === 'full') options.onFull?.(holder);
        return { kind: 'refused', refusal: reply.refusal };
      }
      if (reply.kind !== 'receipt') return 'otherAnswer';
      const fits = isSignedBy(holder, receiptBytes(networkId, thing), reply.signature);
      return fits ? { kind: 'stored', signature: reply.signature } : 'receipt';
    };

  const begin = (target: Uint8Array, avoid: readonly Uint8Array[] = []) =>
    startAsking(candidatesFor(authority(), target), avoid, suspects.ids());

  const put = async (target: Uint8Array, request: NodeRequest, thing: StoredThing) => {
    // Once for all holders: a mebibyte more or less to copy.
    const encoded = encodeNodeRequest(request);
    return askHolders(begin(target), wantedFor.put, isStored, (holder) =>
      ask(holder, encoded, receiptCheck(holder, thing)),
    );
  };

  return async (request) => {
    switch (request.kind) {
      case 'putChunk': {
        const { name, bytes } = request;
        if (!isNameOf(name, bytes))
          return { kind: 'refused', refusal: { kind: 'malformed', what: 'name' } };
        const asked = await put(name, { kind: 'storeChunk', name, bytes }, storedChunk(name));
        return replyToPut(asked, 'stored');
      }
      case 'getChunk': {
        const { name, avoid } = request;
        const asked = await askHolders(begin(name, avoid), wantedFor.chunk, isFound, (holder) =>
          ask(holder, encodeNodeRequest({ kind: 'fetchChunk', name }), (reply) => {
            if (isNotFound(reply)) return { kind: 'nothing' };
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
        const asked = await put(address, { kind: 'storePointer', record: request.record }, thing);
        return replyToPut(asked, 'pointerStored');
      }
      case 'getPointer': {
        const { address } = request;
        const asked = await askHolders(begin(address), wantedFor.pointer, isCopy, (holder) =>
          ask(holder, encodeNodeRequest({ kind: 'fetchPointer', address }), (reply) => {
            if (isNotFound(reply)) return { kind: 'nothing' };
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

const isNotFound = (reply: NodeReply): boolean =>
  reply.kind === 'refused' && reply.refusal.kind === 'notFound';

const isNameOf = (name: Uint8Array, bytes: Uint8Array): boolean =>
  equalBytes(createHash('sha256').update(bytes).digest(), name);
