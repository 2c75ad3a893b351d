/** network.json: the trust anchor and addresses that a light client starts with. */
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { listOf, literal, nullable, record, refined, textUpTo } from '#core/codec/shape.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { networkIdOf, type TrustAnchor } from '#protocol/section/index.ts';

/** The supply of a new network: a billion units. */
export const firstSupply = 1_000_000_000n * PARTS_PER_UNIT;

/** Several addresses for each of a few bootstrap nodes. */
const maxBootstrapAddresses = 16;
const maxAddressLength = 256;

/** The file as saved in the data folder; the bootstrap's address depends on the port of each start. */
export interface SavedNetworkFile {
  readonly format: 1;
  readonly name: string;
  /** Hex of 32 bytes. */
  readonly networkId: string;
  /** Hex of 96 bytes. */
  readonly genesisKey: string;
  /** The wire version, `PROTOCOL_MAJOR`: a file of another one is no file to this client. */
  readonly protocol: 2;
  /** Whole supply in the smallest parts, as decimal text. */
  readonly supply: string;
  /** Path of the faucet at the same origin, or `null` if there is none. */
  readonly faucet: string | null;
}

/** The file as served to browsers. */
export interface NetworkFile extends SavedNetworkFile {
  /** Multiaddrs. */
  readonly bootstrap: readonly string[];
}

const hexOf = (length: number) =>
  refined(`hex of ${length} bytes`, textUpTo(2 * length), (text) => {
    const bytes = fromHex(text);
    return bytes.ok && bytes.value.length === length ? text : undefined;
  });
const matching = (name: string, max: number, pattern: RegExp) =>
  refined(name, textUpTo(max), (text) => (pattern.test(text) ? text : undefined));

const savedFields = {
  format: literal(1),
  name: textUpTo(64),
  networkId: hexOf(32),
  genesisKey: hexOf(96),
  protocol: literal(2),
  supply: matching('amount', 20, /^\d+$/),
  faucet: nullable(matching('path', 64, /^\/[\w-]+$/)),
};
const savedShape = record(savedFields);
const servedShape = record({
  ...savedFields,
  bootstrap: listOf(textUpTo(maxAddressLength), maxBootstrapAddresses),
});

export function makeNetworkFile(
  name: string,
  genesisKey: Uint8Array,
  supply: bigint,
): SavedNetworkFile {
  return {
    format: 1,
    name,
    networkId: toHex(networkIdOf(genesisKey, name)),
    genesisKey: toHex(genesisKey),
    protocol: 2,
    supply: supply.toString(),
    faucet: '/faucet',
  };
}

/**
 * A file as served. Fields that this version does not know are dropped.
 * @returns `undefined` when a field is missing or malformed, or the id is not that of key and name
 */
export function parseNetworkFile(value: unknown): NetworkFile | undefined {
  const file = servedShape(knownFields(value, [...Object.keys(savedFields), 'bootstrap']));
  return file !== undefined && anchorOf(file) !== undefined ? file : undefined;
}

/** @returns the saved file and its anchor; `undefined` when its fields contradict each other */
export function parseSavedNetworkFile(
  text: string,
): { readonly file: SavedNetworkFile; readonly anchor: TrustAnchor } | undefined {
  const file = savedShape(knownFields(parseJson(text), Object.keys(savedFields)));
  const anchor = file && anchorOf(file);
  return file && anchor && { file, anchor };
}

/** What a light client trusts. @returns `undefined` when the id is not that of key and name */
export function anchorOf(
  file: Pick<SavedNetworkFile, 'name' | 'networkId' | 'genesisKey'>,
): TrustAnchor | undefined {
  const genesisKey = fromHex(file.genesisKey);
  if (!genesisKey.ok) return undefined;
  const networkId = networkIdOf(genesisKey.value, file.name);
  if (toHex(networkId) !== file.networkId) return undefined;
  return { genesisKey: genesisKey.value, networkId };
}

function knownFields(value: unknown, names: readonly string[]): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.fromEntries(Object.entries(value).filter(([name]) => names.includes(name)));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The multiaddr by which browsers reach the bootstrap node: the public port, by WebSocket. */
export const bootstrapAddress = (port: number, peerId: string): string =>
  `/dns4/localhost/tcp/${port}/ws/p2p/${peerId}`;
