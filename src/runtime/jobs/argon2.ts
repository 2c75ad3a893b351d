/** Argon2id (RFC 9106) through hash-wasm: the slow step between a password and a key. */
import { argon2id } from 'hash-wasm';
import { err, ok, type Result } from '#core/result.ts';
import {
  stretchWithinLimits,
  type Stretch,
  type StretchParameters,
} from '#crypto/stretch-parameters.ts';

/**
 * @returns 32 bytes; `outOfRange` for parameters outside the accepted range (an attacker who changed a
 * stored document must not choose them), `outOfMemory` when the device cannot allocate the memory.
 */
export async function stretchPassword(
  password: Uint8Array,
  salt: Uint8Array,
  parameters: StretchParameters,
): Promise<Result<Uint8Array, 'outOfRange' | 'outOfMemory'>> {
  if (!stretchWithinLimits(parameters) || salt.length !== 16) return err('outOfRange');
  return stretchUnchecked(password, salt, parameters);
}

/** Skips the range check: for test vectors and for weaker parameters in unit tests only. */
export async function stretchUnchecked(
  password: Uint8Array,
  salt: Uint8Array,
  { memoryKiB, passes }: StretchParameters,
): ReturnType<Stretch> {
  try {
    const hash = await argon2id({
      password,
      salt,
      iterations: passes,
      memorySize: memoryKiB,
      parallelism: 1,
      hashLength: 32,
      outputType: 'binary',
    });
    return ok(hash);
  } catch (reason) {
    // WebAssembly reports a failed allocation as a RangeError; any other error is our bug.
    if (reason instanceof RangeError) return err('outOfMemory');
    throw reason;
  }
}
