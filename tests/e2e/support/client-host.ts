/** What every client program of the tests begins with: the network's file, a host, and questions. */
import { fromHex } from '#core/codec/bytes.ts';
import type { Result } from '#core/result.ts';
import { createAskingHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import type { RpcError } from '#network/rpc.ts';
import { createAddressBook } from '#node/address-book.ts';
import { parseJoinPoint } from '#node/arrival.ts';
import { parseNetworkFile } from '#node/network-file.ts';
import type { TrustAnchor } from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest, type ClientReply } from '#roles/wire/client.ts';

/** Asks a client's question of whoever is at these addresses. */
export type AskAt = (
  node: { readonly name: Uint8Array; readonly addresses: readonly string[] },
  request: Uint8Array,
  timeoutMs: number,
) => Promise<Result<Uint8Array, RpcError>>;

/** What a node tells of the network; nothing of it is verified, but that nodes signed the records. */
export interface Told {
  readonly authority: Uint8Array;
  readonly records: readonly Uint8Array[];
}

export interface ClientHost {
  readonly anchor: TrustAnchor;
  /** As the network's file says it. */
  readonly genesisKey: string;
  readonly askAt: AskAt;
  /** Asks where the first node says that this one is. Throws when the answer is none. */
  readonly exchange: (peer: Uint8Array, request: Uint8Array) => Promise<ClientReply>;
  /** The first node's newest authority and the addresses it knows. */
  readonly begin: () => Promise<Told>;
  readonly stop: () => Promise<void>;
}

const timeoutMs = 20_000;

/** @param firstTcp multiaddr of a node's own TCP port, with its peer id */
export async function openClientHost(url: string, firstTcp: string): Promise<ClientHost> {
  const network = parseNetworkFile(await (await fetch(`${url}/network.json`)).text());
  const first = parseJoinPoint(firstTcp);
  if (network === undefined) throw new Error('the network file is malformed');
  if (first === undefined) throw new Error('a node has an ed25519 key');
  const { anchor, file } = network;
  const host = await createAskingHost();
  const book = createAddressBook(anchor.networkId, null);
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
    const told = await exchangeAt(first.name, [first.address], request);
    if (told.kind !== 'addresses') throw new Error('wrong answers');
    const refused = told.records.some((record) => book.offer(record) === 'refused');
    if (refused) throw new Error('an address record is refused');
    return told.records;
  };
  const exchange: ClientHost['exchange'] = async (name, request) => {
    // Right after a birth, or a start of its own, the first node does not know every address.
    if (book.addressesOf(name).length === 0) await learnAddresses();
    const known = book.addressesOf(name);
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

export function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new Error('not hex');
  return bytes.value;
}
