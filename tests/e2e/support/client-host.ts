/** Shared by all client programs of the tests: the network file, a host, and requests. */
import { fromHex } from '#core/codec/bytes.ts';
import type { Result } from '#core/result.ts';
import { createDialOnlyHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import type { RpcError } from '#network/rpc/rpc-stream.ts';
import { createAddressBook } from '#node/peers/address-book.ts';
import { parseJoinPoint } from '#node/joining/network-join.ts';
import { parseSavedNetworkFile } from '#roles/wire/network-file.ts';
import type { TrustAnchor } from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest, type ClientReply } from '#roles/wire/client.ts';

/** Sends a client request to the node at these addresses. */
export type AskAt = (
  node: { readonly name: Uint8Array; readonly addresses: readonly string[] },
  request: Uint8Array,
  timeoutMs: number,
) => Promise<Result<Uint8Array, RpcError>>;

/** A node's report about the network; unverified, except that nodes signed the records. */
export interface FirstAnswers {
  readonly authority: Uint8Array;
  readonly records: readonly Uint8Array[];
}

export interface ClientHost {
  readonly anchor: TrustAnchor;
  /** As in the network file. */
  readonly genesisKey: string;
  readonly askAt: AskAt;
  /** Asks the first node for this one's addresses. Throws when it has none. */
  readonly exchange: (peer: Uint8Array, request: Uint8Array) => Promise<ClientReply>;
  /** The first node's newest authority and known addresses. */
  readonly begin: () => Promise<FirstAnswers>;
  readonly stop: () => Promise<void>;
}

const timeoutMs = 20_000;

/** @param firstTcp multiaddr of a node's own TCP port, with its peer id */
export async function openClientHost(url: string, firstTcp: string): Promise<ClientHost> {
  const network = parseSavedNetworkFile(await (await fetch(`${url}/network.json`)).text());
  const first = parseJoinPoint(firstTcp);
  if (network === undefined) throw new Error('the network file is malformed');
  if (first === undefined) throw new Error('a node has an ed25519 key');
  const { anchor, file } = network;
  const host = await createDialOnlyHost();
  const addressBook = createAddressBook(anchor.networkId, null);
  const askAt: AskAt = (node, request, within) =>
    host.request(node, 'client', networkTag(anchor.networkId), request, { timeoutMs: within });
  const exchangeAt = async (
    name: Uint8Array,
    addresses: readonly string[],
    request: Uint8Array,
  ): Promise<ClientReply> => {
    const answer = await askAt({ name, addresses }, request, timeoutMs);
    if (!answer.ok) throw new Error(`the node was ${answer.error.kind}`);
    const reply = decodeClientReply(answer.value);
    if (!reply.ok) throw new Error('the reply is malformed');
    return reply.value;
  };
  const learnAddresses = async (): Promise<readonly Uint8Array[]> => {
    const request = encodeClientRequest({ kind: 'addresses' });
    const hints = await exchangeAt(first.name, [first.address], request);
    if (hints.kind !== 'addresses') throw new Error('wrong answers');
    const refused = hints.records.some((record) => addressBook.offer(record) === 'refused');
    if (refused) throw new Error('an address record is refused');
    return hints.records;
  };
  const exchange: ClientHost['exchange'] = async (name, request) => {
    // Right after genesis, or its own start, the first node does not know every address.
    if (addressBook.addressesOf(name).length === 0) await learnAddresses();
    const known = addressBook.addressesOf(name);
    return exchangeAt(name, known.length > 0 ? known : [first.address], request);
  };
  return {
    anchor,
    genesisKey: file.genesisKey,
    askAt,
    exchange,
    begin: async () => {
      const request = encodeClientRequest({ kind: 'authority' });
      const about = await exchangeAt(first.name, [first.address], request);
      if (about.kind !== 'authority') throw new Error('wrong answers');
      return { authority: about.authority, records: await learnAddresses() };
    },
    stop: host.stop,
  };
}

export function hexToBytes(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new Error('not hex');
  return bytes.value;
}
