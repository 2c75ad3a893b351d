/**
 * The faucet of a local network: pays 100 units of the network's first coin to anyone who asks. It is
 * an ordinary client: accepted requests are on disk, and payments run one after the other.
 */
import { randomBytes } from 'node:crypto';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { decodeAddress } from '#money/wallet-address.ts';
import { hostGroup } from '#network/limits/inbound-limits.ts';
import type { TrustAnchor } from '#protocol/section/index.ts';
import { spendable } from '#safe/wallet/index.ts';
import type { JsonAnswer } from '../http/http-server.ts';
import {
  createFaucetPayer,
  startPaying,
  stopPaying,
  type FaucetPayer,
  type FaucetPayerOptions,
} from './faucet-payer.ts';
import { loadFaucetRequests, saveFaucetFact, type FaucetRequest } from './faucet-requests.ts';
import { createPaymentFollower } from './payment-follower.ts';

export interface FaucetOptions extends FaucetPayerOptions {
  readonly anchor: TrustAnchor;
  /** Takes addresses of elders from replies: signed records, unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
  readonly now?: () => number;
}

export interface Faucet {
  /** `POST /faucet` with `{"address": "safe1…"}`. */
  readonly answer: (body: unknown, from: string) => Promise<JsonAnswer>;
  /** Resolves when every accepted request is paid (tests). */
  readonly settled: () => Promise<void>;
  readonly stop: () => void;
}

export const faucetUnits = 100;
/** Requests per Safe in one window: enough for a test with several payments, not for a script. */
const requestsPerWindow = 5;
/**
 * Requests per connection address in one window, for all Safes, because addresses of Safes are free.
 * Programs on this computer share one address and are bounded by the queue alone.
 */
export const requestsPerConnection = 20;
const windowMs = 600_000;
/** Two minutes of work at one second per payment. */
const maxQueued = 120;
const amount = BigInt(faucetUnits) * PARTS_PER_UNIT;

interface FaucetState {
  readonly payer: FaucetPayer;
  /** Times of recent requests, by address of a Safe and by connection. */
  readonly byAddress: Map<string, readonly number[]>;
  readonly byConnection: Map<string, readonly number[]>;
  /** Requests being written to disk: counted before they are queued. */
  beingSaved: number;
}

export async function openFaucet(options: FaucetOptions): Promise<Faucet> {
  const follower = createPaymentFollower(options);
  const now = options.now ?? Date.now;
  const stored = await loadFaucetRequests(options.facts);
  const payer = createFaucetPayer(options, stored, { amount, now, follower });
  const state: FaucetState = {
    payer,
    byAddress: new Map(),
    byConnection: new Map(),
    beingSaved: 0,
  };
  startPaying(payer);
  return {
    answer: async (body, from) => {
      const address = addressIn(options.signed.authority.networkId, body);
      if (typeof address !== 'string') return address;
      const refused = refuseFor(state, address, from);
      if (refused !== null) return refused;
      await accept(state, address);
      startPaying(payer);
      return { status: 202, body: { accepted: true, amount: String(faucetUnits) } };
    },
    settled: () => payer.working,
    stop: () => stopPaying(payer),
  };
}

function addressIn(networkId: Uint8Array, body: unknown): string | JsonAnswer {
  const address = (body as { address?: unknown } | null)?.address;
  if (typeof address !== 'string' || address.length > 256) {
    return refusal(400, 'malformed', 'Send {"address": "safe1…"}.');
  }
  const decoded = decodeAddress(networkId, address);
  if (decoded.ok) return address;
  const message =
    decoded.error === 'wrongNetwork'
      ? 'This address belongs to another network.'
      : 'This is not an address of a Safe: copy it again.';
  return refusal(400, 'badAddress', message);
}

/** @returns why the request is refused; null, and the request is counted, when it is accepted. */
function refuseFor(state: FaucetState, address: string, from: string): JsonAnswer | null {
  const { payer, byAddress, byConnection } = state;
  const pending = payer.queue.length + state.beingSaved;
  if (balanceLeft(payer, pending) < amount) {
    return refusal(503, 'empty', 'The faucet has no more money to give.');
  }
  if (pending >= maxQueued) {
    return refusal(503, 'busy', 'The faucet has many requests: try again in two minutes.', 120);
  }
  const now = payer.now();
  const ofSafe = rateLimitOf(byAddress, address, requestsPerWindow, now);
  const connection = hostGroup(from);
  const ofConnection =
    connection === null
      ? undefined
      : rateLimitOf(byConnection, connection, requestsPerConnection, now);
  const waitMs = Math.max(ofSafe.waitMs, ofConnection?.waitMs ?? 0);
  if (waitMs > 0) {
    const minutes = Math.ceil(waitMs / 60_000);
    const who =
      ofSafe.waitMs > 0
        ? `This address has asked ${requestsPerWindow} times`
        : `Your connection has asked ${requestsPerConnection} times`;
    const sentence = `${who}: try again in ${minutes} minutes.`;
    return refusal(429, 'tooOften', sentence, Math.ceil(waitMs / 1000));
  }
  ofSafe.count();
  ofConnection?.count();
  return null;
}

async function accept(state: FaucetState, address: string): Promise<void> {
  const { payer } = state;
  const asked: FaucetRequest = {
    kind: 'asked',
    id: new Uint8Array(randomBytes(16)),
    address,
    at: payer.now(),
  };
  // Counted before it is written: concurrent requests share the balance.
  state.beingSaved += 1;
  try {
    await saveFaucetFact(payer.options.facts, asked);
    payer.queue.push(asked);
  } finally {
    state.beingSaved -= 1;
  }
}

/** The balance after all accepted requests are paid. */
const balanceLeft = ({ wallet }: FaucetPayer, pending: number): bigint =>
  spendable(wallet).reduce((sum, { coin }) => sum + coin.amount, 0n) - BigInt(pending) * amount;

/** @returns how long this requester must wait, and how to count one more request. */
function rateLimitOf(
  requests: Map<string, readonly number[]>,
  requester: string,
  max: number,
  now: number,
): { readonly waitMs: number; readonly count: () => void } {
  const since = now - windowMs;
  for (const [other, times] of requests) {
    if ((times.at(-1) ?? 0) < since) requests.delete(other);
  }
  const times = (requests.get(requester) ?? []).filter((time) => time >= since);
  const waitMs = times.length >= max ? (times[0] ?? 0) + windowMs - now : 0;
  return { waitMs, count: () => void requests.set(requester, [...times, now]) };
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
