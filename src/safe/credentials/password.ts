/** Password rules. */
import type { Brand } from '#core/brand.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';

/** A password in its one form: NFKD, as UTF-8. */
export type Password = Brand<Uint8Array, 'Password'>;

export type PasswordProblem = 'tooShort' | 'tooLong' | 'notText';

export const MIN_PASSWORD_CHARACTERS = 8;
export const MAX_PASSWORD_BYTES = 256;

/**
 * NFKD folds what keyboards and input methods write differently (full-width digits, no-break
 * spaces, composed accents). Nothing is trimmed and no mixture of characters is demanded.
 */
export function toPassword(typed: string): Result<Password, PasswordProblem> {
  const normal = typed.normalize('NFKD');
  // Half a character of a pair, or one no key types: a password manager's or a paste's mistake.
  if (!typed.isWellFormed() || /\p{Cc}/u.test(normal)) return err('notText');
  if ([...normal].length < MIN_PASSWORD_CHARACTERS) return err('tooShort');
  const bytes = utf8(normal);
  return bytes.length > MAX_PASSWORD_BYTES ? err('tooLong') : ok(bytes as Password);
}
