/**
 * Seven elders with the node's own money services, each a process on persistent facts, and two
 * payments of one coin: the second begins when the elders have voted for the first.
 */
import { equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { ed25519Identity } from '#crypto/identity-suite.ts';
import { txidOf, decodeTransaction } from '#money/transaction.ts';
import {
  createElderMoney,
  type ElderMoney,
  type ElderMoneyOptions,
} from '#node/money/elder-money.ts';
import { performMintJob } from '#protocol/mint/index.ts';
import {
  decodeSpentbookAnswer,
  decodeSpentbookRequest,
  performSpentbookJob,
} from '#protocol/spentbook/index.ts';
import type { ClientReply, ClientRequest } from '#roles/wire/client.ts';
import { runPayment } from '#runtime/payment-runner.ts';
import type { PaymentBundle, PaymentFact } from '#safe/payment/index.ts';
import { emptyWallet, planPayment, scanCommitted, spendable } from '#safe/wallet/index.ts';
import { addressOf } from '#money/wallet-address.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import { clock } from '../clock.ts';
import type { Fault, Interrupt, FaultRun, InjectScenario } from '../faults.ts';
import { atSites, never, Process, site, type Interruption, type Watcher } from '../process.ts';
import {
  authority,
  elderOf,
  walletKeysFor,
  moneySection,
  Network,
  networkId,
  coinUnit,
} from '../browser/network.ts';
import { silentLog } from '../../support/silent-log.ts';
import { createMemoryFacts } from '../../support/memory-facts.ts';
import { onlyPaymentSection } from '../../support/payment-section.ts';

const latencyMs = 10;
const healAtMs = 20_000;
const endAtMs = 120_000;

/** One elder over all its restarts. */
class ElderNode {
  readonly #facts: FactStore = createMemoryFacts();
  readonly #at: number;
  readonly #watcher: Watcher;
  #process: Process;
  #money: Promise<ElderMoney>;

  constructor(at: number, watcher: Watcher) {
    this.#at = at;
    this.#watcher = watcher;
    [this.#process, this.#money] = this.#start();
  }

  #start(): [Process, Promise<ElderMoney>] {
    const process = new Process('node', this, this.#watcher);
    const run = (kind: string, job: unknown): Promise<unknown> =>
      site(`jobs.${kind}`, async () =>
        kind === 'spentbook'
          ? performSpentbookJob(job as never, toySuite)
          : performMintJob(job as never, toySuite),
      );
    const money = process.run(() =>
      createElderMoney({
        label: `elder ${this.#at}`,
        ...elderOf(this.#at),
        authority,
        facts: atSites('facts', this.#facts),
        jobs: { run, stop: async () => undefined } as ElderMoneyOptions['jobs'],
        log: silentLog,
      }),
    );
    // A failed start ends the process, and the service manager starts it again.
    money.catch(() => process.kill());
    return [process, money];
  }

  restart(): void {
    this.#process.kill();
    [this.#process, this.#money] = this.#start();
  }

  get isDead(): boolean {
    return this.#process.isDead;
  }

  /** As a client sees it: no answer when the process ends meanwhile. */
  async answer(request: Extract<ClientRequest, { kind: 'slot' | 'output' | 'outputs' }>) {
    const [process, money] = [this.#process, this.#money];
    if (process.isDead) return null;
    const answered = process.run(async () => (await money).answer(request));
    return Promise.race([
      answered.catch(() => null),
      process.died.then(() => null),
      clock.wait(15_000).then(() => null),
    ]);
  }
}

class EldersRun implements FaultRun, Watcher {
  readonly violations: string[] = [];
  readonly #interrupt: Interrupt;
  readonly #elders: readonly ElderNode[];
  /** By elder and slot: the transactions it has voted for. */
  readonly #votes = new Map<string, Set<string>>();
  /** By slot: the transactions that any elder has committed. */
  readonly #committed = new Map<string, Set<string>>();
  #lasting: (process: Process, label: string) => Interruption = () => ({});
  #isArmed = true;

  constructor(interrupt: Interrupt) {
    this.#interrupt = interrupt;
    this.#elders = Array.from({ length: 7 }, (_, at) => new ElderNode(at, this));
  }

  reached(process: Process, label: string): Interruption {
    return this.#isArmed ? this.#interrupt(process, label) : {};
  }

  faultStillActive(process: Process, label: string): Interruption {
    return this.#lasting(process, label);
  }

  injectFault(process: Process, label: string, fault: Fault): Interruption {
    const elder = process.device as ElderNode | null;
    const fail = {
      instead: () => {
        throw new Error('ENOSPC: no space left on device');
      },
    };
    const restart = (): void => elder?.restart();
    switch (fault) {
      case 'fails once':
        return fail;
      case 'fails from here on':
        this.#lasting = (other, name) => (other.device === elder && name === label ? fail : {});
        return fail;
      case 'never answers':
        return { instead: never };
      case 'node restarts before':
        return { before: restart };
      case 'node restarts after':
        return { after: restart };
      default:
        return {};
    }
  }

  async play(): Promise<void> {
    const [first, second] = rivals();
    const one = this.#pay('first', first);
    await clock.wait(2_000);
    const two = this.#pay('second', second);
    await clock.wait(healAtMs);
    this.#isArmed = false;
    for (const elder of this.#elders) elder.restart();
    await Promise.race([Promise.all([one.ended, two.ended]), clock.wait(endAtMs)]);
    const states = [one.state(), two.state()];
    // Five votes for neither: the coin is blocked (docs/limits.md), and no other final state is
    // allowed.
    const isWaiting = (state: string): boolean => state === 'waiting' || state === 'adopt';
    const isStuck = this.#isSplit() && states.every(isWaiting);
    if (!isStuck && states.filter((state) => state === 'registered').length !== 1) {
      this.violations.push(
        `one of two payments of a coin must be registered: ${states.join(', ')}`,
      );
    }
    if (!isStuck && !states.includes('replaced')) {
      this.violations.push(`the other payment must be replaced: ${states.join(', ')}`);
    }
    await this.#lists();
  }

  end(): void {
    for (const elder of this.#elders) elder.restart();
  }

  #pay(name: string, bundle: PaymentBundle) {
    const client = new Process('client', null, this);
    const facts: PaymentFact[] = [];
    let state = '';
    const kept = atSites('payment', {
      load: async () => facts,
      append: async (fact: PaymentFact) => void facts.push(fact),
    });
    const once = async (): Promise<void> => {
      const running = await runPayment(
        {
          sections: onlyPaymentSection(moneySection, authority.elders),
          identity: ed25519Identity,
          bundle,
          repeatEveryMs: 1_500,
        },
        {
          ask: async (elder, request) => {
            const reply = await site(
              `${name}.ask`,
              () => this.#ask(elder.name, request),
              [],
              false,
            ).catch(() => null);
            return reply === null ? { ok: false, error: 'silence' } : { ok: true, value: reply };
          },
          facts: kept,
          suite: toySuite,
          now: clock.now,
          randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
          onOutput: ({ kind }) => {
            state = kind;
          },
          onFault: ({ kind }) =>
            this.violations.push(`${name}: an honest elder was blamed: ${kind}`),
        },
      );
      await running.ended;
    };
    // As the service worker does: resume interrupted payments from the stored state.
    const ended = client.run(async () => {
      for (;;) {
        try {
          return await once();
        } catch {
          await clock.wait(1_000);
        }
      }
    });
    return { ended, state: () => state };
  }

  async #ask(name: Uint8Array, request: ClientRequest): Promise<ClientReply | null> {
    await clock.wait(latencyMs);
    const at = authority.elders.findIndex((each) => equalBytes(each.name, name));
    const elder = this.#elders[at];
    if (elder === undefined || (request.kind !== 'slot' && request.kind !== 'output')) return null;
    if (elder.isDead) elder.restart();
    const reply = await elder.answer(request);
    if (request.kind === 'slot' && reply?.kind === 'money') this.#note(at, request, reply.message);
    return reply;
  }

  /** True when no transaction can reach five votes any more; an elder votes once. */
  #isSplit(): boolean {
    const counts = new Map<string, number>();
    for (const voted of this.#votes.values()) {
      for (const txid of voted) counts.set(txid, (counts.get(txid) ?? 0) + 1);
    }
    const free = this.#elders.length - this.#votes.size;
    return [...counts.values()].every((count) => count + free < 5);
  }

  /**
   * An elder votes for at most one transaction of a slot. It commits the transaction with five
   * votes, whatever its own vote; all elders commit the same one of a slot.
   */
  #note(at: number, request: Extract<ClientRequest, { kind: 'slot' }>, answer: Uint8Array): void {
    const asked = decodeSpentbookRequest(request.slot, request.message);
    const reply = decodeSpentbookAnswer(answer);
    if (!asked.ok || !reply.ok || !('transaction' in asked.value)) return;
    if (reply.value.kind !== 'prepared' && reply.value.kind !== 'committed') return;
    const transaction = decodeTransaction(asked.value.transaction);
    if (!transaction.ok) return;
    const slot = toHex(request.slot);
    const isVote = reply.value.kind === 'prepared';
    const [table, key] = isVote ? [this.#votes, `${at} ${slot}`] : [this.#committed, slot];
    const seen = (table.get(key) ?? new Set()).add(toHex(txidOf(transaction.value)));
    table.set(key, seen);
    if (seen.size < 2) return;
    this.violations.push(
      isVote
        ? `elder ${at} voted for two transactions of a coin`
        : 'two transactions of a coin were committed',
    );
  }

  async #lists(): Promise<void> {
    for (const elder of this.#elders) {
      const reply = await elder.answer({ kind: 'outputs', after: 0, limit: 64 });
      if (reply?.kind !== 'outputs') this.violations.push('an elder has no list any more');
    }
  }
}

/** Two payments of one coin, created once: every run plays the same ones. */
let made: readonly [PaymentBundle, PaymentBundle] | null = null;
function rivals(): readonly [PaymentBundle, PaymentBundle] {
  made ??= [plan('bob'), plan('carol')];
  return made;
}

function plan(to: string): PaymentBundle {
  const keys = walletKeysFor('alice');
  const paid = new Network().pay(addressOf(keys), [100n * coinUnit]);
  const planned = planPayment({
    keys,
    networkId,
    coins: spendable(scanCommitted(keys, emptyWallet, paid, 1)),
    address: addressOf(walletKeysFor(to)),
    amount: 5n * coinUnit,
    memo: utf8(to),
    entropy: crypto.getRandomValues(new Uint8Array(32)),
  });
  if (!planned.ok) throw new Error(planned.error.kind);
  return planned.value.bundle;
}

export const elderScenarios: readonly InjectScenario[] = [
  { name: 'elders', begin: (interrupt) => new EldersRun(interrupt) },
];
