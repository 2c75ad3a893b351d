/** Which section a payment has to ask for what, and which certificates still count (N34). */
import { matches } from '#address/prefix.ts';
import { equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  keyAt,
  sectionKeyHash,
  unsealedAt,
  type Certificate,
  type MoneySection,
  type SectionKeys,
  type Source,
} from '#money/certificate.ts';
import { verifySealed } from '#money/sealed.ts';
import { decodeTransaction, slotName, txidOf, type Transaction } from '#money/transaction.ts';
import { outputName } from '#protocol/mint/index.ts';
import { REQUEST_BYTES } from '#protocol/spentbook/index.ts';
import type {
  AskingPhase,
  MissingPath,
  PaymentElder,
  PaymentSection,
  PaymentSections,
  Plan,
} from './state.ts';

/** The view of a client that knows one section and no history. */
export const onlyPaymentSection = (
  section: MoneySection,
  elders: readonly PaymentElder[],
): PaymentSections => ({
  networkId: section.networkId,
  genesisOutput: section.genesisOutput,
  current: [{ prefix: section.prefix, key: section.key, epoch: section.epoch, elders }],
  superseded: [],
});

/** The view of a client that follows: its money keys, and whoever sits there. */
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

/** Every address that a transaction touches: the slots of its inputs, the names of its outputs. */
export const addressesOf = (transaction: Transaction): readonly Uint8Array[] => [
  ...transaction.inputs.map(({ keyImage }) => slotName(keyImage)),
  ...transaction.outputs.map(({ oneTimeKey }) => outputName(oneTimeKey)),
];

/** Who answers for this address now; undefined when the client knows of nobody. */
export const sectionAt = (
  sections: PaymentSections,
  address: Uint8Array,
): PaymentSection | undefined => sections.current.find(({ prefix }) => matches(prefix, address));

export function planOf(
  transaction: Transaction,
  sections: PaymentSections,
  missing: readonly MissingPath[],
): Plan {
  const txid = txidOf(transaction);
  const slots = transaction.inputs.map(({ keyImage }) => ({
    name: slotName(keyImage),
    keyImage,
  }));
  const id = (phase: AskingPhase, index: number, address: Uint8Array): Uint8Array => {
    const key = sectionAt(sections, address)?.key ?? new Uint8Array();
    const at = Uint8Array.of(index);
    const hash = labelledHash(
      'safe/v1/payment/request',
      txid,
      utf8(phase),
      at,
      sectionKeyHash(key),
    );
    return hash.slice(0, REQUEST_BYTES);
  };
  const requests = {
    proving: missing.map(({ slot }, index) => id('proving', index, slot)),
    preparing: slots.map(({ name }, index) => id('preparing', index, name)),
    committing: slots.map(({ name }, index) => id('committing', index, name)),
    registering: transaction.outputs.map(({ oneTimeKey }, index) =>
      id('registering', index, outputName(oneTimeKey)),
    ),
  };
  return { transaction, txid, slots, requests };
}

/** Two views are the same to a payment when the same keys answer for all it touches. */
export function viewOf(plan: Plan, sections: PaymentSections, sources: readonly Source[]): string {
  const keys = addressesOf(plan.transaction).map((address) =>
    toHex(sectionAt(sections, address)?.key ?? address),
  );
  const waiting = missingPaths(sections, sources).map(({ source, certificate }) => [
    source,
    certificate,
  ]);
  return JSON.stringify([keys, waiting]);
}

/** A prepared certificate is void with its epoch: preparing again is always possible (f.6). */
export const isCurrent = (
  sections: SectionKeys,
  slot: Uint8Array,
  certificate: Certificate,
): boolean => keyAt(sections, slot, certificate.epoch)?.sealedRoot === null;

/** A commit certificate outlives its epoch with a path to the sealed root. */
export function counts(
  sections: SectionKeys,
  slot: Uint8Array,
  txid: Uint8Array,
  certificate: Certificate,
): boolean {
  const signer = keyAt(sections, slot, certificate.epoch);
  if (signer === undefined) return false;
  const { sealedRoot } = signer;
  if (sealedRoot === null) return true;
  const { sealed } = certificate;
  return sealed !== null && verifySealed(sealedRoot, slot, txid, sealed);
}

/** Every certificate of the sources that elders would refuse for want of a path. */
export const missingPaths = (
  sections: SectionKeys,
  sources: readonly Source[],
): readonly MissingPath[] =>
  sources.flatMap((source, at) => {
    if (source.kind === 'genesis') return [];
    const decoded = decodeTransaction(source.transaction);
    if (!decoded.ok) return [];
    const transaction = decoded.value;
    const txid = txidOf(transaction);
    return unsealedAt(sections, transaction, source.certificates).flatMap((index) => {
      const input = transaction.inputs[index];
      const certificate = source.certificates[index];
      if (input === undefined || certificate === undefined) return [];
      const slot = slotName(input.keyImage);
      return [{ source: at, certificate: index, slot, epoch: certificate.epoch, txid }];
    });
  });

/** The sources with one path more. */
export const withPath = (
  sources: readonly Source[],
  { source: at, certificate: index }: MissingPath,
  sealed: NonNullable<Certificate['sealed']>,
): readonly Source[] =>
  sources.map((source, i) => {
    if (i !== at || source.kind === 'genesis') return source;
    const certificates = source.certificates.map((each, k) =>
      k === index ? { ...each, sealed } : each,
    );
    return { ...source, certificates };
  });
