/** The pure jobs of a node's worker threads, and the messages between pool and thread. */
import type { Prefix } from '#address/prefix.ts';
import { cachingSuite } from '#crypto/caching-suite.ts';
import { blsSuite, type ThresholdSuite } from '#crypto/threshold-suite.ts';
import { productionSuites } from '#protocol/dkg/index.ts';
import type { MoneySection, SectionKeys } from '#money/spend-certificate.ts';
import {
  verifyEntries,
  mergeSnapshots,
  type EntryProblem,
  type SnapshotEntry,
  type ProvenPage,
  type Snapshot,
} from '#money/snapshot.ts';
import { inheritPage, type InheritedPage } from '#protocol/handover/index.ts';
import { performMintJob, type MintJob, type MintResult } from '#protocol/mint/index.ts';
import {
  performSpentbookJob,
  type SpentbookJob,
  type SpentbookResult,
} from '#protocol/spentbook/index.ts';
import { performGenesisJob, type GenesisJob, type GenesisResult } from '#roles/genesis/index.ts';
import {
  performSectionNodeJob,
  type SectionNodeJob,
  type SectionNodeResult,
} from '#roles/section-node/jobs.ts';
import { performPaymentJob, type PaymentJob, type PaymentResult } from '#safe/payment/index.ts';

interface Jobs {
  readonly genesis: { readonly job: GenesisJob; readonly result: GenesisResult };
  readonly spentbook: { readonly job: SpentbookJob; readonly result: SpentbookResult };
  readonly mint: { readonly job: MintJob; readonly result: MintResult };
  readonly sectionNode: { readonly job: SectionNodeJob; readonly result: SectionNodeResult };
  /** N23: the snapshots that elders exchange when a key ends. */
  readonly snapshot: { readonly job: SnapshotJob; readonly result: SnapshotResult };
  /** The faucet pays like any client. */
  readonly payment: { readonly job: PaymentJob; readonly result: PaymentResult };
}

export type SnapshotJob =
  | {
      readonly kind: 'check';
      readonly section: MoneySection;
      readonly known: SectionKeys;
      readonly entries: readonly SnapshotEntry[];
    }
  | { readonly kind: 'merge'; readonly snapshots: readonly Snapshot[] }
  /** HANDOVER-R6: the part of an archive page that a key of this prefix inherits. */
  | {
      readonly kind: 'inherit';
      readonly root: Uint8Array;
      readonly page: ProvenPage;
      readonly prefix: Prefix;
    };

export type SnapshotResult =
  /** Null when every entry may be in a snapshot of that section. */
  | { readonly kind: 'checked'; readonly problem: EntryProblem | null }
  | { readonly kind: 'merged'; readonly entries: readonly SnapshotEntry[] }
  /** Null when the page does not belong to this root. */
  | { readonly kind: 'inherited'; readonly page: InheritedPage | null };

export type JobKind = keyof Jobs;

/** Jobs that clients cause; the others are the section's and never queue behind a client. */
export const clientJobs: ReadonlySet<JobKind> = new Set(['spentbook', 'mint', 'payment']);
export type JobOf<Kind extends JobKind> = Jobs[Kind]['job'];
export type ResultOf<Kind extends JobKind> = Jobs[Kind]['result'];

export type JobRequest = {
  readonly [Kind in JobKind]: {
    readonly id: number;
    readonly kind: Kind;
    readonly job: JobOf<Kind>;
  };
}[JobKind];

export type JobReply =
  | { readonly kind: 'done'; readonly id: number; readonly result: ResultOf<JobKind> }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string };

/** One per thread: the same certificates recur in every slot of a payment. */
const moneySuite = cachingSuite(blsSuite);

export function performJob(request: JobRequest): ResultOf<JobKind> {
  switch (request.kind) {
    case 'genesis':
      return performGenesisJob(request.job, productionSuites);
    case 'spentbook':
      return performSpentbookJob(request.job, moneySuite);
    case 'mint':
      return performMintJob(request.job, moneySuite);
    case 'sectionNode':
      return performSectionNodeJob(request.job, productionSuites);
    case 'snapshot':
      return performSnapshotJob(request.job, blsSuite);
    case 'payment':
      return performPaymentJob(request.job, moneySuite);
  }
}

export function performSnapshotJob(job: SnapshotJob, suite: ThresholdSuite): SnapshotResult {
  if (job.kind === 'merge') {
    return { kind: 'merged', entries: mergeSnapshots(job.snapshots).entries };
  }
  if (job.kind === 'inherit') {
    const page = inheritPage(job.root, job.page, job.prefix);
    return { kind: 'inherited', page: page.ok ? page.value : null };
  }
  const checked = verifyEntries(job.section, job.known, suite, job.entries);
  return { kind: 'checked', problem: checked.ok ? null : checked.error };
}
