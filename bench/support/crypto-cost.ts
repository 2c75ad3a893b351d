/** Costs of a payment's primitives on this thread: the same code in Node and in a browser. */
import { blsScalars } from '#crypto/bls.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { encodeScalar, hashToScalar, keyImageOf, publicPoint } from '#crypto/ristretto.ts';
import { signInput, verifyInput } from '#money/ring-signature.ts';

/** Milliseconds each, the median of several warm calls. */
export interface CryptoCost {
  readonly blsSign: number;
  readonly blsVerify: number;
  /** Five shares. */
  readonly blsCombine: number;
  readonly ringSign: number;
  readonly ringVerify: number;
}

const warmCalls = 4;
const countedCalls = 9;
const sharesNeeded = 5;

export function cryptoCost(): CryptoCost {
  const fixed = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
  const coefficients = Array.from({ length: sharesNeeded }, (_, k) =>
    blsScalars.reduce(new Uint8Array(64).fill(k + 3)),
  );
  const secret = blsScalars.evaluate(coefficients, 0);
  const key = blsSuite.publicKey(secret);
  const message = fixed(7);
  const shares = Array.from({ length: sharesNeeded }, (_, i) => ({
    index: i + 1,
    signature: blsSuite.sign(blsScalars.evaluate(coefficients, i + 1), 'PROBE', message),
  }));
  const signature = blsSuite.combine(shares) ?? fixed(0);
  const p = hashToScalar('safe-bench', message);
  const oneTimeKey = publicPoint(p);
  const spent = { oneTimeKey, keyImage: keyImageOf(p, oneTimeKey, fixed(9)) };
  const proof = signInput(encodeScalar(p), spent, message, fixed(1));

  return {
    blsSign: median(() => blsSuite.sign(secret, 'PROBE', message).length > 0),
    blsVerify: median(() => blsSuite.verify(key, 'PROBE', message, signature)),
    blsCombine: median(() => blsSuite.combine(shares) !== undefined),
    ringSign: median(() => signInput(encodeScalar(p), spent, message, fixed(1)).s.length > 0),
    ringVerify: median(() => verifyInput(spent, message, proof)),
  };
}

function median(call: () => boolean): number {
  const took: number[] = [];
  for (let n = 0; n < warmCalls + countedCalls; n++) {
    const startedMs = performance.now();
    if (!call()) throw new Error('a primitive failed');
    if (n >= warmCalls) took.push(performance.now() - startedMs);
  }
  return took.sort((a, b) => a - b)[countedCalls >> 1] ?? 0;
}
