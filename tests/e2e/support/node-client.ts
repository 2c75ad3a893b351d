/** A light client as a program: sends requests to the elders of a started network over TCP. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { storedChunk } from '#data/storage-receipt.ts';
import { nameToPeerId } from '#network/peer-id.ts';
import { publicKeyOf } from '#node/keys/native-ed25519.ts';
import {
  decodeSignedAuthority,
  verifySignedAuthority,
  type SectionAuthority,
} from '#protocol/section/index.ts';
import { eldersFor } from '#roles/light-client/elders-to-query.ts';
import { encodeClientRequest, type ClientReply, type ClientRequest } from '#roles/wire/client.ts';
import { hexToBytes, openClientHost } from './client-host.ts';
import { countReceipts } from '../../support/receipts.ts';

export interface NodeClient {
  readonly authority: SectionAuthority;
  readonly genesisKey: string;
  readonly ask: (elder: Uint8Array, request: ClientRequest) => Promise<ClientReply>;
  /** Stores random bytes; resolves with the name and the number of genuine receipts. */
  readonly put: (size: number) => Promise<{ readonly name: Uint8Array; readonly receipts: number }>;
  /** Fetches from the closest elder, the next one on failure. */
  readonly get: (name: Uint8Array) => Promise<Uint8Array | null>;
  readonly stop: () => Promise<void>;
}

/** Names and TCP addresses of a network's nodes, by label, from its data folder. */
export async function tcpAddressesOf(
  data: string,
): Promise<ReadonlyMap<string, { readonly name: Uint8Array; readonly address: string }>> {
  const ports = JSON.parse(readFileSync(join(data, 'ports.json'), 'utf8')) as Readonly<
    Record<string, { readonly tcp: number }>
  >;
  return new Map(
    Object.entries(ports).map(([label, { tcp }]) => {
      const seed = readFileSync(join(data, 'nodes', label, 'identity.key'), 'utf8').trim();
      return [label, { name: publicKeyOf(hexToBytes(seed)), address: `/ip4/127.0.0.1/tcp/${tcp}` }];
    }),
  );
}

/** The bootstrap node's own TCP address with its peer id. */
export async function bootstrapTcpOf(data: string): Promise<string> {
  const bootstrap = (await tcpAddressesOf(data)).get('bootstrap');
  if (bootstrap === undefined) throw new Error('the folder has no bootstrap node');
  return `${bootstrap.address}/p2p/${nameToPeerId(bootstrap.name).toString()}`;
}

/** @param bootstrapTcp multiaddr of the bootstrap node's own TCP port (from its data folder). */
export async function connectClient(url: string, bootstrapTcp: string): Promise<NodeClient> {
  const host = await openClientHost(url, bootstrapTcp);
  const { anchor, genesisKey, exchange } = host;
  const signed = decodeSignedAuthority((await host.begin()).authority);
  if (!signed.ok) throw new Error('the authority is malformed');
  const verified = verifySignedAuthority(blsSuite, anchor, signed.value);
  if (!verified.ok) throw new Error(`the authority is refused: ${verified.error.kind}`);
  const ask = (peer: Uint8Array, request: ClientRequest): Promise<ClientReply> =>
    exchange(peer, encodeClientRequest(request));
  const authority = verified.value;
  const members = new Set(authority.members.map(({ name }) => nameToId(name)));

  return {
    authority,
    genesisKey,
    ask,
    put: async (size) => {
      const bytes = new Uint8Array(randomBytes(size));
      const name = new Uint8Array(createHash('sha256').update(bytes).digest());
      const [closest] = eldersFor(authority.elders, name);
      if (closest === undefined) throw new Error('no elder');
      const reply = await ask(closest.name, { kind: 'putChunk', name, bytes });
      if (reply.kind !== 'stored') throw new Error(`put was answered ${JSON.stringify(reply)}`);
      const allowed = (holder: Uint8Array): boolean => members.has(nameToId(holder));
      const { stateRef, receipts } = reply;
      const thing = storedChunk(name);
      const genuine = countReceipts(anchor.networkId, stateRef, thing, receipts, allowed);
      return { name, receipts: genuine.length };
    },
    get: async (name) => {
      for (const elder of eldersFor(authority.elders, name)) {
        // An unreachable elder is skipped.
        const reply = await ask(elder.name, { kind: 'getChunk', name, avoid: [] }).catch(
          () => null,
        );
        if (reply?.kind !== 'chunk') continue;
        const digest = createHash('sha256').update(reply.bytes).digest();
        return Buffer.compare(digest, name) === 0 ? reply.bytes : null;
      }
      return null;
    },
    stop: host.stop,
  };
}
