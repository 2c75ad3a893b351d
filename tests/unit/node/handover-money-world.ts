/**
 * Elders with real facts on disk and an in-memory network between them: the test makes the requests
 * of the section's machine. The threshold signatures are toys.
 */
import { supersededKeyOf } from '#protocol/section/index.ts';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { EMPTY_PREFIX, type Prefix } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { compareBytes, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { ok } from '#core/result.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  genesisCoin,
  addCoin,
  emptyWallet,
  planPayment,
  scanCommitted,
  spendable,
} from '#safe/wallet/index.ts';
import type { WalletState } from '#safe/wallet/index.ts';
import type { WalletKeys } from '#money/wallet-keys.ts';
import { ed25519Identity } from '#crypto/identity-suite.ts';
import { addressOf } from '#money/wallet-address.ts';
import { createElderMoney, type ElderMoney } from '#node/money/elder-money.ts';
import { openHandoverMoney, type HandoverMoney } from '#node/money/handover-money.ts';
import type { MoneyOutput } from '#node/section/section-handle.ts';
import { performMintJob } from '#protocol/mint/index.ts';
import type { HandoverMessage } from '#protocol/handover/index.ts';
import type { SectionAuthority, SignedSuccessor } from '#protocol/section/index.ts';
import { performSpentbookJob } from '#protocol/spentbook/index.ts';
import type { SectionNodeInput } from '#roles/section-node/state.ts';
import { performSnapshotJob, type JobRequest } from '#runtime/jobs/job-pool-jobs.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { runPayment } from '#runtime/payment-runner.ts';
import {
  performPaymentJob,
  type PaymentFact,
  type PaymentOutput,
  type PaymentSections,
} from '#safe/payment/index.ts';
import { openFacts, type FactStore } from '#storage/node/facts.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { genesis, genesisAmount, networkId, seedOf } from '../money/fixtures.ts';
import { silentLog } from '../../support/silent-log.ts';

export interface Term {
  readonly authority: SectionAuthority;
  /** By hex of the elder's name. */
  readonly shares: ReadonlyMap<string, Uint8Array>;
}

const identityOf = (person: string) => {
  const seed = seedOf(person);
  return { seed, name: ed25519PublicKey(seed) };
};

/** A key shared by seven elders. */
export function termOf(
  epoch: bigint,
  people: readonly string[],
  prefix: Prefix = EMPTY_PREFIX,
): Term {
  const polynomial = Array.from({ length: 5 }, (_, k) =>
    toyScalars.reduce(
      new Uint8Array([
        ...labelledHash('test/coefficient', Uint8Array.of(k, Number(epoch), prefix.bitCount)),
        ...labelledHash('test/coefficient2', prefix.bits, Uint8Array.of(k, Number(epoch))),
      ]),
    ),
  );
  const names = people.map((person) => identityOf(person).name).sort(compareBytes);
  const shares = new Map<string, Uint8Array>();
  const elders = names.map((name, i) => {
    const share = toyScalars.evaluate(polynomial, i + 1);
    shares.set(toHex(name), share);
    return { name: toXorName(name), index: i + 1, publicShare: toySuite.publicKey(share) };
  });
  const authority: SectionAuthority = {
    networkId,
    prefix,
    key: toySuite.publicKey(toyScalars.evaluate(polynomial, 0)),
    epoch,
    generation: epoch * 10n,
    elders,
    members: [],
    ledgerRoot: new Uint8Array(32),
    genesisOutput: { oneTimeKey: genesis.oneTimeKey, amount: genesisAmount },
  };
  return { authority, shares };
}

/** The old key's record of its successor; its signature is not checked here. */
export const linkOf = (
  parent: SectionAuthority,
  sealedRoot: Uint8Array,
  children: readonly SectionAuthority[],
): SignedSuccessor => ({
  record: {
    networkId,
    parentKey: parent.key,
    epoch: parent.epoch,
    finalGeneration: parent.generation + 8n,
    membersRoot: new Uint8Array(32),
    sealedRoot,
    children: children.map(({ prefix, key }) => ({ prefix, key, charterHash: new Uint8Array(32) })),
  },
  signature: new Uint8Array(48),
});

export const toyJobs: Pick<JobPool, 'run'> = {
  run: async (kind, job) => {
    const request = { kind, job } as unknown as JobRequest;
    if (request.kind === 'spentbook') return performSpentbookJob(request.job, toySuite) as never;
    if (request.kind === 'mint') return performMintJob(request.job, toySuite) as never;
    if (request.kind === 'snapshot') return performSnapshotJob(request.job, toySuite) as never;
    throw new Error(`no such job: ${kind}`);
  },
};

export interface TestNode {
  readonly id: string;
  readonly name: Uint8Array;
  facts: FactStore;
  handoverMoney: HandoverMoney;
  money: ElderMoney | null;
  authority: SectionAuthority | null;
  readyCount: number;
}

export class MoneyWorld {
  readonly nodes = new Map<string, TestNode>();
  /** Elders that send nothing, and elders that send pages other than the requested ones. */
  readonly unresponsive = new Set<string>();
  readonly lying = new Set<string>();
  /** List jobs, by kind. */
  readonly jobsDone: string[] = [];
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  async start(person: string): Promise<TestNode> {
    const { name } = identityOf(person);
    const id = toHex(name);
    mkdirSync(join(this.folder, person), { recursive: true });
    const node: TestNode = {
      id,
      name,
      facts: openFacts(join(this.folder, person, 'facts')),
      handoverMoney: undefined as never,
      money: null,
      authority: this.nodes.get(person)?.authority ?? null,
      readyCount: 0,
    };
    node.handoverMoney = await openHandoverMoney({
      label: person,
      self: id,
      facts: node.facts,
      jobs: {
        run: (kind, job) => {
          if (kind === 'snapshot') this.jobsDone.push((job as { readonly kind: string }).kind);
          return toyJobs.run(kind, job);
        },
      },
      authority: () => node.authority,
      others: () => [],
      input: (input) => this.carry(id, input),
      onUnknownKey: () => undefined,
      onReady: () => {
        node.readyCount += 1;
      },
      log: silentLog,
      unresponsiveMs: 300,
      archiveRetryMs: 100,
    });
    this.nodes.set(person, node);
    return node;
  }

  async crash(person: string): Promise<TestNode> {
    const node = this.node(person);
    this.halt(node);
    return this.start(person);
  }

  stop(): void {
    for (const node of this.nodes.values()) this.halt(node);
  }

  private halt(node: TestNode): void {
    node.money?.stop();
    node.handoverMoney.stop();
    node.facts.close();
  }

  node(person: string): TestNode {
    const node = this.nodes.get(person);
    if (node === undefined) throw new Error(`nobody is called ${person}`);
    return node;
  }

  private carry(from: string, input: SectionNodeInput): void {
    if (input.kind !== 'sendHandover') return;
    const sender = [...this.nodes].find(([, { id }]) => id === from)?.[0] ?? '';
    if (this.unresponsive.has(sender)) return;
    const message = this.lying.has(sender) ? corrupted(input.message) : input.message;
    for (const to of input.to) {
      const peer = [...this.nodes.values()].find(({ id }) => id === to);
      const output = receivedMessage(input.key, from, message);
      if (peer === undefined || output === null) continue;
      peer.handoverMoney.perform(output, (answer) => this.carry(to, answer));
    }
  }

  /** Makes one request of the section's machine; null without an answer within `ms`. */
  perform(person: string, output: MoneyOutput, ms = 20_000): Promise<SectionNodeInput | null> {
    const { handoverMoney } = this.node(person);
    return new Promise((done) => {
      const timer = setTimeout(() => done(null), ms);
      handoverMoney.perform(output, (answer) => {
        clearTimeout(timer);
        done(answer);
      });
    });
  }

  /** Makes the node an elder of this key. @returns whether it could start. */
  async becomeElder(person: string, term: Term): Promise<boolean> {
    const node = this.node(person);
    node.authority = term.authority;
    node.money?.stop();
    node.money = null;
    const inherited = await node.handoverMoney.inheritedFor(term.authority);
    if (inherited === null) return false;
    const secretShare = term.shares.get(node.id);
    if (secretShare === undefined) throw new Error(`${person} has no share`);
    node.money = await createElderMoney({
      label: person,
      name: node.name,
      identitySeed: seedOf(person),
      secretShare,
      authority: term.authority,
      facts: node.facts,
      jobs: toyJobs as JobPool,
      log: silentLog,
      inherited,
    });
    return true;
  }

  /** Seals, fetches, merges and hands over, as the machine would request it. */
  async handOver(term: Term, people: readonly string[]): Promise<Uint8Array> {
    const { key } = term.authority;
    const roots = new Map<string, Uint8Array>();
    for (const person of people) {
      const sealed = await this.perform(person, { kind: 'sealMoney', key });
      if (sealed?.kind !== 'moneySealed') throw new Error(`${person} did not seal`);
      roots.set(person, sealed.root);
    }
    const indexOf = (person: string): number =>
      term.authority.elders.find(({ name }) => equalBytes(name, this.node(person).name))?.index ??
      0;
    const [merger] = people;
    if (merger === undefined) throw new Error('nobody merges');
    for (const person of people.slice(1)) {
      const root = roots.get(person) ?? key;
      const perform = {
        kind: 'fetch',
        key,
        root,
        elder: indexOf(person),
        from: [this.node(person).id],
      } as const;
      const held = await this.perform(merger, perform);
      if (held?.kind !== 'snapshotHeld') throw new Error(`the snapshot of ${person} is not held`);
    }
    const snapshots = people.map((person) => ({
      elder: indexOf(person),
      root: roots.get(person) ?? key,
      signature: new Uint8Array(64),
    }));
    const merged = await this.perform(merger, { kind: 'merge', key, snapshots });
    if (merged?.kind !== 'merged') throw new Error('nothing was merged');
    return merged.root;
  }

  /** The keys as a client knows them, the last one current. */
  sectionsOf(terms: readonly Term[], links: readonly SignedSuccessor[]): PaymentSections {
    const now = terms.at(-1)?.authority;
    if (now === undefined) throw new Error('no section');
    return {
      networkId,
      genesisOutput: now.genesisOutput,
      current: [now],
      superseded: links.flatMap(({ record }) => supersededKeyOf(record) ?? []),
    };
  }

  /** Pays to the end, and returns its stages. */
  async pay(
    sections: PaymentSections,
    from: Payer,
    to: Payer,
    amount: bigint,
    lookUpSections?: () => Promise<PaymentSections>,
  ): Promise<readonly PaymentOutput['kind'][]> {
    const planned = planPayment({
      keys: from.keys,
      networkId,
      coins: spendable(from.wallet),
      address: addressOf(to.keys),
      amount,
      memo: new Uint8Array(),
      entropy: labelledHash('test/entropy', utf8(String(amount))),
    });
    if (!planned.ok) throw new Error(planned.error.kind);
    const { bundle } = planned.value;
    const said: PaymentOutput['kind'][] = [];
    const facts: PaymentFact[] = [];
    const running = await runPayment(
      { sections, identity: ed25519Identity, bundle, repeatEveryMs: 100 },
      {
        ask: async ({ name }, request) => {
          const node = [...this.nodes.values()].find((each) => equalBytes(each.name, name));
          if (node?.money === undefined || node.money === null) return { ok: false, error: 'away' };
          if (request.kind !== 'slot' && request.kind !== 'output') throw new Error('no money');
          return ok(await node.money.answer(request));
        },
        facts: { load: async () => facts, append: async (fact) => void facts.push(fact) },
        suite: toySuite,
        now: () => Date.now(),
        randomBytes: (length) => new Uint8Array(length),
        onOutput: (output) => {
          said.push(output.kind);
          if (output.kind !== 'final') return;
          const committed = { transaction: bundle.transaction, certificates: output.certificates };
          from.wallet = scanCommitted(from.keys, from.wallet, committed, 0);
          to.wallet = scanCommitted(to.keys, to.wallet, committed, 0);
        },
        onFault: (fault) => {
          throw new Error(fault.kind);
        },
        compute: async (job) => performPaymentJob(job, toySuite),
        ...(lookUpSections === undefined ? {} : { lookUpSections }),
      },
    );
    await running.ended;
    return said;
  }
}

export interface Payer {
  readonly keys: WalletKeys;
  wallet: WalletState;
}

export function withFirstCoin(keys: WalletKeys, authority: SectionAuthority): Payer {
  const first = genesisCoin(keys, authority);
  if (first === null) throw new Error('the first coin is ours');
  return { keys, wallet: addCoin(emptyWallet, first.coin, first.source, 0) };
}

const receivedMessage = (
  key: Uint8Array,
  from: string,
  message: HandoverMessage,
): MoneyOutput | null => {
  if (message.kind === 'requestPage') {
    return { kind: 'serve', key, to: from, root: message.root, start: message.start };
  }
  return message.kind === 'page' ? { kind: 'page', key, from, page: message } : null;
};

/** Omits the last entry. */
const corrupted = (message: HandoverMessage): HandoverMessage =>
  message.kind === 'page' ? { ...message, entries: message.entries.slice(0, -1) } : message;
