/** Amounts: u64 of the smallest part; one unit is 10⁹ of them. Exact decimals, never a float. */
import { err, ok, type Result } from '#core/result.ts';

export const PARTS_PER_UNIT = 1_000_000_000n;
export const MAX_AMOUNT = (1n << 64n) - 1n;
const decimals = 9;

/**
 * Reads "12", "12.5" or "0.000000001"; spaces around it are dropped.
 * @returns the amount in smallest parts, > 0.
 */
export function parseAmount(text: string): Result<bigint, 'malformed' | 'zero' | 'tooLarge'> {
  const match = /^(\d{1,20})(?:\.(\d{1,9}))?$/.exec(text.trim());
  if (match === null) return err('malformed');
  const [, whole = '', fraction = ''] = match;
  const amount = BigInt(whole) * PARTS_PER_UNIT + BigInt(fraction.padEnd(decimals, '0'));
  if (amount === 0n) return err('zero');
  return amount > MAX_AMOUNT ? err('tooLarge') : ok(amount);
}

/** The shortest exact decimal text: "12.5", "0". */
export function formatAmount(amount: bigint): string {
  const fraction = (amount % PARTS_PER_UNIT).toString().padStart(decimals, '0').replace(/0+$/, '');
  const whole = (amount / PARTS_PER_UNIT).toString();
  return fraction === '' ? whole : `${whole}.${fraction}`;
}
