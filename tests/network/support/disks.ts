/** Files on the disks of a network of processes. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '#core/codec/bytes.ts';
import { until } from '../../e2e/support/until.ts';
import type { ProcessNode } from './processes.ts';

/** The number of these nodes that have the file. */
export const copiesOf = (name: Uint8Array, nodes: readonly ProcessNode[]): number =>
  nodes.filter(({ data }) => {
    const hex = toHex(name);
    try {
      const shelf = join(data, 'nodes/self/chunks', hex.slice(0, 2));
      return readdirSync(shelf).includes(hex);
    } catch {
      return false; // The folder does not exist yet.
    }
  }).length;

/** REPLICATION-R3: resolves when four of these nodes have each of them. */
export const untilOnFour = async (
  names: readonly Uint8Array[],
  nodes: readonly ProcessNode[],
): Promise<void> =>
  void (await until(
    async () => names.filter((name) => copiesOf(name, nodes) < 4).map(toHex),
    (few) => few.length === 0,
    180_000,
    1_000,
  ));
