/**
 * Bech32m (BIP 350): bytes as text that a person can copy. Detects up to four wrong characters in
 * texts below 1 024 characters; longer ones must contain their own proof, as receipts do.
 */
import { bech32m } from '@scure/base';
import { err, ok, type Result } from '#core/result.ts';

/** A receipt of 8 inputs and 16 outputs is below 8 000 characters. */
const maxTextLength = 16_384;

export const encodeBech32m = (prefix: string, bytes: Uint8Array): string =>
  bech32m.encode(prefix, bech32m.toWords(bytes), false);

/**
 * Whitespace around and inside the text is dropped: messengers add it.
 * @returns the bytes, `mistyped` for a wrong prefix, character, checksum, padding or length.
 */
export function decodeBech32m(prefix: string, text: string): Result<Uint8Array, 'mistyped'> {
  const compact = text.replace(/\s+/g, '');
  if (compact.length > maxTextLength) return err('mistyped');
  try {
    const decoded = bech32m.decode(compact as `${string}1${string}`, false);
    if (decoded.prefix !== prefix) return err('mistyped');
    return ok(bech32m.fromWords(decoded.words));
  } catch {
    return err('mistyped');
  }
}
