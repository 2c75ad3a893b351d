/**
 * SPENTBOOK-R3: decides which transaction five reports allow at a ballot. The highest certificate forces its
 * transaction, since it may be final; without any the choice is free, since nothing below can become final.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { SpendStatement } from '#money/spend-certificate.ts';
import { supermajority } from '#protocol/section/index.ts';
import type { Recovery, SignedReport } from './messages.ts';
import { verifyReport } from './signed-report.ts';
import type { SpentbookConfig } from './state.ts';

export type RecoveryProblem =
  | 'reportCount'
  | 'repeatedElder'
  | 'unknownElder'
  | 'otherBallot'
  | 'claimNotBelow'
  | 'claimsDiffer'
  | 'wrongTop'
  | 'otherChoice'
  | 'badReport';

/**
 * Why this recovery does not allow the statement; null if it does, once a job has verified `top`. Anyone can
 * check it without history, so a false one is its sender's fault.
 */
export function problemOfRecovery(
  config: Pick<SpentbookConfig, 'section' | 'elders' | 'identity'>,
  { keyImage, ballot, txid }: SpendStatement,
  { reports, top }: Recovery,
): RecoveryProblem | null {
  const { section, elders, identity } = config;
  // Five of seven contain an honest one of any five that voted or committed.
  if (reports.length !== supermajority(elders.length)) return 'reportCount';
  if (new Set(reports.map(({ elder }) => toHex(elder))).size < reports.length) {
    return 'repeatedElder';
  }
  const isElder = (name: Uint8Array): boolean => elders.some((each) => equalBytes(each, name));
  for (const report of reports) {
    if (!isElder(report.elder)) return 'unknownElder';
    if (report.ballot !== ballot) return 'otherBallot';
    if (report.highest !== null && report.highest.ballot >= ballot) return 'claimNotBelow';
  }
  const highest = highestClaim(reports);
  if (highest === null) {
    if (top !== null) return 'wrongTop';
  } else {
    const rivals = reports.some(
      ({ highest: claim }) =>
        claim?.ballot === highest.ballot && !equalBytes(claim.txid, highest.txid),
    );
    if (rivals) return 'claimsDiffer';
    if (top?.ballot !== highest.ballot || top.epoch !== section.epoch) return 'wrongTop';
    if (!equalBytes(highest.txid, txid)) return 'otherChoice';
  }
  return reports.every((report) => verifyReport(section, identity, keyImage, report))
    ? null
    : 'badReport';
}

const highestClaim = (reports: readonly SignedReport[]): SignedReport['highest'] =>
  reports.reduce<SignedReport['highest']>(
    (best, { highest }) =>
      highest !== null && (best === null || highest.ballot > best.ballot) ? highest : best,
    null,
  );
