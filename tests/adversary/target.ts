/** The local network under attack: its public facts, and the identities an attacker has stolen. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameToPeerId } from '#network/peer-id.ts';
import { networkTag, protocolName, type ProtocolKind } from '#network/protocols.ts';
import { publicKeyOf } from '#node/keys/native-ed25519.ts';
import { encodeClientRequest } from '#roles/wire/client.ts';
import {
  decodeSignedAuthority,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { hexToBytes, openClientHost } from '../e2e/support/client-host.ts';

export interface NodePlace {
  readonly label: string;
  readonly name: Uint8Array;
  /** ed25519 seed, 32 bytes: read access to a node's folder is enough to act as the node. */
  readonly seed: Uint8Array;
  /** Multiaddr of its TCP port, with its peer id. */
  readonly tcp: string;
}

export interface Target {
  readonly url: string;
  readonly port: number;
  readonly anchor: TrustAnchor;
  readonly tag: string;
  /** Not verified here: an attacker needs no proof. */
  readonly signed: SignedAuthority;
  readonly nodes: readonly NodePlace[];
  readonly node: (label: string) => NodePlace;
  readonly elders: readonly NodePlace[];
  readonly protocol: (kind: ProtocolKind) => string;
  /** Encoded entries of an elder's list of registered outputs; public. */
  readonly outputs: readonly Uint8Array[];
}

interface Ports {
  readonly tcp: number;
}

/** Reads the folder of a network started by `npm start`, and queries its bootstrap node. */
export async function openTarget(url: string, data: string): Promise<Target> {
  const ports = JSON.parse(readFileSync(join(data, 'ports.json'), 'utf8')) as Record<string, Ports>;
  const nodes = Object.entries(ports).map(([label, { tcp }]): NodePlace => {
    const seed = hexToBytes(
      readFileSync(join(data, 'nodes', label, 'identity.key'), 'utf8').trim(),
    );
    const name = publicKeyOf(seed);
    const peer = nameToPeerId(name).toString();
    return { label, name, seed, tcp: `/ip4/127.0.0.1/tcp/${tcp}/p2p/${peer}` };
  });
  const node = (label: string): NodePlace => {
    const found = nodes.find((each) => each.label === label);
    if (found === undefined) throw new Error(`the network has no ${label}`);
    return found;
  };
  const host = await openClientHost(url, node('bootstrap').tcp);
  try {
    const signed = decodeSignedAuthority((await host.begin()).authority);
    if (!signed.ok) throw new Error('the authority is malformed');
    const elders = nodes.filter(({ label }) => label.startsWith('elder'));
    const [first] = elders;
    if (first === undefined) throw new Error('the network has no elder');
    const request = encodeClientRequest({ kind: 'outputs', after: 0, limit: 16 });
    const listed = await host.exchange(first.name, request);
    const tag = networkTag(host.anchor.networkId);
    return {
      url,
      port: Number(new URL(url).port),
      anchor: host.anchor,
      tag,
      signed: signed.value,
      nodes,
      node,
      elders,
      protocol: (kind) => protocolName(kind, tag),
      outputs: listed.kind === 'outputs' ? listed.entries : [],
    };
  } finally {
    await host.stop();
  }
}
