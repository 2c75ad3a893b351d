/** What every client program of the tests begins with: the network's file, a host, and questions. */
import { randomBytes } from 'node:crypto';
import { peerIdFromString } from '@libp2p/peer-id';
import { nameToId } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import { createNodeHost } from '#network/node-host.ts';
import { peerIdToName } from '#network/peer.ts';
import { networkTag } from '#network/protocols.ts';
import { takePort } from '#node/ports.ts';
import {
  decodeAddressRecord,
  verifyAddressRecord,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest, type ClientReply } from '#roles/wire/client.ts';

export interface ClientHost {
  readonly anchor: TrustAnchor;
  /** As the network's file says it. */
  readonly genesisKey: string;
  /** The node that is asked first. */
  readonly first: Uint8Array;
  /** Addresses known by name (hex). */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  /** Throws when nobody answers or the answer is malformed. */
  readonly exchange: (peer: Uint8Array, request: Uint8Array) => Promise<ClientReply>;
  /** @returns how many of these address records were refused. */
  readonly takeRecords: (records: readonly Uint8Array[]) => number;
  /** The first node's newest authority, not yet verified; takes the addresses it tells. */
  readonly begin: () => Promise<Uint8Array>;
  readonly stop: () => Promise<void>;
}

const timeoutMs = 20_000;

/** @param firstTcp multiaddr of a node's own TCP port, with its peer id */
export async function openClientHost(url: string, firstTcp: string): Promise<ClientHost> {
  const file = (await (await fetch(`${url}/network.json`)).json()) as {
    readonly networkId: string;
    readonly genesisKey: string;
  };
  const anchor = { networkId: bytesOf(file.networkId), genesisKey: bytesOf(file.genesisKey) };
  const first = peerIdToName(peerIdFromString(firstTcp.split('/p2p/')[1] ?? ''));
  if (first === null) throw new Error('a node has an ed25519 key');
  const host = await createNodeHost({
    identitySeed: new Uint8Array(randomBytes(32)),
    role: 'adult',
    tcpPort: await takePort(new Set()),
    wsPort: null,
    rtcDirectPort: null,
    bootstrap: { tcpAddress: firstTcp },
    log: () => undefined,
  });
  const addresses = new Map<string, readonly string[]>();
  const exchange: ClientHost['exchange'] = async (peer, request) => {
    const to = { name: peer, addresses: addresses.get(nameToId(peer)) ?? [firstTcp] };
    const tag = networkTag(anchor.networkId);
    const answer = await host.request(to, 'client', tag, request, { timeoutMs });
    if (!answer.ok) throw new Error(`the node was ${answer.error.kind}`);
    const reply = decodeClientReply(answer.value);
    if (!reply.ok) throw new Error('the reply is malformed');
    return reply.value;
  };
  const takeRecords: ClientHost['takeRecords'] = (records) => {
    let refused = 0;
    for (const bytes of records) {
      const record = decodeAddressRecord(bytes);
      if (record.ok && verifyAddressRecord(anchor.networkId, record.value).ok) {
        addresses.set(nameToId(record.value.name), record.value.addresses);
      } else refused += 1;
    }
    return refused;
  };
  return {
    anchor,
    genesisKey: file.genesisKey,
    first,
    addresses,
    exchange,
    takeRecords,
    begin: async () => {
      const about = await exchange(first, encodeClientRequest({ kind: 'authority' }));
      const told = await exchange(first, encodeClientRequest({ kind: 'addresses' }));
      if (about.kind !== 'authority' || told.kind !== 'addresses') throw new Error('wrong answers');
      if (takeRecords(told.records) > 0) throw new Error('an address record is refused');
      return about.authority;
    },
    stop: host.stop,
  };
}

export function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  if (!bytes.ok) throw new Error('not hex');
  return bytes.value;
}
