/** Pays the faucet's accepted requests one after the other: each spends the change of the one before. */
import { randomBytes } from 'node:crypto';
import { toHex } from '#core/codec/bytes.ts';
import { err, type Result } from '#core/result.ts';
import { ed25519Identity } from '#crypto/identity-suite.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { decodeAddress } from '#money/wallet-address.ts';
import { walletKeys } from '#money/wallet-keys.ts';
import type { SignedAuthority } from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest, type ClientReply } from '#roles/wire/client.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { runPayment, type PaymentPorts, type RunningPayment } from '#runtime/payment-runner.ts';
import {
  decodePaymentFact,
  encodeBundle,
  encodePaymentFact,
  type PaymentBundle,
} from '#safe/payment/index.ts';
import {
  addCoin,
  emptyWallet,
  genesisCoin,
  planPayment,
  scanCommitted,
  spendable,
  type WalletState,
} from '#safe/wallet/index.ts';
import type { FactStore } from '#storage/node/facts.ts';
import type { Log } from '../monitoring/log.ts';
import {
  saveFaucetFact,
  type FaucetRequest,
  type StoredFaucetRequests,
} from './faucet-requests.ts';
import type { PaymentFollower } from './payment-follower.ts';
import type { RequestPeer } from '../peers/node-links.ts';

export interface FaucetPayerOptions {
  /** A verified section of the network; the faucet looks up what it has become since. */
  readonly signed: SignedAuthority;
  readonly seed: Uint8Array;
  readonly facts: FactStore;
  readonly jobs: JobPool;
  /** Sends one client request to an elder. */
  readonly request: RequestPeer;
  readonly log: Log;
  /** The pause after a disk error; shorter in tests. */
  readonly retryMs?: number;
}

export interface FaucetPayer {
  readonly options: FaucetPayerOptions;
  readonly amount: bigint;
  readonly now: () => number;
  readonly follower: PaymentFollower;
  readonly keys: ReturnType<typeof walletKeys>;
  readonly bundles: Map<string, PaymentBundle>;
  /** Accepted requests; the first one is being paid. */
  readonly queue: FaucetRequest[];
  wallet: WalletState;
  running: RunningPayment | undefined;
  working: Promise<void>;
  retry: ReturnType<typeof setTimeout> | undefined;
  stopped: boolean;
}

const repeatEveryMs = 2_000;
const retryMs = 10_000;

export function createFaucetPayer(
  options: FaucetPayerOptions,
  { open, bundles, last }: StoredFaucetRequests,
  given: Pick<FaucetPayer, 'amount' | 'now' | 'follower'>,
): FaucetPayer {
  const keys = walletKeys(options.seed);
  let wallet: WalletState = emptyWallet;
  if (last !== undefined) wallet = scanCommitted(keys, emptyWallet, last, given.now());
  else {
    const first = genesisCoin(keys, options.signed.authority);
    if (first !== null) wallet = addCoin(emptyWallet, first.coin, first.source, given.now());
  }
  return {
    ...{ ...given, options, keys, bundles, wallet, queue: [...open] },
    ...{ running: undefined, working: Promise.resolve(), retry: undefined, stopped: false },
  };
}

/** Pays the queue; after a disk error the accepted requests are retried automatically. */
export function startPaying(payer: FaucetPayer): void {
  const { options } = payer;
  clearTimeout(payer.retry);
  payer.working = payer.working
    .then(() => payQueue(payer))
    .catch((error: unknown) => {
      options.log.write({ event: 'faucetFailed', error: String(error) });
      clearTimeout(payer.retry);
      if (payer.stopped) return;
      payer.retry = setTimeout(() => startPaying(payer), options.retryMs ?? retryMs);
    });
}

export function stopPaying(payer: FaucetPayer): void {
  payer.stopped = true;
  clearTimeout(payer.retry);
  payer.running?.stop();
}

async function payQueue(payer: FaucetPayer): Promise<void> {
  const { queue } = payer;
  for (let asked = queue[0]; asked !== undefined && !payer.stopped; asked = queue[0]) {
    await pay(payer, asked);
    if (!payer.stopped) queue.shift();
  }
}

async function pay(payer: FaucetPayer, asked: FaucetRequest): Promise<void> {
  const { facts } = payer.options;
  const key = toHex(asked.id);
  const bundle = await planFor(payer, asked);
  if (bundle !== undefined) {
    const config = {
      sections: payer.follower.sections(),
      identity: ed25519Identity,
      bundle,
      repeatEveryMs,
    };
    const final: { saved: Promise<void> } = { saved: Promise.resolve() };
    payer.running = await runPayment(config, portsFor(payer, asked, bundle, final));
    await payer.running.ended;
    payer.running = undefined;
    await final.saved;
    if (payer.stopped) return; // The next start continues it.
  }
  await saveFaucetFact(facts, { kind: 'ended', id: asked.id });
  await facts.erase('payment', key);
  payer.bundles.delete(key);
}

/** SPENTBOOK-R0: the bundle is on disk before its first byte is sent, and is always resent unchanged. */
async function planFor(
  { options, keys, wallet, amount, bundles }: FaucetPayer,
  asked: FaucetRequest,
): Promise<PaymentBundle | undefined> {
  const { networkId } = options.signed.authority;
  const key = toHex(asked.id);
  const known = bundles.get(key);
  if (known !== undefined) return known;
  const address = decodeAddress(networkId, asked.address);
  if (!address.ok) return undefined;
  const planned = planPayment({
    keys,
    networkId,
    coins: spendable(wallet),
    address: address.value,
    amount,
    memo: new TextEncoder().encode('Faucet'),
    entropy: new Uint8Array(randomBytes(32)),
  });
  if (!planned.ok) {
    options.log.write({ event: 'faucetCannotPay', rule: planned.error.kind });
    return undefined;
  }
  const { bundle } = planned.value;
  await saveFaucetFact(options.facts, {
    kind: 'planned',
    id: asked.id,
    bundle: encodeBundle(bundle),
  });
  bundles.set(key, bundle);
  return bundle;
}

/** @param final gets the write of the final payment, which must end before the request does. */
function portsFor(
  payer: FaucetPayer,
  { id }: FaucetRequest,
  { transaction }: PaymentBundle,
  final: { saved: Promise<void> },
): PaymentPorts {
  const { keys, now, follower, options } = payer;
  const { facts, jobs, log } = options;
  const key = toHex(id);
  return {
    ask: (elder, request) => requestElder(options, elder.name, request),
    facts: {
      load: async () =>
        (await facts.load('payment', key)).flatMap((bytes) => {
          const fact = decodePaymentFact(bytes);
          return fact.ok ? [fact.value] : [];
        }),
      append: (fact) => facts.append('payment', key, encodePaymentFact(fact)),
    },
    suite: blsSuite,
    compute: (job) => jobs.run('payment', job),
    now,
    randomBytes: (length) => new Uint8Array(randomBytes(length)),
    onOutput: (output) => {
      if (output.kind === 'final' || output.kind === 'registered') {
        const { certificates } = output;
        payer.wallet = scanCommitted(keys, emptyWallet, { transaction, certificates }, now());
        if (output.kind === 'final') {
          final.saved = saveFaucetFact(facts, { kind: 'final', id, transaction, certificates });
        }
      }
      if (output.kind === 'waiting') {
        log.write({ event: 'faucetWaits', rule: output.reason.kind });
      }
    },
    lookUpSections: (address) => follower.lookUpSections(address),
    onFault: ({ kind, culprit }) => log.write({ event: 'blamed', kind, peer: culprit }),
  };
}

async function requestElder(
  { request: send }: FaucetPayerOptions,
  elder: Uint8Array,
  request: Parameters<typeof encodeClientRequest>[0],
) {
  const answer = await send(elder, encodeClientRequest(request));
  if (!answer.ok) return answer;
  const reply: Result<ClientReply, unknown> = decodeClientReply(answer.value);
  return reply.ok ? reply : err('malformed');
}
