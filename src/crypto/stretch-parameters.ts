/** How strongly a password is stretched into a key: parameters, the limits of stored ones, the type of the function. */
import type { Result } from '#core/result.ts';

/** Argon2id with one lane: a browser has one, an attacker would have them all. */
export interface StretchParameters {
  readonly memoryKiB: number;
  readonly passes: number;
}

/** About 0.3 s in a browser, and 15 million guesses for a dollar on rented graphics cards. */
export const STRETCH_STANDARD: StretchParameters = { memoryKiB: 65_536, passes: 3 };

/** ACCESS-K1: stored parameters are untrusted: too weak or too heavy ones mean a damaged record. */
export const stretchWithinLimits = ({ memoryKiB, passes }: StretchParameters): boolean =>
  Number.isInteger(memoryKiB) &&
  memoryKiB >= 19_456 &&
  memoryKiB <= 1_048_576 &&
  Number.isInteger(passes) &&
  passes >= 2 &&
  passes <= 16;

/** Argon2id → 32 bytes; done by `runtime/jobs/argon2.ts`, injected into `safe/`. */
export type Stretch = (
  password: Uint8Array,
  salt: Uint8Array,
  parameters: StretchParameters,
) => Promise<Result<Uint8Array, 'outOfRange' | 'outOfMemory'>>;
