/**
 * A dealing: a secret polynomial shared among seven, whose shares anyone can verify and only their
 * receivers can read (publicly verifiable secret sharing by cut and choose, N14–N17).
 *
 * Letters: f = secret polynomial of degree 4, Aₖ = fₖ·g₁, Cₖ = fₖ·g₂; Yᵢ = yᵢ·B the receivers' keys
 * in ristretto255. Round j: a seed gives r (degree 4) and t; T = t·B, Kᵢ = t·Yᵢ = yᵢ·T,
 * eᵢ = r(i) + pad(Kᵢ), z = r + f. The dealer commits to all rounds (D₁), reveals r(ρ)·g₁ at a point
 * ρ derived from D₁ (D₂), and then the seeds of 48 rounds derived from D₂.
 *
 * Soundness: a round with wrong ciphertexts is detected if opened; one with z ≠ r + f is detected
 * if not, because z was fixed before ρ. So a cheating dealer must be wrong in all 96 unopened
 * rounds and right in all 48 opened ones, that is, guess one subset of more than 2^128.
 */
import { bls12_381 } from '@noble/curves/bls12-381.js';
import { normalizeZ } from '@noble/curves/abstract/curve.js';
import { ristretto255 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { assert } from '#core/assert.ts';
import { concat, toHex, utf8, Writer } from '#core/codec/bytes.ts';
import { blsScalars, decodeG1, decodeG2 } from '../bls.ts';
import {
  COEFFICIENTS,
  decodeDealing,
  encodeDealing,
  OPENED_ROUNDS,
  RECEIVERS,
  ROUNDS,
  type DealingParts,
  type OpenedRound,
  type UnopenedRound,
} from './dealing-layout.ts';
import { labelledHash } from '../hash.ts';
import {
  decodePoint,
  decodeScalar,
  encodeScalar,
  G,
  hashToScalar,
  modOrder,
  type Point,
} from '../ristretto.ts';

const G1 = bls12_381.G1.Point;
const G2 = bls12_381.G2.Point;
type G1Point = InstanceType<typeof G1>;
type G2Point = InstanceType<typeof G2>;
const { mod } = blsScalars;

/** The keys of summed dealings. */
export interface DealingKeys {
  /** 96 bytes. */
  readonly key: Uint8Array;
  /** Of receivers 1…7, 96 bytes each. */
  readonly publicShares: readonly Uint8Array[];
}

/** The mathematics of a key generation, injected so that the simulator can use a toy suite. */
export interface DealingSuite {
  /** @returns 32 bytes: a sharing secret from any fresh secret bytes. */
  readonly toSharingSecret: (entropy: Uint8Array) => Uint8Array;
  /** @returns 32 bytes: the public key of a sharing secret, to which shares are encrypted. */
  readonly sharingKey: (secret: Uint8Array) => Uint8Array;
  /** Can a share be encrypted to these bytes? */
  readonly isSharingKey: (bytes: Uint8Array) => boolean;
  /**
   * Makes a dealing for seven sharing keys; it keeps no copy of the polynomial (N18).
   * @param binding hash of network, session, dealer and key list (N14).
   * @param seed 32 secret bytes, fresh for this dealing.
   */
  readonly deal: (binding: Uint8Array, keys: readonly Uint8Array[], seed: Uint8Array) => Uint8Array;
  /** Does every receiver get its share? The same result for every verifier; never throws. */
  readonly verify: (
    binding: Uint8Array,
    keys: readonly Uint8Array[],
    dealing: Uint8Array,
  ) => boolean;
  /**
   * N17. @returns the receiver's share (32 bytes) of a verified dealing, undefined if it has none.
   */
  readonly decryptShare: (
    binding: Uint8Array,
    receiver: number,
    secret: Uint8Array,
    dealing: Uint8Array,
  ) => Uint8Array | undefined;
  /** The key of the sum of verified dealings; undefined when a sum is the identity. */
  readonly sumDealings: (dealings: readonly Uint8Array[]) => DealingKeys | undefined;
  readonly sumShares: (shares: readonly Uint8Array[]) => Uint8Array;
  /** N17: the receiver's proof that a dealing has no share for it; undefined if it has one. */
  readonly proveUndecryptable: (
    binding: Uint8Array,
    receiver: number,
    secret: Uint8Array,
    dealing: Uint8Array,
  ) => Uint8Array | undefined;
  readonly verifyUndecryptable: (
    binding: Uint8Array,
    receiver: number,
    sharingKey: Uint8Array,
    dealing: Uint8Array,
    proof: Uint8Array,
  ) => boolean;
}

export const blsDealings: DealingSuite = {
  toSharingSecret: (entropy) =>
    encodeScalar(hashToScalar('safe/v1/dealing/sharing-secret', entropy)),
  sharingKey: (secret) => G.multiply(sharingSecret(secret)).toBytes(),
  isSharingKey: (bytes) => decodePoint(bytes) !== undefined,
  deal,
  verify,
  decryptShare: open,
  sumDealings,
  sumShares: blsScalars.sum,
  proveUndecryptable,
  verifyUndecryptable,
};

/** One round, as computed from its seed by the dealer or a verifier. */
interface Round {
  readonly seed: Uint8Array;
  readonly r: readonly bigint[];
  readonly T: Uint8Array;
  readonly e: readonly Uint8Array[];
}

function deal(binding: Uint8Array, keys: readonly Uint8Array[], seed: Uint8Array): Uint8Array {
  const Y = keys.map(tableOf);
  assert(keys.length === RECEIVERS && Y.every(isDefined), 'a dealing is for seven sharing keys');
  const f = polynomial('safe/v1/dealing/secret', seed);
  const A = f.map((fk) => G1.BASE.multiply(fk).toBytes());
  const C = f.map((fk) => G2.BASE.multiply(fk).toBytes());
  const rounds = Array.from({ length: ROUNDS }, (_, j) =>
    roundOf(binding, j, labelledHash('safe/v1/dealing/round-seed', seed, u32(j)), Y),
  );
  const z = rounds.map(({ r }) => r.map((rk, k) => blsScalars.encode(mod(rk + at(f, k)))));
  const D1 = commit(
    binding,
    { A, C },
    rounds.map((round, j) => ({
      seedHash: hashSeed(round.seed),
      T: round.T,
      e: round.e,
      zHash: hashZ(at(z, j)),
    })),
  );
  const rho = challengePoint(D1);
  const R = rounds.map(({ r }) => generator().multiply(evaluate(r, rho)));
  const opened = openedRounds(secondDigest(D1, R));
  return encodeDealing({
    A,
    C,
    rounds: rounds.map(({ seed: open, T, e }, j): OpenedRound | UnopenedRound =>
      opened.has(j)
        ? { kind: 'opened', seed: open, zHash: hashZ(at(z, j)) }
        : { kind: 'unopened', seedHash: hashSeed(open), T, e, z: at(z, j) },
    ),
  });
}

function verify(binding: Uint8Array, keys: readonly Uint8Array[], dealing: Uint8Array): boolean {
  const parts = decodeDealing(dealing);
  if (parts === undefined || keys.length !== RECEIVERS) return false;
  const Y: Point[] = [];
  for (const key of keys) {
    const table = tableOf(key);
    if (table === undefined) return false;
    Y.push(table);
  }
  const points = commitments(parts);
  if (points === undefined || !sameSecrets(parts, points)) return false;
  const rounds = parts.rounds.map((round, j) => checkable(binding, j, round, Y));
  if (!rounds.every(isDefined)) return false;
  const D1 = commit(binding, parts, rounds);
  const rho = challengePoint(D1);
  // F = f(ρ)·g₁; for an unopened round r(ρ)·g₁ = z(ρ)·g₁ − F.
  const F = points.A.reduceRight((sum, Ak) => timesG1(sum, rho).add(Ak), G1.ZERO);
  const R: G1Point[] = [];
  for (const { known, kind } of rounds) {
    const value = evaluate(known, rho);
    if (value === 0n) return false;
    const point = generator().multiplyUnsafe(value);
    R.push(kind === 'opened' ? point : point.subtract(F));
  }
  if (R.some((point) => point.is0())) return false;
  const opened = openedRounds(secondDigest(D1, R));
  return parts.rounds.every(({ kind }, j) => (kind === 'opened') === opened.has(j));
}

/** A round with all fields D₁ covers; `known` is r of an opened round, z of the others. */
function checkable(
  binding: Uint8Array,
  j: number,
  round: OpenedRound | UnopenedRound,
  Y: readonly Point[],
) {
  if (round.kind === 'opened') {
    const { seed, zHash } = round;
    const { r, T, e } = roundOf(binding, j, seed, Y);
    return { kind: round.kind, seedHash: hashSeed(seed), T, e, zHash, known: r };
  }
  const known: bigint[] = [];
  for (const bytes of round.z) {
    const zk = blsScalars.decode(bytes);
    if (zk === undefined) return undefined;
    known.push(zk);
  }
  const { kind, seedHash, T, e } = round;
  return { kind, seedHash, T, e, zHash: hashZ(round.z), known };
}

/** N17: tries every unopened round; the first that matches the commitment is the share. */
function open(
  binding: Uint8Array,
  receiver: number,
  secret: Uint8Array,
  dealing: Uint8Array,
): Uint8Array | undefined {
  const parts = decodeDealing(dealing);
  const points = parts === undefined ? undefined : commitments(parts);
  if (parts === undefined || points === undefined) return undefined;
  const commitment = evaluateG1(points.A, receiver);
  const y = sharingSecret(secret);
  for (const [j, round] of parts.rounds.entries()) {
    if (round.kind === 'opened') continue;
    const T = decodePoint(round.T);
    if (T === undefined) continue;
    const share = shareOf(binding, j, round, receiver, T.multiply(y).toBytes());
    if (share !== undefined && matchesCommitment(share, commitment))
      return blsScalars.encode(share);
  }
  return undefined;
}

/** s = z(i) − (e − pad); undefined when the round contains no valid scalar. */
function shareOf(
  binding: Uint8Array,
  j: number,
  round: UnopenedRound,
  receiver: number,
  K: Uint8Array,
): bigint | undefined {
  const e = blsScalars.decode(at(round.e, receiver - 1));
  const z = round.z.map(blsScalars.decode);
  if (e === undefined || !z.every(isDefined)) return undefined;
  return mod(evaluate(z, BigInt(receiver)) - e + padOf(binding, j, receiver, round.T, K));
}

const matchesCommitment = (share: bigint, commitment: G1Point): boolean =>
  share !== 0n && G1.BASE.multiply(share).equals(commitment);

function sumDealings(dealings: readonly Uint8Array[]): DealingKeys | undefined {
  let sum: G2Point[] = Array.from({ length: COEFFICIENTS }, () => G2.ZERO);
  for (const dealing of dealings) {
    const C = decodeDealing(dealing)?.C.map(decodeG2);
    if (C === undefined || !C.every(isDefined)) return undefined;
    sum = sum.map((point, k) => point.add(at(C, k)));
  }
  const values = Array.from({ length: RECEIVERS + 1 }, (_, i) =>
    sum.reduceRight((higher, point) => timesG2(higher, BigInt(i)).add(point), G2.ZERO),
  );
  if (values.some((point) => point.is0())) return undefined;
  const [key, ...publicShares] = values.map((point) => point.toBytes());
  return key === undefined ? undefined : { key, publicShares };
}

/**
 * Reveals Kᵢ of one unopened round, with a proof that log_B Yᵢ = log_T Kᵢ (Chaum–Pedersen): anyone
 * can verify that the ciphertext does not contain the committed share. It reveals only this round's
 * plaintext, which is no share.
 */
function proveUndecryptable(
  binding: Uint8Array,
  receiver: number,
  secret: Uint8Array,
  dealing: Uint8Array,
): Uint8Array | undefined {
  const parts = decodeDealing(dealing);
  if (parts === undefined || open(binding, receiver, secret, dealing) !== undefined) {
    return undefined;
  }
  const y = sharingSecret(secret);
  for (const [j, round] of parts.rounds.entries()) {
    if (round.kind === 'opened') continue;
    const T = decodePoint(round.T);
    // An invalid T is visible to every verifier; the proof then needs no key.
    if (T === undefined) return writeProof(j, new Uint8Array(32), 0n, 0n);
    const K = T.multiply(y);
    // Hash the whole challenge input: one nonce with two challenges would reveal the secret.
    const w = hashToScalar(
      'safe/v1/dealing/nonce',
      secret,
      binding,
      Uint8Array.of(j, receiver),
      sha512(dealing),
      round.T,
    );
    const c = dleqChallenge(binding, j, receiver, [
      G.multiply(y).toBytes(),
      round.T,
      K.toBytes(),
      G.multiply(w).toBytes(),
      T.multiply(w).toBytes(),
    ]);
    return writeProof(j, K.toBytes(), c, modOrder(w + c * y));
  }
  return undefined;
}

function verifyUndecryptable(
  binding: Uint8Array,
  receiver: number,
  sharingKey: Uint8Array,
  dealing: Uint8Array,
  proof: Uint8Array,
): boolean {
  const parts = decodeDealing(dealing);
  const points = parts === undefined ? undefined : commitments(parts);
  if (parts === undefined || points === undefined || proof.length !== 97) return false;
  const j = proof[0] ?? 0;
  const round = parts.rounds[j];
  if (round === undefined || round.kind === 'opened') return false;
  const T = decodePoint(round.T);
  if (T === undefined) return true;
  const Y = decodePoint(sharingKey);
  const K = decodePoint(proof.slice(1, 33));
  const c = decodeScalar(proof.slice(33, 65));
  const s = decodeScalar(proof.slice(65, 97));
  if (Y === undefined || K === undefined || c === undefined || s === undefined) return false;
  const expected = dleqChallenge(binding, j, receiver, [
    sharingKey,
    round.T,
    proof.slice(1, 33),
    times(G, s).subtract(times(Y, c)).toBytes(),
    times(T, s).subtract(times(K, c)).toBytes(),
  ]);
  if (expected !== c) return false;
  const share = shareOf(binding, j, round, receiver, proof.slice(1, 33));
  return share === undefined || !matchesCommitment(share, evaluateG1(points.A, receiver));
}

const writeProof = (j: number, K: Uint8Array, c: bigint, s: bigint): Uint8Array =>
  new Writer().u8(j).fixed(K, 32).fixed(encodeScalar(c), 32).fixed(encodeScalar(s), 32).finish();

const dleqChallenge = (
  binding: Uint8Array,
  j: number,
  receiver: number,
  points: readonly Uint8Array[],
): bigint => hashToScalar('safe/v1/dealing/dleq', binding, u32(j), u32(receiver), ...points);

/** Derives all of a round from its seed. */
function roundOf(
  binding: Uint8Array,
  j: number,
  seed: Uint8Array,
  Y: readonly Maybe<Point>[],
): Round {
  const r = polynomial('safe/v1/dealing/blinding', seed);
  const t = hashToScalar('safe/v1/dealing/ephemeral', seed);
  const T = G.multiply(t).toBytes();
  const e = Y.map((key, at) => {
    assert(key !== undefined, 'receivers have keys');
    const K = key.multiply(t).toBytes();
    const value = evaluate(r, BigInt(at + 1)) + padOf(binding, j, at + 1, T, K);
    return blsScalars.encode(mod(value));
  });
  return { seed, r, T, e };
}

/** A scalar below the order of G1 that hides one value of one round from all but its receiver. */
const padOf = (
  binding: Uint8Array,
  j: number,
  receiver: number,
  T: Uint8Array,
  K: Uint8Array,
): bigint =>
  wideScalar(concat(utf8('safe/v1/dealing/pad'), binding, Uint8Array.of(j, receiver), T, K));

/** Five coefficients; one is zero only with negligible probability. */
const polynomial = (label: string, seed: Uint8Array): readonly bigint[] =>
  Array.from({ length: COEFFICIENTS }, (_, k) =>
    wideScalar(concat(utf8(label), Uint8Array.of(k), seed)),
  );

/** SHA-512 of a fixed layout, reduced: the bias is below 2^-250. */
function wideScalar(bytes: Uint8Array): bigint {
  return number(sha512(bytes)) % blsScalars.order;
}

const number = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`);

interface CommittedRound {
  readonly seedHash: Uint8Array;
  readonly T: Uint8Array;
  readonly e: readonly Uint8Array[];
  readonly zHash: Uint8Array;
}

/** D₁: the dealer's commitment before it learns ρ. */
const commit = (
  binding: Uint8Array,
  { A, C }: Pick<DealingParts, 'A' | 'C'>,
  rounds: readonly CommittedRound[],
): Uint8Array =>
  labelledHash(
    'safe/v1/dealing/commitment',
    binding,
    ...A,
    ...C,
    ...rounds.map(({ seedHash, T, e, zHash }) => concat(seedHash, T, ...e, zHash)),
  );

const hashSeed = (seed: Uint8Array): Uint8Array => labelledHash('safe/v1/dealing/seed', seed);

const hashZ = (z: readonly Uint8Array[]): Uint8Array =>
  labelledHash('safe/v1/dealing/masked', concat(...z));

const challengePoint = (D1: Uint8Array): bigint =>
  wideScalar(concat(utf8('safe/v1/dealing/point'), D1));

/** D₂ over r(ρ)·g₁ of every round, as affine coordinates: no compression, no roots. */
function secondDigest(D1: Uint8Array, R: readonly G1Point[]): Uint8Array {
  const coordinates = normalizeZ(G1, [...R]).flatMap((point) => {
    const { x, y } = point.toAffine();
    return [coordinate(x), coordinate(y)];
  });
  return labelledHash('safe/v1/dealing/answers', D1, concat(...coordinates));
}

const coordinate = (value: bigint): Uint8Array => bls12_381.fields.Fp.toBytes(value);

/** The first 48 rounds of a permutation derived from D₂ (Fisher–Yates, unbiased). */
function openedRounds(D2: Uint8Array): ReadonlySet<number> {
  const order = Array.from({ length: ROUNDS }, (_, j) => j);
  const below = uniform(D2);
  for (let i = 0; i < OPENED_ROUNDS; i++) {
    const chosen = i + below(ROUNDS - i);
    [order[i], order[chosen]] = [at(order, chosen), at(order, i)];
  }
  return new Set(order.slice(0, OPENED_ROUNDS));
}

function uniform(seed: Uint8Array): (bound: number) => number {
  let block = new Uint8Array();
  let used = 0;
  let counter = 0;
  return (bound) => {
    for (;;) {
      if (used === block.length) {
        block = Uint8Array.from(labelledHash('safe/v1/dealing/choice', seed, u32(counter++)));
        used = 0;
      }
      const byte = at(block, used++);
      if (byte < 256 - (256 % bound)) return byte % bound;
    }
  };
}

/**
 * N16: the commitments in G1 and G2 have the same coefficients: e(Σ wₖ·Aₖ, g₂) = e(g₁, Σ wₖ·Cₖ)
 * with weights hashed from both vectors.
 */
function sameSecrets(
  parts: DealingParts,
  points: { readonly A: readonly G1Point[]; readonly C: readonly G2Point[] },
): boolean {
  const seed = labelledHash('safe/v1/dealing/weights', ...parts.A, ...parts.C);
  const w = Array.from(
    { length: COEFFICIENTS },
    (_, k) => number(labelledHash('safe/v1/dealing/weight', seed, u32(k)).subarray(0, 16)) + 1n,
  );
  const inG1 = points.A.reduce((sum, Ak, k) => sum.add(timesG1(Ak, at(w, k))), G1.ZERO);
  const inG2 = points.C.reduce((sum, Ck, k) => sum.add(timesG2(Ck, at(w, k))), G2.ZERO);
  if (inG1.is0() || inG2.is0()) return false;
  const product = bls12_381.pairingBatch([
    { g1: inG1, g2: G2.BASE },
    { g1: G1.BASE.negate(), g2: inG2 },
  ]);
  return bls12_381.fields.Fp12.eql(product, bls12_381.fields.Fp12.ONE);
}

/** N16: canonical, in the subgroup, not the identity; undefined when any point fails. */
function commitments(
  parts: DealingParts,
): { readonly A: readonly G1Point[]; readonly C: readonly G2Point[] } | undefined {
  const A = parts.A.map(decodeG1);
  const C = parts.C.map(decodeG2);
  return A.every(isDefined) && C.every(isDefined) ? { A, C } : undefined;
}

const evaluate = (coefficients: readonly bigint[], x: bigint): bigint =>
  coefficients.reduceRight((higher, low) => mod(higher * x + low), 0n);

const evaluateG1 = (A: readonly G1Point[], x: number): G1Point =>
  A.reduceRight((higher, point) => timesG1(higher, BigInt(x)).add(point), G1.ZERO);

const timesG1 = (point: G1Point, scalar: bigint): G1Point =>
  scalar === 0n || point.is0() ? G1.ZERO : point.multiplyUnsafe(scalar);

const timesG2 = (point: G2Point, scalar: bigint): G2Point =>
  scalar === 0n || point.is0() ? G2.ZERO : point.multiplyUnsafe(scalar);

const times = (point: Point, scalar: bigint): Point =>
  scalar === 0n ? ristretto255.Point.ZERO : point.multiplyUnsafe(scalar);

/** A sharing secret is a number in [1, ℓ), 32 bytes little-endian. */
function sharingSecret(secret: Uint8Array): bigint {
  const y = decodeScalar(secret);
  assert(y !== undefined && y !== 0n, 'a sharing secret is a number in [1, ℓ)');
  return y;
}

let generatorTable: G1Point | undefined;

/** g₁ with a larger table than the library's: 40 ms once, then half the time per product. */
function generator(): G1Point {
  generatorTable ??= G1.fromAffine(G1.BASE.toAffine()).precompute(8, false);
  return generatorTable;
}

/** Seven candidates with a session key and a fallback key each. */
const maxKeyTables = 14;
const keyTables = new Map<string, Point>();

/** A receiver's key with its table of multiples, cached for speed only. */
function tableOf(key: Uint8Array): Maybe<Point> {
  const name = toHex(key);
  const known = keyTables.get(name);
  if (known !== undefined) return known;
  const point = decodePoint(key)?.precompute(6, false);
  if (point === undefined) return undefined;
  const [oldest] = keyTables.keys();
  if (keyTables.size >= maxKeyTables && oldest !== undefined) keyTables.delete(oldest);
  keyTables.set(name, point);
  return point;
}

type Maybe<T> = T | undefined;

const isDefined = <T>(value: T | undefined): value is T => value !== undefined;

const u32 = (value: number): Uint8Array => new Writer().u32(value).finish();

function at<T>(list: ArrayLike<T>, index: number): T {
  const value = list[index];
  assert(value !== undefined, 'an index of the layout');
  return value;
}
