/** Seven elders of one slot with their disks, two spends of its coin, and the requests of a recovery. */
import { concat } from '#core/codec/bytes.ts';
import type { Context, Effect, Step } from '#core/machine.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import {
  sectionKeyHash,
  spendStatementBytes,
  type SpendCertificate,
} from '#money/spend-certificate.ts';
import { encodeTransaction, slotName, txidOf, type Transaction } from '#money/transaction.ts';
import {
  isSpentbookAnswer,
  performSpentbookJob,
  recoverBytes,
  spentbook,
  type Recovery,
  type SignedReport,
  type Spentbook,
  type SpentbookAnswer,
  type SpentbookConfig,
  type SpentbookFact,
  type SpentbookRequest,
  type SpentbookState,
} from '#protocol/spentbook/index.ts';
import {
  addressFor,
  genesis,
  genesisAmount,
  makeSection,
  networkId,
  seedOf,
  toyIdentity,
  toyName,
  type TestElder,
} from '../../unit/money/fixtures.ts';
import { toyScalars, toySuite } from '../toys/toy-suite.ts';

export const toy = makeSection(toySuite, toyScalars, toyName);
const context: Context = { now: 0, entropy: new Uint8Array(32) };
const recoverySeed = seedOf('recovery');

export const configOf = (elder: TestElder): SpentbookConfig => ({
  name: elder.name,
  section: toy.section,
  elders: toy.elders.map(({ name }) => name),
  known: toy.known,
  inherited: new Map<string, never>(),
  sealed: false,
  secretShare: elder.secretShare,
  identitySeed: elder.identitySeed,
  identity: toyIdentity,
});

function spend(to: string): Transaction {
  const built = buildTransaction({
    networkId,
    inputs: [
      { secret: genesis.secret.reveal(), oneTimeKey: genesis.oneTimeKey, amount: genesisAmount },
    ],
    outputs: [{ address: addressFor(to), amount: genesisAmount, memo: new Uint8Array() }],
    fee: 0n,
    recoveryKey: () => toyName(recoverySeed),
    entropy: seedOf(to),
  });
  if (built === undefined) throw new Error('a real address');
  return built;
}

export const toBob = spend('bob');
export const toCarol = spend('carol');
export const toDave = spend('dave');
export const keyImage = toBob.inputs[0]?.keyImage ?? new Uint8Array();
export const slot = slotName(keyImage);

let requests = 0;
const common = (transaction: Transaction) => {
  requests += 1;
  return {
    request: new Uint8Array(16).fill(requests % 256),
    section: sectionKeyHash(toy.section.key),
    slot,
    transaction: encodeTransaction(transaction),
  };
};
const sources = [{ kind: 'genesis' }] as const;

export const prepare = (
  transaction: Transaction,
  ballot = 0,
  recovery: Recovery | null = null,
): SpentbookRequest & { readonly kind: 'prepare' } => ({
  kind: 'prepare',
  ...common(transaction),
  ballot,
  sources,
  recovery,
});
export const commit = (
  transaction: Transaction,
  certificate: SpendCertificate,
): SpentbookRequest & { readonly kind: 'commit' } => ({
  kind: 'commit',
  ...common(transaction),
  prepared: [certificate],
});
export const recover = (
  transaction: Transaction,
  ballot: number,
): SpentbookRequest & { readonly kind: 'recover' } => ({
  kind: 'recover',
  ...common(transaction),
  ballot,
  sources,
  signature: toyIdentity.sign(
    recoverySeed,
    recoverBytes(toy.section, { keyImage, ballot, txid: txidOf(transaction) }),
  ),
});

/** The section's own signature: what five shares of this ballot combine to. */
export const prepareCertificate = (transaction: Transaction, ballot = 0): SpendCertificate => ({
  epoch: toy.section.epoch,
  ballot,
  signature: toySuite.sign(
    toy.secret,
    'PREPARE',
    spendStatementBytes(toy.section, { keyImage, ballot, txid: txidOf(transaction) }),
  ),
  inclusion: null,
});

export interface ScriptedElder {
  readonly elder: TestElder;
  /** Jobs wait until `finishJobs`. */
  readonly receive: (message: SpentbookRequest) => readonly Effect<Spentbook>[];
  readonly finishJobs: () => readonly Effect<Spentbook>[];
  /** Answered after its job. */
  readonly answer: (message: SpentbookRequest) => SpentbookAnswer;
  readonly disk: SpentbookFact[];
  readonly restart: () => ScriptedElder;
}

export function scriptedElder(
  index: number,
  facts: readonly SpentbookFact[] = [],
  change: Partial<SpentbookConfig> = {},
): ScriptedElder {
  const elder = toy.elders[index];
  if (elder === undefined) throw new Error('seven elders');
  const config = { ...configOf(elder), ...change };
  const disk = [...facts];
  let state: SpentbookState = spentbook.start(config, facts, context).state;
  let jobs: (Effect<Spentbook> & { readonly kind: 'compute' })[] = [];
  const take = (step: Step<SpentbookState, Spentbook>): readonly Effect<Spentbook>[] => {
    state = step.state;
    for (const effect of step.effects) {
      if (effect.kind === 'persist') disk.push(effect.fact);
      if (effect.kind === 'compute') jobs.push(effect);
    }
    return step.effects;
  };
  const receive = (message: SpentbookRequest): readonly Effect<Spentbook>[] =>
    take(spentbook.step(config, state, { kind: 'received', from: 'client', message }, context));
  const finishJobs = (): readonly Effect<Spentbook>[] => {
    const ready = jobs;
    jobs = [];
    return ready.flatMap(({ id, job }) => {
      const result = performSpentbookJob(job, toySuite);
      return take(spentbook.step(config, state, { kind: 'computed', id, result }, context));
    });
  };
  const answer = (message: SpentbookRequest): SpentbookAnswer => {
    const sent = [...receive(message), ...finishJobs()].flatMap((effect) =>
      effect.kind === 'send' ? [effect.message] : [],
    );
    const [only] = sent;
    if (only === undefined || sent.length !== 1) throw new Error('one request, one answer');
    if (!isSpentbookAnswer(only)) throw new Error('elders answer');
    return only;
  };
  const restart = (): ScriptedElder => scriptedElder(index, disk, change);
  return { elder, receive, finishJobs, answer, disk, restart };
}

export const reportOf = (answer: SpentbookAnswer): SignedReport => {
  if (answer.kind !== 'report') throw new Error(answer.kind);
  return answer.report;
};

/** A signature that is not one. */
export const noSignature = concat(seedOf('no'), seedOf('signature'));
