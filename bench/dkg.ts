/**
 * The processor time of one candidate in a key generation of seven, compared with the curve
 * arithmetic that its dealings require.
 */
import { bls12_381 } from '@noble/curves/bls12-381.js';
import { ristretto255 } from '@noble/curves/ed25519.js';
import { blsDealings } from '#crypto/dealing/dealing-suite.ts';
import { COEFFICIENTS, OPENED_ROUNDS, RECEIVERS, ROUNDS } from '#crypto/dealing/dealing-layout.ts';
import { blsPublicKey, blsSign, blsVerify } from '#crypto/bls.ts';
import { hashToScalar } from '#crypto/ristretto.ts';
import { sha256 } from '#crypto/hash.ts';
import { median, report, row, printLine } from './support/report.ts';

const rounds = 7;
const fixed = (byte: number): Uint8Array => sha256(Uint8Array.of(byte));

/** Milliseconds of this thread; the first two calls warm the code. */
function cost(call: () => unknown, times = rounds): number {
  const took: number[] = [];
  for (let n = 0; n < times + 2; n++) {
    const before = process.cpuUsage();
    call();
    const { user, system } = process.cpuUsage(before);
    if (n >= 2) took.push((user + system) / 1000);
  }
  return median(took);
}

/** The cost of one of many cheap calls. */
const each = (call: (n: number) => unknown, count = 100): number =>
  cost(() => {
    for (let n = 0; n < count; n++) call(n);
  }) / count;

const secrets = Array.from({ length: RECEIVERS }, (_, i) => blsDealings.toSharingSecret(fixed(i)));
const keys = secrets.map(blsDealings.sharingKey);
const binding = fixed(100);
const dealings = Array.from({ length: RECEIVERS }, (_, i) =>
  blsDealings.deal(binding, keys, fixed(200 + i)),
);
const [dealing = new Uint8Array()] = dealings;
const [secret = new Uint8Array()] = secrets;

printLine('One dealing …');
const make = cost(() => blsDealings.deal(binding, keys, fixed(9)));
const verify = cost(() => blsDealings.verify(binding, keys, dealing));
const open = cost(() => blsDealings.decryptShare(binding, 1, secret, dealing));
const sum = cost(() => blsDealings.sumDealings(dealings));

printLine('The curves …');
// Both bases have a table of multiples, as in the dealings: only additions remain.
const base = bls12_381.G1.Point.fromAffine(bls12_381.G1.Point.BASE.toAffine()).precompute(8, false);
const receiver = ristretto255.Point.BASE.multiply(5n).precompute(6, false);
const scalars = Array.from({ length: 100 }, (_, n) => hashToScalar('safe-bench', Uint8Array.of(n)));
const g1 = each((n) => base.multiplyUnsafe(scalars[n] ?? 1n));
const product = each((n) => receiver.multiplyUnsafe(scalars[n] ?? 1n));
const encoded = scalars.map((t) => receiver.multiply(t));
const encode = each((n) => encoded[n]?.toBytes());
const key = blsPublicKey(fixed(1));
const signature = blsSign(fixed(1), 'PROBE', fixed(2));
const pairings = cost(() => blsVerify(key, 'PROBE', fixed(2), signature));

/**
 * One candidate makes one dealing, verifies six and opens seven:
 *
 *   make    N·(n + 1) products with their encodings in ristretto255, N in G1
 *   verify  o·(n + 1) products with their encodings, N in G1, one product of two pairings
 *   open    one product in either group
 */
const withEncoding = product + encode;
const floorOfMake = ROUNDS * ((RECEIVERS + 1) * withEncoding + g1);
const floorOfVerify = OPENED_ROUNDS * (RECEIVERS + 1) * withEncoding + ROUNDS * g1 + pairings;
const floorOfOpen = product + g1;
const perCandidate = make + (RECEIVERS - 1) * verify + RECEIVERS * open + sum;
const floor =
  floorOfMake +
  (RECEIVERS - 1) * floorOfVerify +
  RECEIVERS * floorOfOpen +
  COEFFICIENTS * RECEIVERS * g1;

report('dkg', [
  row('dkg7', perCandidate, 'ms', { name: 'crypto floor', value: floor }),
  row('dkg7.make', make, 'ms', { name: 'crypto floor', value: floorOfMake }),
  row('dkg7.verify', verify, 'ms', { name: 'crypto floor', value: floorOfVerify }),
  row('dkg7.open', open, 'ms', { name: 'crypto floor', value: floorOfOpen }),
  row('dkg7.sum', sum, 'ms'),
  row('dkg7.bytes', dealing.length, 'B'),
]);
