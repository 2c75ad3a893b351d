/**
 * Recovery as a model: the real machine of one slot decides each step, on rows and messages that are written as
 * short texts, so that every distinct step runs once. Clients and liars are one adversary: whatever could be
 * signed by then is used, and any job may end late.
 */
import { toHex } from '#core/codec/bytes.ts';
import { spendStatementBytes, type SpendPhase } from '#money/spend-certificate.ts';
import { mergeSnapshots, type SnapshotEntry } from '#money/snapshot.ts';
import { encodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import {
  performSpentbookJob,
  problemOfRecovery,
  reportBytes,
  slotEntry,
  spentbook,
  type Recovery,
  type SignedReport,
  type SlotRow,
  type SpentbookAnswer,
  type SpentbookConfig,
  type SpentbookRequest,
} from '#protocol/spentbook/index.ts';
import { seedOf, toyIdentity } from '../../unit/money/fixtures.ts';
import { toySuite } from '../toys/toy-suite.ts';
import {
  commit,
  configOf,
  keyImage,
  prepare,
  prepareCertificate,
  recover,
  slot,
  toBob,
  toCarol,
  toy,
} from './recovery-script.ts';

/** Two spends of one coin. */
export type Spend = 'T' | 'U';
export const spends: readonly Spend[] = ['T', 'U'];
/** A ballot and its spend. */
export interface At {
  readonly ballot: number;
  readonly spend: Spend;
}
export interface Row {
  readonly promised: number;
  readonly vote: At | null;
  readonly bundle: At | null;
}
export const emptyRow: Row = { promised: 0, vote: null, bundle: null };

/** What an elder claimed for a ballot. */
export interface Report {
  readonly elder: number;
  readonly ballot: number;
  readonly claim: At | null;
}

export type Message =
  /** `top`: the ballot of the certificate that forces the spend; null at ballot 0 and for a free choice. */
  | { readonly kind: 'prepare'; readonly at: At; readonly top: number | null }
  | { readonly kind: 'commit'; readonly at: At }
  | { readonly kind: 'recover'; readonly at: At };

/** What the elder's row is afterwards, and what it signed. */
export interface Outcome {
  readonly row: Row;
  readonly signed: 'prepared' | 'committed' | 'report' | null;
  /** Of a report. */
  readonly claim: At | null;
}

/** One rule taken out. */
export interface Bug {
  /** Changes the row that the machine sees at a step, before or after the job. */
  readonly see?: (row: Row, message: Message, when: 'received' | 'computed') => Row;
  /** Changes what is kept. */
  readonly keep?: (before: Row, after: Row, message: Message) => Row;
  readonly reports?: (reports: readonly Report[]) => readonly Spend[];
  /** The report is made from the row that the request met, not from the one on disk. */
  readonly staleReport?: true;
  /** The bundle a snapshot has, of all in the order they came. */
  readonly sealed?: (bundles: readonly At[]) => At | undefined;
  readonly merged?: (bundles: readonly At[]) => At | undefined;
  /** What a crash leaves of a row. */
  readonly crash?: (row: Row) => Row;
  /** Reports in a recovery, fewer than a quorum. */
  readonly reportsNeeded?: number;
  /** Reports, or shares, of other ballots count for this one. */
  readonly mixes?: 'ballots' | 'shares';
  /** A claim needs no certificate. */
  readonly claimsUnproven?: true;
}

const transactionOf = (spend: Spend): Transaction => (spend === 'T' ? toBob : toCarol);
const spendOf = (txid: Uint8Array): Spend => (toHex(txid) === toHex(txidOf(toBob)) ? 'T' : 'U');
const atOf = (value: { readonly ballot: number; readonly txid: Uint8Array } | null): At | null =>
  value && { ballot: value.ballot, spend: spendOf(value.txid) };

export interface Model {
  readonly count: number;
  readonly quorum: number;
  /** The step of an honest elder; null when the request starts no job or no longer may. */
  readonly act: (row: Row, message: Message) => Outcome;
  /** The same, for a job that began earlier. @param met the row that its request met */
  readonly finish: (row: Row, message: Message, met: Row) => Outcome;
  /** The spends that these reports allow at the ballot. */
  readonly allowed: (reports: readonly Report[], ballot: number) => readonly Spend[];
  /** The spend that the snapshots of a quorum bind; null for an open slot. */
  readonly merge: (bundles: readonly (At | null)[]) => Spend | null;
  readonly sealedOf: (bundles: readonly At[]) => At | null;
}

export function createModel(count: 4 | 7, bug: Bug = {}): Model {
  const quorum = count === 4 ? 3 : 5;
  const elders = toy.elders.slice(0, count);
  const [first] = elders;
  if (first === undefined) throw new Error('elders');
  const config: SpentbookConfig = { ...configOf(first), elders: elders.map(({ name }) => name) };
  const known = new Map<string, Outcome>();
  const rules = new Map<string, readonly Spend[]>();
  const merges = new Map<string, Spend | null>();

  const memoized = (row: Row, message: Message, isLate: boolean): Outcome => {
    const key = JSON.stringify([row, message, isLate]);
    const before = known.get(key);
    if (before !== undefined) return before;
    const outcome = realStep(config, row, message, isLate, bug);
    known.set(key, outcome);
    return outcome;
  };
  return {
    count,
    quorum,
    act: (row, message) => memoized(row, message, false),
    finish: (row, message, met) => {
      const outcome = memoized(row, message, true);
      const isStale = bug.staleReport === true && outcome.signed === 'report';
      return isStale ? { ...outcome, claim: met.bundle } : outcome;
    },
    allowed: (reports, ballot) => {
      if (bug.reports !== undefined) return bug.reports(reports);
      const claims = [...reports].sort((a, b) => textOf(a).localeCompare(textOf(b)));
      const canonical = claims.map((each, elder) => ({ ...each, elder }));
      const isDistinct = new Set(reports.map(({ elder }) => elder)).size === reports.length;
      // A bug that needs fewer reports lets the rest be empty ones.
      const missing = Math.max(0, quorum - reports.length);
      const padding = Array.from(
        { length: bug.reportsNeeded === undefined ? 0 : missing },
        (_, at) => ({
          elder: reports.length + at,
          ballot,
          claim: null,
        }),
      );
      const relabelled = canonical.map((each) =>
        bug.mixes === 'ballots' ? { ...each, ballot } : each,
      );
      const list = isDistinct ? [...relabelled, ...padding] : reports;
      const key = JSON.stringify([list, ballot]);
      const before = rules.get(key);
      if (before !== undefined) return before;
      const spendable = spends.filter((spend) => {
        const statement = { keyImage, ballot, txid: txidOf(transactionOf(spend)) };
        return problemOfRecovery(config, statement, recoveryOf(list)) === null;
      });
      rules.set(key, spendable);
      return spendable;
    },
    sealedOf: (bundles) => {
      if (bug.sealed !== undefined) return bug.sealed(bundles) ?? null;
      const entry = slotEntry(
        bundles.map((bundle) => ({
          kind: 'row',
          row: rowOf({ promised: bundle.ballot, vote: null, bundle }),
        })),
        toy.section.epoch,
      );
      return entry?.kind === 'bound'
        ? { ballot: entry.prepared[0]?.ballot ?? 0, spend: spendOf(entry.txid) }
        : null;
    },
    merge: (bundles) => {
      if (bug.merged !== undefined) {
        return bug.merged(bundles.filter((each) => each !== null))?.spend ?? null;
      }
      const key = bundles.map(textOfAt).sort().join();
      const before = merges.get(key);
      if (before !== undefined) return before;
      const snapshots = [...bundles, null, null].slice(0, Math.max(5, bundles.length));
      const { entries } = mergeSnapshots(
        snapshots.map((bundle, at) => ({
          elder: at + 1,
          entries: bundle ? [entryOf(bundle)] : [],
        })),
      );
      const [entry] = entries;
      const spend = entry === undefined ? null : spendOf(entry.txid);
      merges.set(key, spend);
      return spend;
    },
  };
}

const textOf = ({ ballot, claim }: Report): string => `${ballot}${textOfAt(claim)}`;
export const textOfAt = (at: At | null): string => (at === null ? '-' : `${at.ballot}${at.spend}`);

const entryOf = ({ ballot, spend }: At): SnapshotEntry => {
  const transaction = transactionOf(spend);
  const prepared = [prepareCertificate(transaction, ballot)];
  const bytes = encodeTransaction(transaction);
  return { kind: 'bound', slot, txid: txidOf(transaction), transaction: bytes, prepared };
};

function signedReport({ elder, ballot, claim }: Report): SignedReport {
  const signer = toy.elders[elder];
  if (signer === undefined) throw new Error('an elder');
  const highest = claim && { ballot: claim.ballot, txid: txidOf(transactionOf(claim.spend)) };
  const bytes = reportBytes(toy.section, keyImage, { ballot, highest });
  const signature = toyIdentity.sign(signer.identitySeed, bytes);
  return { elder: signer.name, ballot, highest, signature };
}

/** With the certificate of its highest claim, which exists for every claim of this model. */
function recoveryOf(reports: readonly Report[]): Recovery {
  const top = reports.reduce<At | null>(
    (best, { claim }) => (claim !== null && claim.ballot > (best?.ballot ?? -1) ? claim : best),
    null,
  );
  return {
    reports: reports.map(signedReport),
    top: top && prepareCertificate(transactionOf(top.spend), top.ballot),
  };
}

const shareOf = (phase: SpendPhase, { ballot, spend }: At): Uint8Array => {
  const txid = txidOf(transactionOf(spend));
  const bytes = spendStatementBytes(toy.section, { keyImage, ballot, txid });
  return toySuite.sign(toy.elders[0]?.secretShare ?? seedOf('none'), phase, bytes);
};

function rowOf({ promised, vote, bundle }: Row): SlotRow {
  const signed = (at: At, phase: SpendPhase) => {
    const transaction = transactionOf(at.spend);
    const txid = txidOf(transaction);
    const bytes = encodeTransaction(transaction);
    return { slot, ballot: at.ballot, txid, transaction: bytes, share: shareOf(phase, at) };
  };
  return {
    promised,
    vote: vote && signed(vote, 'PREPARE'),
    bundle: bundle && {
      ...signed(bundle, 'COMMIT'),
      prepared: [prepareCertificate(transactionOf(bundle.spend), bundle.ballot)],
    },
    decision: null,
  };
}

function requestOf(config: SpentbookConfig, message: Message): SpentbookRequest {
  const { ballot, spend } = message.at;
  const transaction = transactionOf(spend);
  if (message.kind === 'commit')
    return commit(transaction, prepareCertificate(transaction, ballot));
  if (message.kind === 'recover') return recover(transaction, ballot);
  const claim = message.top === null ? null : { ballot: message.top, spend };
  const count = config.elders.length === 4 ? 3 : 5;
  const reports = Array.from({ length: count }, (_, elder) => ({ elder, ballot, claim }));
  return prepare(transaction, ballot, ballot === 0 ? null : recoveryOf(reports));
}

/** Runs the real machine from this row. */
function realStep(
  config: SpentbookConfig,
  before: Row,
  message: Message,
  isLate: boolean,
  { see = (row) => row, keep = (_, row) => row }: Bug,
): Outcome {
  const context = { now: 0, entropy: new Uint8Array(32) };
  const request = requestOf(config, message);
  const event = { kind: 'received', from: 'client', message: request } as const;
  // A late job began on an empty row: nothing there refuses it.
  const met = isLate ? emptyRow : see(before, message, 'received');
  let row = rowOf(met);
  let answer: SpentbookAnswer | null = null;
  const received = spentbook.step(config, { row, pending: new Set() }, event, context);
  let effects = received.effects;
  for (const effect of received.effects) {
    if (effect.kind !== 'compute') continue;
    const result = performSpentbookJob(effect.job, toySuite);
    const seen = rowOf(see(before, message, 'computed'));
    const state = { ...received.state, row: seen };
    const done = { kind: 'computed', id: effect.id, result } as const;
    effects = spentbook.step(config, state, done, context).effects;
  }
  let isWritten = false;
  for (const effect of effects) {
    if (effect.kind === 'persist') {
      row = effect.fact.row;
      isWritten = true;
    }
    if (effect.kind === 'send') answer = effect.message as SpentbookAnswer;
  }
  const after = isWritten
    ? { promised: row.promised, vote: atOf(row.vote), bundle: atOf(row.bundle) }
    : before;
  const kept = keep(before, after, message);
  switch (answer?.kind) {
    case 'prepared':
    case 'committed':
      return { row: kept, signed: answer.kind, claim: null };
    case 'report':
      return { row: kept, signed: 'report', claim: atOf(answer.report.highest) };
    default:
      return { row: kept, signed: null, claim: null };
  }
}
