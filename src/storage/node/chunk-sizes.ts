/** Sizes of the stored chunks: one walk of the folder, and the changes since its start. */
import { scanFolder } from './chunk-files.ts';

/** The pause after the second failed walk; it doubles up to a minute. */
const firstPauseMs = 1_000;
const maxPauseMs = 60_000;

/** Starts to walk the folder. */
export function createChunkSizes(folder: string) {
  const sizeByName = new Map<string, number>();
  let used = 0;
  let scan: Promise<void> | undefined;
  let failures = 0;
  let rescanAtMs = 0;
  /** Changed during the walk: the walk's results for these names are ignored. */
  const changedDuringScan = new Set<string>();

  const walk = async (): Promise<void> => {
    try {
      for (const [hex, size] of await scanFolder(folder)) {
        if (changedDuringScan.has(hex)) continue;
        sizeByName.set(hex, size);
        used += size;
      }
    } catch (error) {
      rescanAtMs = performance.now() + Math.min(maxPauseMs, failures * firstPauseMs);
      failures = 2 * failures + 1;
      throw error;
    }
  };
  /** Resolves when the walk is complete. After a failed one the next caller walks again, then one after a pause. */
  const known = (): Promise<void> => {
    if (scan !== undefined && (rescanAtMs === 0 || performance.now() < rescanAtMs)) return scan;
    rescanAtMs = 0;
    changedDuringScan.clear();
    scan = walk();
    return scan;
  };
  known().catch(() => undefined);

  const remove = (hex: string): void => {
    changedDuringScan.add(hex);
    used -= sizeByName.get(hex) ?? 0;
    sizeByName.delete(hex);
  };
  return {
    known,
    set: (hex: string, size: number): void => {
      remove(hex);
      sizeByName.set(hex, size);
      used += size;
    },
    remove,
    entries: () => [...sizeByName],
    usedBytes: (): number => used,
  };
}
