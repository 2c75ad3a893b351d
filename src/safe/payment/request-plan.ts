/** Which section a payment sends each request to, and which certificates are still valid (N34). */
import { matches } from '#address/prefix.ts';
import { Writer, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  signingKeyFor,
  sectionKeyHash,
  missingInclusionProofs,
  type SpendCertificate,
  type SectionKeys,
  type InputSource,
} from '#money/spend-certificate.ts';
import { verifyInclusion } from '#money/inclusion-proof.ts';
import { decodeTransaction, slotName, txidOf, type Transaction } from '#money/transaction.ts';
import { outputName } from '#protocol/mint/index.ts';
import { REQUEST_BYTES } from '#protocol/spentbook/index.ts';
import type {
  AskingPhase,
  MissingInclusion,
  PaymentSection,
  PaymentSections,
  RequestPlan,
} from './state.ts';

/** Every slot starts here; later ballots are for recovery (SPENTBOOK-R3). */
const firstBallot = 0;

/** The view of a following client: its money keys, and the elders of the current ones. */
export const paymentSectionsOf = (
  keys: SectionKeys,
  sections: readonly PaymentSection[],
): PaymentSections => ({
  ...keys,
  current: keys.current.flatMap(({ prefix, key, epoch }) => {
    const elders = sections.find((each) => equalBytes(each.key, key))?.elders;
    return elders === undefined ? [] : [{ prefix, key, epoch, elders }];
  }),
});

/** Every address of a transaction: the slots of its inputs, the names of its outputs. */
export const addressesOf = (transaction: Transaction): readonly Uint8Array[] => [
  ...transaction.inputs.map(({ keyImage }) => slotName(keyImage)),
  ...transaction.outputs.map(({ oneTimeKey }) => outputName(oneTimeKey)),
];

/** The section responsible for this address now; undefined while the client knows none. */
export const paymentSectionAt = (
  sections: PaymentSections,
  address: Uint8Array,
): PaymentSection | undefined => sections.current.find(({ prefix }) => matches(prefix, address));

/** @param prepared certificates that the payment has: each is for the ballot of its slot. */
export function requestPlanOf(
  transaction: Transaction,
  sections: PaymentSections,
  missing: readonly MissingInclusion[],
  prepared: readonly (SpendCertificate | null)[],
): RequestPlan {
  const txid = txidOf(transaction);
  const slots = transaction.inputs.map(({ keyImage }, index) => ({
    name: slotName(keyImage),
    keyImage,
    ballot: prepared[index]?.ballot ?? firstBallot,
  }));
  const id = (phase: AskingPhase, index: number, address: Uint8Array, ballot = 0): Uint8Array => {
    const key = paymentSectionAt(sections, address)?.key ?? new Uint8Array();
    const at = Uint8Array.of(index);
    const hash = labelledHash(
      'safe/v1/payment/request',
      txid,
      utf8(phase),
      at,
      sectionKeyHash(key),
      new Writer().u64(BigInt(ballot)).finish(),
    );
    return hash.slice(0, REQUEST_BYTES);
  };
  const requests = {
    proving: missing.map(({ slot }, index) => id('proving', index, slot)),
    preparing: slots.map(({ name, ballot }, index) => id('preparing', index, name, ballot)),
    committing: slots.map(({ name, ballot }, index) => id('committing', index, name, ballot)),
    registering: transaction.outputs.map(({ oneTimeKey }, index) =>
      id('registering', index, outputName(oneTimeKey)),
    ),
  };
  return { transaction, txid, slots, requests };
}

/** Two views are equal for a payment when the same keys are responsible for all its addresses. */
export function keysFor(
  plan: RequestPlan,
  sections: PaymentSections,
  sources: readonly InputSource[],
): string {
  const keys = addressesOf(plan.transaction).map((address) =>
    toHex(paymentSectionAt(sections, address)?.key ?? address),
  );
  const waiting = sourcesMissingInclusion(sections, sources).map(
    ({ sourceIndex, certificateIndex }) => [sourceIndex, certificateIndex],
  );
  return JSON.stringify([keys, waiting]);
}

/** A prepare certificate expires with its epoch: preparing again is always possible (PAYMENT-P7). */
export const isPrepareCertificateValid = (
  sections: SectionKeys,
  slot: Uint8Array,
  certificate: SpendCertificate,
): boolean => signingKeyFor(sections, slot, certificate.epoch)?.sealedRoot === null;

/** A commit certificate outlives its epoch with an inclusion proof. */
export function isCommitCertificateValid(
  sections: SectionKeys,
  slot: Uint8Array,
  txid: Uint8Array,
  certificate: SpendCertificate,
): boolean {
  const signer = signingKeyFor(sections, slot, certificate.epoch);
  if (signer === undefined) return false;
  const { sealedRoot } = signer;
  if (sealedRoot === null) return true;
  const { inclusion } = certificate;
  return inclusion !== null && verifyInclusion(sealedRoot, slot, txid, inclusion);
}

/** Every certificate of the sources that elders would refuse for lack of an inclusion proof. */
export const sourcesMissingInclusion = (
  sections: SectionKeys,
  sources: readonly InputSource[],
): readonly MissingInclusion[] =>
  sources.flatMap((source, at) => {
    if (source.kind === 'genesis') return [];
    const decoded = decodeTransaction(source.transaction);
    if (!decoded.ok) return [];
    const transaction = decoded.value;
    const txid = txidOf(transaction);
    return missingInclusionProofs(sections, transaction, source.certificates).flatMap((index) => {
      const input = transaction.inputs[index];
      const certificate = source.certificates[index];
      if (input === undefined || certificate === undefined) return [];
      const slot = slotName(input.keyImage);
      return [{ sourceIndex: at, certificateIndex: index, slot, epoch: certificate.epoch, txid }];
    });
  });

/** The sources with one more inclusion proof. */
export const addInclusion = (
  sources: readonly InputSource[],
  { sourceIndex: at, certificateIndex: index }: MissingInclusion,
  inclusion: NonNullable<SpendCertificate['inclusion']>,
): readonly InputSource[] =>
  sources.map((source, i) => {
    if (i !== at || source.kind === 'genesis') return source;
    const certificates = source.certificates.map((each, k) =>
      k === index ? { ...each, inclusion } : each,
    );
    return { ...source, certificates };
  });
