/**
 * SPENTBOOK-R3: an elder's report, signed with its own key, and the owner's request for it, signed with the
 * recovery key. Both name the section key, the slot and the ballot, so that neither fits another one.
 */
import { Writer } from '#core/codec/bytes.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import {
  sectionKeyHash,
  spendStatementBytes,
  type SpendStatement,
  type SpendStatementScope,
} from '#money/spend-certificate.ts';
import { SLOT_GENERATION } from '#money/transaction.ts';
import type { SignedReport } from './messages.ts';
import type { SlotRow, SpentbookConfig } from './state.ts';

/** The bytes that the recovery key of the statement's transaction signs. */
export const recoverBytes = (section: SpendStatementScope, statement: SpendStatement): Uint8Array =>
  new Writer()
    .label('safe/v1/spentbook/recover')
    .sized(spendStatementBytes(section, statement))
    .finish();

/** The bytes that the elder signs. */
export function reportBytes(
  section: SpendStatementScope,
  keyImage: Uint8Array,
  { ballot, highest }: Pick<SignedReport, 'ballot' | 'highest'>,
): Uint8Array {
  const writer = new Writer()
    .label('safe/v1/spentbook/report')
    .fixed(section.networkId, 32)
    .u8(section.prefix.bitCount)
    .fixed(section.prefix.bits, 32)
    .fixed(sectionKeyHash(section.key), 32)
    .u64(section.epoch)
    .fixed(keyImage, 32)
    .u64(SLOT_GENERATION)
    .u64(BigInt(ballot))
    .u8(highest === null ? 0 : 1);
  return highest === null
    ? writer.finish()
    : writer.u64(BigInt(highest.ballot)).fixed(highest.txid, 32).finish();
}

/** @param row must be on disk: the report is its content, whatever was asked. */
export function signReport(
  { section, identity, identitySeed, name }: SpentbookConfig,
  keyImage: Uint8Array,
  { promised, bundle }: SlotRow,
): SignedReport {
  const highest = bundle && { ballot: bundle.ballot, txid: bundle.txid };
  const claim = { ballot: promised, highest };
  const signature = identity.sign(identitySeed, reportBytes(section, keyImage, claim));
  return { elder: name, ...claim, signature };
}

export const verifyReport = (
  section: SpendStatementScope,
  identity: IdentitySuite,
  keyImage: Uint8Array,
  report: SignedReport,
): boolean =>
  identity.verify(report.elder, reportBytes(section, keyImage, report), report.signature);
