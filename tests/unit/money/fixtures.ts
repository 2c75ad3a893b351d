/** Characters and a section for the money tests; the section's key is shared by seven toy elders. */
import { EMPTY_PREFIX } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { addressOf } from '#money/wallet-address.ts';
import {
  singleSectionKeys,
  spendStatementBytes,
  type SpendCertificate,
  type MoneySection,
  type SpendPhase,
  type SectionKeys,
} from '#money/spend-certificate.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { genesisKeyPair, walletKeys, type WalletKeys } from '#money/wallet-keys.ts';
import { txidOf, type Transaction } from '#money/transaction.ts';
import type { ScalarField } from '#crypto/scalar-field.ts';
import { utf8, concat } from '#core/codec/bytes.ts';

export const networkId = labelledHash('test/network', utf8('money'));
export const genesisAmount = 1_000_000_000_000n;

export const seedOf = (name: string): Uint8Array => labelledHash('test/seed', utf8(name));
export const keysOf = (name: string): WalletKeys => walletKeys(seedOf(name));
export const addressFor = (name: string) => addressOf(keysOf(name));

/** The faucet's only seed: the network's first coin and a wallet. */
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
  /** The view of a verifier that knows only this section. */
  readonly known: SectionKeys;
  readonly elders: readonly TestElder[];
  /** The whole section secret, which only a test has. */
  readonly secret: Uint8Array;
}

/** A section of seven with a dealer's polynomial: for tests, never for production. */
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
  return { section, known: singleSectionKeys(section), elders, secret };
}

/** Signatures for tests that are not about signatures: only a caller of `sign` can make them. */
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

/** The whole section's signatures for every input of a transaction. */
export function certify(
  { section, secret }: TestSection,
  suite: ThresholdSuite,
  phase: SpendPhase,
  transaction: Transaction,
): readonly SpendCertificate[] {
  const txid = txidOf(transaction);
  return transaction.inputs.map(({ keyImage }) => ({
    epoch: section.epoch,
    ballot: 0,
    signature: suite.sign(
      secret,
      phase,
      spendStatementBytes(section, { keyImage, ballot: 0, txid }),
    ),
    inclusion: null,
  }));
}
