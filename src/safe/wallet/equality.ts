/**
 * Compares two copies of one wallet record. Nearly always equal by identity or bytes: only the rest is
 * compared in full.
 */
import { equalBytes } from '#core/codec/bytes.ts';
import type { InputSource } from '#money/spend-certificate.ts';
import type { Coin } from './coin.ts';
import { sameProof } from './stored/proof-table.ts';

/** The part of a payment that is written once and never changes. */
export interface PaymentTerms {
  readonly txid: Uint8Array;
  readonly amount: bigint;
  readonly address: string;
  readonly memo: Uint8Array;
}

export const sameTerms = (a: PaymentTerms, b: PaymentTerms): boolean =>
  a.amount === b.amount &&
  a.address === b.address &&
  equalBytes(a.txid, b.txid) &&
  equalBytes(a.memo, b.memo);

export const sameCoin = (a: Coin, b: Coin): boolean =>
  a === b ||
  (a.amount === b.amount &&
    equalBytes(a.keyImage, b.keyImage) &&
    equalBytes(a.oneTimeKey, b.oneTimeKey) &&
    equalBytes(a.memo, b.memo) &&
    sameOrNull(a.txid, b.txid) &&
    sameOrNull(tweakOf(a), tweakOf(b)));

export const sameSource = (a: InputSource, b: InputSource): boolean =>
  a === b ||
  (a.kind === 'genesis' || b.kind === 'genesis'
    ? a.kind === b.kind
    : a.index === b.index && sameProof(a, b));

const tweakOf = ({ key }: Coin): Uint8Array | null => (key.kind === 'stealth' ? key.tweak : null);

const sameOrNull = (a: Uint8Array | null, b: Uint8Array | null): boolean =>
  a === null || b === null ? a === b : equalBytes(a, b);
