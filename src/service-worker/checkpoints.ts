/**
 * Checkpoints shipped with this version of the app (N33): per network, proofs that lead from its genesis
 * key to the sections that were current when the version was made. They are pinned before any node is
 * asked, so elders of ended epochs, even with a dishonest bootstrap node, cannot mislead a new device.
 * `node bin/checkpoints.js` writes the file.
 */
import { fromHex } from '#core/codec/bytes.ts';
import { decodeProof, maxProofBytes } from '#protocol/anti-entropy/index.ts';
import type { SectionProof } from '#protocol/section/index.ts';
import shipped from './checkpoints.json' with { type: 'json' };

/** Networks in one version: the file is ours, so the bound only catches a mistake. */
const maxNetworks = 16;
/** Proof pages per network: 16 sections, or 256 handovers of one. */
const maxPagesShipped = 16;
const hex64 = /^[0-9a-f]{64}$/;

/** The proofs for this network; none when the version ships none. Errors: throws on an invalid file. */
export function checkpointsFor(
  networkId: string,
  file: unknown = shipped,
): readonly SectionProof[] {
  const networks = readNetworks(file);
  if (networks === undefined) throw new Error('checkpoints.json is not of its form');
  return networks.find((each) => each.networkId === networkId)?.proofs ?? [];
}

interface ShippedCheckpoints {
  readonly networkId: string;
  readonly proofs: readonly SectionProof[];
}

function readNetworks(file: unknown): readonly ShippedCheckpoints[] | undefined {
  if (!hasExactly(file, ['format', 'networks']) || file['format'] !== 1) return undefined;
  const list = file['networks'];
  if (!Array.isArray(list) || list.length > maxNetworks) return undefined;
  const networks = list.map(readNetwork);
  if (!networks.every((each) => each !== undefined)) return undefined;
  const ids = new Set(networks.map(({ networkId }) => networkId));
  return ids.size === networks.length ? networks : undefined;
}

function readNetwork(value: unknown): ShippedCheckpoints | undefined {
  if (!hasExactly(value, ['networkId', 'proofs'])) return undefined;
  const { networkId, proofs } = value;
  if (typeof networkId !== 'string' || !hex64.test(networkId)) return undefined;
  if (!Array.isArray(proofs) || proofs.length > maxPagesShipped) return undefined;
  const read = proofs.map(readProof);
  return read.every((each) => each !== undefined) ? { networkId, proofs: read } : undefined;
}

function readProof(value: unknown): SectionProof | undefined {
  if (typeof value !== 'string' || value.length > 2 * maxProofBytes) return undefined;
  const bytes = fromHex(value);
  const proof = bytes.ok ? decodeProof(bytes.value) : undefined;
  return proof?.ok === true ? proof.value : undefined;
}

function hasExactly(
  value: unknown,
  names: readonly string[],
): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.keys(value).length === names.length &&
    names.every((name) => Object.hasOwn(value, name))
  );
}
