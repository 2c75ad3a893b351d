/**
 * The faucet of a local network: pays 100 units of the network's first coin to whoever asks. It is
 * a client like any other; what it promised is on disk, and one payment follows the other because
 * each spends the change of the one before.
 */
import { randomBytes } from 'node:crypto';
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bytesOf,
  bytesUpTo,
  intBetween,
  record,
  textUpTo,
  union,
  type ShapeOf,
} from '#core/codec/shape.ts';
import { err, type Result } from '#core/result.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { decodeAddress } from '#money/address.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { certificatesShape } from '#money/shapes.ts';
import { ed25519Identity } from '#money/identity.ts';
import { walletKeys } from '#money/keys.ts';
import type { SignedAuthority, TrustAnchor } from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest, type ClientReply } from '#roles/wire/client.ts';
import { runPayment, type RunningPayment } from '#runtime/payment-runner.ts';
import {
  decodeBundle,
  decodePaymentFact,
  encodeBundle,
  encodePaymentFact,
  maxBundleBytes,
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
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { hostGroup } from '#network/inbound.ts';
import { createPaymentFollower } from './handover-money-follow.ts';
import type { JsonAnswer } from './http-front.ts';
import type { Log } from './log.ts';

export interface FaucetOptions {
  readonly anchor: TrustAnchor;
  /** A verified section of the network; where it has gone since, the faucet asks. */
  readonly signed: SignedAuthority;
  /** Where elders it hears of can be dialled: signed records, unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
  readonly seed: Uint8Array;
  readonly facts: FactStore;
  readonly jobs: JobPool;
  /** Sends one client request to an elder. */
  readonly request: (
    elder: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  readonly log: Log;
  readonly now?: () => number;
  /** After a failure of the disk; tests do not wait as long. */
  readonly retryMs?: number;
}

export interface Faucet {
  /** `POST /faucet` with `{"address": "safe1…"}`. */
  readonly answer: (body: unknown, from: string) => Promise<JsonAnswer>;
  /** Resolves when everything promised so far is paid (tests). */
  readonly settled: () => Promise<void>;
  readonly stop: () => void;
}

export const faucetUnits = 100;
/** What one Safe may ask in one window; a test with several payments fits, a script does not. */
const asksPerWindow = 5;
/**
 * What one connection address may ask for all Safes together: addresses of Safes cost nothing. This
 * machine's own programs are told apart by nothing, and are bounded by the queue alone.
 */
export const asksPerConnection = 20;
const windowMs = 600_000;
/** At a second each this is two minutes of work. */
const maxQueued = 120;
const repeatEveryMs = 2_000;
const retryMs = 10_000;
const amount = BigInt(faucetUnits) * PARTS_PER_UNIT;

const id = bytesOf(16);
const factShape = union({
  asked: record({ id, address: textUpTo(256), at: intBetween(0, Number.MAX_SAFE_INTEGER) }),
  planned: record({ id, bundle: bytesUpTo(maxBundleBytes) }),
  final: record({
    id,
    transaction: bytesUpTo(16 * 1024),
    certificates: certificatesShape,
  }),
  /** Registered, or found impossible: nothing more is done about it. */
  ended: record({ id }),
});
type Fact = ShapeOf<typeof factShape>;
type Asked = Fact & { readonly kind: 'asked' };

/** Facts that no start needs any more, of all that are kept, by place. */
function obsolete(all: readonly Uint8Array[]): readonly number[] {
  const read = all.map((bytes) => {
    const decoded = decodeCbor(bytes);
    const fact = decoded.ok ? factShape(decoded.value) : undefined;
    assert(fact !== undefined, 'a stored fact decodes');
    return fact;
  });
  const ended = new Set(read.filter(({ kind }) => kind === 'ended').map((each) => toHex(each.id)));
  const lastFinal = read.findLastIndex(({ kind }) => kind === 'final');
  return read.flatMap((fact, place) =>
    (fact.kind === 'final' ? place !== lastFinal : ended.has(toHex(fact.id))) ? [place] : [],
  );
}

export async function openFaucet(options: FaucetOptions): Promise<Faucet> {
  const { facts, jobs, log } = options;
  const { authority } = options.signed;
  const follower = createPaymentFollower(options);
  const now = options.now ?? Date.now;
  const keys = walletKeys(options.seed);
  const queue: Asked[] = [];
  const bundles = new Map<string, PaymentBundle>();
  const asksByAddress = new Map<string, readonly number[]>();
  const asksByConnection = new Map<string, readonly number[]>();
  /** Requests that are being written to disk: they count before they wait. */
  let arriving = 0;
  let wallet: WalletState = emptyWallet;
  let running: RunningPayment | undefined;
  let stopped = false;
  let working: Promise<void> = Promise.resolve();

  /** Of a request that has ended nothing is left, and of final payments the last. */
  const keep = (fact: Fact): Promise<void> =>
    facts.appendAndForget('faucet', 'queue', encodeCbor(fact), obsolete);

  // The last final payment holds the change that pays the next one; before it, the first coin.
  let last: (Fact & { readonly kind: 'final' }) | undefined;
  const open = new Map<string, Asked>();
  for (const bytes of await facts.load('faucet', 'queue')) {
    const decoded = decodeCbor(bytes);
    const fact = decoded.ok ? factShape(decoded.value) : undefined;
    assert(fact !== undefined, 'a stored fact decodes');
    if (fact.kind === 'asked') open.set(toHex(fact.id), fact);
    else if (fact.kind === 'final') last = fact;
    else if (fact.kind === 'ended') open.delete(toHex(fact.id));
    else {
      const bundle = decodeBundle(fact.bundle);
      assert(bundle.ok, 'a stored bundle decodes');
      bundles.set(toHex(fact.id), bundle.value);
    }
  }
  if (last !== undefined) wallet = scanCommitted(keys, emptyWallet, last, now());
  else {
    const first = genesisCoin(keys, authority);
    if (first !== null) wallet = addCoin(emptyWallet, first.coin, first.source, now());
  }
  queue.push(...open.values());

  const ask = async (
    elder: { readonly name: Uint8Array },
    request: Parameters<typeof encodeClientRequest>[0],
  ) => {
    const answer = await options.request(elder.name, encodeClientRequest(request));
    if (!answer.ok) return answer;
    const reply: Result<ClientReply, unknown> = decodeClientReply(answer.value);
    return reply.ok ? reply : err('malformed');
  };

  /** R0: the bundle is on disk before its first byte is sent, and is sent unchanged ever after. */
  const planFor = async (asked: Asked): Promise<PaymentBundle | undefined> => {
    const key = toHex(asked.id);
    const known = bundles.get(key);
    if (known !== undefined) return known;
    const address = decodeAddress(authority.networkId, asked.address);
    if (!address.ok) return undefined;
    const planned = planPayment({
      keys,
      networkId: authority.networkId,
      coins: spendable(wallet),
      address: address.value,
      amount,
      memo: new TextEncoder().encode('Faucet'),
      entropy: new Uint8Array(randomBytes(32)),
    });
    if (!planned.ok) {
      log.write({ event: 'faucetCannotPay', rule: planned.error.kind });
      return undefined;
    }
    await keep({ kind: 'planned', id: asked.id, bundle: encodeBundle(planned.value.bundle) });
    bundles.set(key, planned.value.bundle);
    return planned.value.bundle;
  };

  const pay = async (asked: Asked): Promise<void> => {
    const key = toHex(asked.id);
    const bundle = await planFor(asked);
    if (bundle !== undefined) {
      let kept: Promise<void> = Promise.resolve();
      running = await runPayment(
        {
          sections: follower.sections(),
          identity: ed25519Identity,
          bundle,
          repeatEveryMs,
        },
        {
          ask,
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
              const { transaction } = bundle;
              wallet = scanCommitted(keys, emptyWallet, { transaction, certificates }, now());
              if (output.kind === 'final') {
                kept = keep({ kind: 'final', id: asked.id, transaction, certificates });
              }
            }
            if (output.kind === 'waiting') {
              log.write({ event: 'faucetWaits', rule: output.reason.kind });
            }
          },
          news: (address) => follower.news(address),
          onFault: ({ kind, culprit }) => log.write({ event: 'blamed', kind, peer: culprit }),
        },
      );
      await running.ended;
      running = undefined;
      await kept;
      if (stopped) return; // It goes on at the next start.
    }
    await keep({ kind: 'ended', id: asked.id });
    await facts.erase('payment', key);
    bundles.delete(key);
  };

  const work = async (): Promise<void> => {
    for (let asked = queue[0]; asked !== undefined && !stopped; asked = queue[0]) {
      await pay(asked);
      if (!stopped) queue.shift();
    }
  };
  let retry: ReturnType<typeof setTimeout> | undefined;
  const wake = (): void => {
    clearTimeout(retry);
    working = working.then(work).catch((error: unknown) => {
      log.write({ event: 'faucetFailed', error: String(error) });
      // A disk that was full may have room again: what was promised is tried again by itself.
      clearTimeout(retry);
      if (!stopped) retry = setTimeout(wake, options.retryMs ?? retryMs);
    });
  };
  wake();

  /** @returns for how long this asker has to wait, and how to count one more ask. */
  const waitOf = (
    asks: Map<string, readonly number[]>,
    asker: string,
    max: number,
  ): { readonly waitMs: number; readonly count: () => void } => {
    const since = now() - windowMs;
    for (const [other, times] of asks) {
      if ((times.at(-1) ?? 0) < since) asks.delete(other);
    }
    const times = (asks.get(asker) ?? []).filter((time) => time >= since);
    const waitMs = times.length >= max ? (times[0] ?? 0) + windowMs - now() : 0;
    return { waitMs, count: () => void asks.set(asker, [...times, now()]) };
  };
  /** What is left when everything promised is paid. */
  const left = (): bigint =>
    spendable(wallet).reduce((sum, { coin }) => sum + coin.amount, 0n) -
    BigInt(queue.length + arriving) * amount;

  return {
    answer: async (body, from) => {
      const address = (body as { address?: unknown } | null)?.address;
      if (typeof address !== 'string' || address.length > 256) {
        return refusal(400, 'malformed', 'Send {"address": "safe1…"}.');
      }
      const decoded = decodeAddress(authority.networkId, address);
      if (!decoded.ok) {
        return refusal(
          400,
          'badAddress',
          decoded.error === 'wrongNetwork'
            ? 'This address belongs to another network.'
            : 'This is not an address of a Safe: copy it again.',
        );
      }
      if (left() < amount) {
        return refusal(503, 'empty', 'The faucet has no more money to give.');
      }
      if (queue.length + arriving >= maxQueued) {
        return refusal(503, 'busy', 'The faucet has many requests: try again in two minutes.', 120);
      }
      const bySafe = waitOf(asksByAddress, address, asksPerWindow);
      const connection = hostGroup(from);
      const byConnection =
        connection === null ? undefined : waitOf(asksByConnection, connection, asksPerConnection);
      const waitMs = Math.max(bySafe.waitMs, byConnection?.waitMs ?? 0);
      if (waitMs > 0) {
        const minutes = Math.ceil(waitMs / 60_000);
        const who =
          bySafe.waitMs > 0
            ? `This address has asked ${asksPerWindow} times`
            : `Your connection has asked ${asksPerConnection} times`;
        const sentence = `${who}: try again in ${minutes} minutes.`;
        return refusal(429, 'tooOften', sentence, Math.ceil(waitMs / 1000));
      }
      bySafe.count();
      byConnection?.count();
      const asked: Asked = {
        kind: 'asked',
        id: new Uint8Array(randomBytes(16)),
        address,
        at: now(),
      };
      // Counted before it is written: requests of one moment share what is left.
      arriving += 1;
      try {
        await keep(asked);
        queue.push(asked);
      } finally {
        arriving -= 1;
      }
      wake();
      return { status: 202, body: { accepted: true, amount: String(faucetUnits) } };
    },
    settled: () => working,
    stop: () => {
      stopped = true;
      clearTimeout(retry);
      running?.stop();
    },
  };
}

const refusal = (
  status: number,
  error: string,
  message: string,
  retryAfterSeconds?: number,
): JsonAnswer => ({
  status,
  body: { error, message },
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
});
