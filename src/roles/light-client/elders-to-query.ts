/** In which order a light client asks a section's elders for a name. Pure. */
import { compareDistance } from '#address/xor-name.ts';

/** Elders in the order in which to ask for a name: the closest first. */
export function eldersFor<T extends { readonly name: Uint8Array }>(
  elders: readonly T[],
  target: Uint8Array,
): readonly T[] {
  return [...elders].sort((a, b) => compareDistance(target, a.name, b.name));
}
