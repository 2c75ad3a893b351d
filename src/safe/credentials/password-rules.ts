/** Password rules (ACCESS-K2). */
import type { Brand } from '#core/brand.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';

/** A password in its canonical form: NFKD, as UTF-8. */
export type Password = Brand<Uint8Array, 'Password'>;

export type PasswordProblem = 'tooShort' | 'tooLong' | 'notText';

export const MIN_PASSWORD_CHARACTERS = 8;
export const MAX_PASSWORD_BYTES = 256;

/**
 * ACCESS-K2: NFKD unifies what keyboards and input methods write differently (full-width digits, no-break spaces,
 * composed accents). Nothing is trimmed and no mixture of characters is required.
 */
export function toPassword(typed: string): Result<Password, PasswordProblem> {
  const normal = typed.normalize('NFKD');
  // A lone surrogate, or a control character: an error of a password manager or of pasting.
  if (!typed.isWellFormed() || /\p{Cc}/u.test(normal)) return err('notText');
  if ([...normal].length < MIN_PASSWORD_CHARACTERS) return err('tooShort');
  const bytes = utf8(normal);
  return bytes.length > MAX_PASSWORD_BYTES ? err('tooLong') : ok(bytes as Password);
}
