/** Characters and a section for the money tests; the section's key is shared by seven toy elders. */
import { EMPTY_PREFIX } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { addressOf } from '#money/address.ts';
import {
  onlySection,
  statementBytes,
  type Certificate,
  type MoneySection,
  type Phase,
  type SectionKeys,
} from '#money/certificate.ts';
import type { IdentitySuite } from '#money/identity.ts';
import { genesisKeyPair, walletKeys, type WalletKeys } from '#money/keys.ts';
import { txidOf, type Transaction } from '#money/transaction.ts';
import type { ScalarField } from '#crypto/scalar-field.ts';
import { utf8, concat } from '#core/codec/bytes.ts';

export const networkId = labelledHash('test/network', utf8('money'));
export const genesisAmount = 1_000_000_000_000n;

export const seedOf = (name: string): Uint8Array => labelledHash('test/seed', utf8(name));
export const keysOf = (name: string): WalletKeys => walletKeys(seedOf(name));
export const addressFor = (name: string) => addressOf(keysOf(name));

/** The faucet's one seed: the network's first coin and a wallet. */
export const faucet = keysOf('faucet');
export const genesis = genesisKeyPair(seedOf('faucet'));

export interface TestElder {
  readonly id: string;
  readonly name: Uint8Array;
  readonly index: number;
  readonly secretShare: Uint8Array;
  readonly publicShare: Uint8Array;
  readonly identitySeed: Uint8Array;
}

export interface TestSection {
  readonly section: MoneySection;
  /** The view of who knows this section alone. */
  readonly known: SectionKeys;
  readonly elders: readonly TestElder[];
  /** The whole section secret, which only a test has. */
  readonly secret: Uint8Array;
}

/** A section of seven whose polynomial a dealer drew: a test's shortcut, never production's. */
export function makeSection(
  suite: ThresholdSuite,
  field: ScalarField,
  publicIdentity: (seed: Uint8Array) => Uint8Array,
  sharesNeeded = 5,
): TestSection {
  const coefficients = Array.from({ length: sharesNeeded }, (_, k) =>
    field.reduce(
      concat(
        labelledHash('test/coefficient', Uint8Array.of(k)),
        labelledHash('test/coefficient2', Uint8Array.of(k)),
      ),
    ),
  );
  const secret = field.evaluate(coefficients, 0);
  const elders = Array.from({ length: 7 }, (_, i): TestElder => {
    const identitySeed = seedOf(`elder ${i + 1}`);
    const name = publicIdentity(identitySeed);
    const secretShare = field.evaluate(coefficients, i + 1);
    return {
      id: toHex(name),
      name,
      index: i + 1,
      secretShare,
      publicShare: suite.publicKey(secretShare),
      identitySeed,
    };
  });
  const section: MoneySection = {
    networkId,
    prefix: EMPTY_PREFIX,
    key: suite.publicKey(secret),
    epoch: 0n,
    genesisOutput: { oneTimeKey: genesis.oneTimeKey, amount: genesisAmount },
  };
  return { section, known: onlySection(section), elders, secret };
}

/** Signatures for tests that are not about signatures: unforgeable by who does not call `sign`. */
export const toyIdentity: IdentitySuite = {
  sign: (seed, message) => {
    const half = labelledHash('test/toy-identity', toyName(seed), message);
    return concat(half, half);
  },
  verify: (name, message, signature) => {
    const half = labelledHash('test/toy-identity', name, message);
    return toHex(concat(half, half)) === toHex(signature);
  },
};

export const toyName = (seed: Uint8Array): Uint8Array => labelledHash('test/toy-name', seed);

/** What the whole section would sign for every input of a transaction. */
export function certify(
  { section, secret }: TestSection,
  suite: ThresholdSuite,
  phase: Phase,
  transaction: Transaction,
): readonly Certificate[] {
  const txid = txidOf(transaction);
  return transaction.inputs.map(({ keyImage }) => ({
    epoch: section.epoch,
    ballot: 0,
    signature: suite.sign(secret, phase, statementBytes(section, { keyImage, ballot: 0, txid })),
    sealed: null,
  }));
}
