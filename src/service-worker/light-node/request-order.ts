/** Which elder is asked first about a name: the nearest; one that failed to deliver a piece comes last. */
import { toHex } from '#core/codec/bytes.ts';
import { eldersFor } from '#roles/light-client/elders-to-query.ts';
import type { Elder } from './known-sections.ts';

/**
 * An elder that failed to deliver a piece is asked last for this long: it may have used up our whole
 * timeout, and so may the next one, before the third is asked.
 */
const deprioritizeMs = 600_000;
/** Elders with a recorded failure. */
const maxFailures = 64;

/** By light node: its elders that failed to deliver a piece, and when. */
const failures = new WeakMap<object, Map<string, number>>();

export function requestOrder(
  node: object,
  elders: readonly Elder[],
  name: Uint8Array,
): readonly Elder[] {
  const order = eldersFor(elders, name);
  const failed = failures.get(node);
  if (failed === undefined) return order;
  const since = Date.now() - deprioritizeMs;
  const failedAt = (elder: Elder): number => {
    const at = failed.get(toHex(elder.name)) ?? 0;
    return at > since ? at : 0;
  };
  // All elders failed: then it was our own connection.
  if (elders.every((elder) => failedAt(elder) > 0)) {
    failed.clear();
    return order;
  }
  return [...order].sort((a, b) => failedAt(a) - failedAt(b));
}

/** Records whether this elder delivered a piece: one that failed is asked last for a while. */
export function recordDelivery(
  node: object,
  { name }: Pick<Elder, 'name'>,
  delivered: boolean,
): void {
  const failed = failures.get(node) ?? new Map<string, number>();
  failures.set(node, failed);
  const id = toHex(name);
  failed.delete(id);
  if (!delivered) failed.set(id, Date.now());
  const [oldest] = failed.keys();
  if (failed.size > maxFailures && oldest !== undefined) failed.delete(oldest);
}
