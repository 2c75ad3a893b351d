/** network.json: what a light client must know beforehand (wire.md, "Network file"). */
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { networkIdOf } from '#protocol/section/index.ts';
import type { TrustAnchor } from '#protocol/section/index.ts';

/** What a new network begins with: a billion units. */
export const firstSupply = 1_000_000_000n * PARTS_PER_UNIT;

export interface NetworkFile {
  readonly format: 1;
  readonly name: string;
  /** Hex of 32 bytes. */
  readonly networkId: string;
  /** Hex of 96 bytes. */
  readonly genesisKey: string;
  readonly protocol: 1;
  readonly bootstrap: readonly string[];
  /** Whole supply in the smallest parts, as decimal text. */
  readonly supply: string;
  readonly faucet: string | null;
}

/** What is kept in the data folder; the bootstrap's address depends on the port of this start. */
export type KeptNetworkFile = Omit<NetworkFile, 'bootstrap'>;

export function makeNetworkFile(
  name: string,
  genesisKey: Uint8Array,
  supply: bigint,
): KeptNetworkFile {
  return {
    format: 1,
    name,
    networkId: toHex(networkIdOf(genesisKey, name)),
    genesisKey: toHex(genesisKey),
    protocol: 1,
    supply: supply.toString(),
    faucet: '/faucet',
  };
}

/** @returns the kept file and its anchor; `undefined` when a field does not fit the others. */
export function parseNetworkFile(
  text: string,
): { readonly file: KeptNetworkFile; readonly anchor: TrustAnchor } | undefined {
  try {
    const file = JSON.parse(text) as Partial<KeptNetworkFile>;
    const { format, name, networkId, genesisKey, protocol, supply } = file;
    if (format !== 1 || protocol !== 1 || typeof name !== 'string') return undefined;
    if (typeof networkId !== 'string' || typeof genesisKey !== 'string') return undefined;
    if (typeof supply !== 'string' || !/^\d{1,20}$/.test(supply)) return undefined;
    const key = fromHex(genesisKey);
    if (!key.ok || key.value.length !== 96) return undefined;
    const id = networkIdOf(key.value, name);
    if (toHex(id) !== networkId) return undefined;
    const made = makeNetworkFile(name, key.value, BigInt(supply));
    return { file: made, anchor: { genesisKey: key.value, networkId: id } };
  } catch {
    return undefined;
  }
}

/** The multiaddr under which browsers reach the bootstrap node: the public port, by WebSocket. */
export const bootstrapAddress = (port: number, peerId: string): string =>
  `/dns4/localhost/tcp/${port}/ws/p2p/${peerId}`;
