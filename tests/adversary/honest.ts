/**
 * The honest half of a measurement: uploads, payments and a member's messages, one of each at a
 * time.
 */
import { randomBytes } from 'node:crypto';
import { toHex } from '#core/codec/bytes.ts';
import { err } from '#core/result.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { addressOf, encodeAddress } from '#money/wallet-address.ts';
import { ed25519Identity } from '#crypto/identity-suite.ts';
import { walletKeys } from '#money/wallet-keys.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { createPaymentFollower } from '#node/money/payment-follower.ts';
import { decodeClientReply, encodeClientRequest, type ClientRequest } from '#roles/wire/client.ts';
import { createJobPool } from '#runtime/jobs/job-pool.ts';
import { runPayment } from '#runtime/payment-runner.ts';
import {
  addCoin,
  emptyWallet,
  planPayment,
  scanCommitted,
  scanEntry,
  spendable,
  type WalletState,
} from '#safe/wallet/index.ts';
import { connectFollowing } from '../network/support/following-client.ts';
import { createPrng } from '../sim/prng.ts';
import { askWith } from './connection.ts';
import { uploadBytes } from './lying-client.ts';
import { deliver } from './section-messages.ts';
import type { Target } from './target.ts';

export interface Honest {
  /** Stores one chunk with at least three valid receipts; rejects otherwise. */
  readonly upload: () => Promise<void>;
  /** Makes one payment, from its plan to "final"; rejects if it does not become final. */
  readonly pay: () => Promise<void>;
  /** Sends one message of a member and waits until the section's machine has processed it. */
  readonly sectionMessage: () => Promise<void>;
  /** Number of chunks stored so far that cannot be read back. */
  readonly missing: () => Promise<number>;
  readonly stop: () => Promise<void>;
}

const askTimeoutMs = 15_000;
const payWithinMs = 60_000;

export async function openHonest(target: Target): Promise<Honest> {
  const files = await connectFollowing(target.url, target.node('bootstrap').tcp);
  const payer = await openPayer(target);
  const member = await openMember(target, 'adult-1');
  const stored: Uint8Array[] = [];
  let bit: 0 | 1 = 0;
  return {
    upload: async () => {
      bit = bit === 0 ? 1 : 0;
      const { name, receipts } = await files.put(uploadBytes, bit);
      if (receipts < 3) throw new Error(`${receipts} receipts`);
      stored.push(name);
    },
    pay: payer.pay,
    sectionMessage: member.message,
    missing: async () => {
      let missing = 0;
      for (const name of stored) if ((await files.get(name)) === null) missing += 1;
      return missing;
    },
    stop: async () => {
      await Promise.all([files.stop(), payer.stop(), member.stop()]);
    },
  };
}

/** A member of the section as its elders know it: its key and valid messages. */
async function openMember(target: Target, label: string) {
  const self = target.node(label);
  const host = await hostOf(self.seed);
  const prng = createPrng(7);
  let round = 0;
  return {
    message: async (): Promise<void> => {
      const to = prng.pick(target.elders);
      const payload = { kind: 'ping', round: (round += 1) } as const;
      const request = deliver(target, self, to, payload, prng);
      const outcome = await askWith(host, target, 'section', to, request);
      if (outcome !== 'served') throw new Error(`a member's message was ${outcome}`);
    },
    stop: host.stop,
  };
}

async function openPayer(target: Target) {
  const host = await hostOf(new Uint8Array(randomBytes(32)));
  // Any node may become an elder while the section votes liars out.
  const placeOf = new Map(target.nodes.map((each) => [toHex(each.name), each.tcp]));
  const jobs = createJobPool(1);
  const request = async (elder: Uint8Array, bytes: Uint8Array) =>
    host.request(
      { name: elder, addresses: [placeOf.get(toHex(elder)) ?? ''] },
      'client',
      target.tag,
      bytes,
      { timeoutMs: askTimeoutMs },
    );
  const ask = async (elder: { readonly name: Uint8Array }, wanted: ClientRequest) => {
    const answer = await request(elder.name, encodeClientRequest(wanted));
    if (!answer.ok) return answer;
    const reply = decodeClientReply(answer.value);
    return reply.ok ? reply : err('malformed');
  };
  const follower = createPaymentFollower({
    anchor: target.anchor,
    signed: target.signed,
    request,
    jobs,
    records: () => undefined,
  });
  const keys = walletKeys(new Uint8Array(randomBytes(32)));
  const networkId = target.anchor.networkId;
  const own = addressOf(keys);
  let wallet = await fromFaucet();

  async function fromFaucet(): Promise<WalletState> {
    const answer = await fetch(`${target.url}/faucet`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ address: encodeAddress(networkId, own) }),
    });
    if (!answer.ok) throw new Error(`the faucet answered ${answer.status}`);
    const { sections } = { sections: follower.sections() };
    for (let tried = 0; tried < 60; tried++) {
      for (const elder of target.elders.slice(0, 3)) {
        const found = await scanAll(elder, sections);
        if (spendable(found).length > 0) return found;
      }
      await new Promise((go) => setTimeout(go, 1_000));
    }
    throw new Error('the faucet paid nothing');
  }

  async function scanAll(
    elder: { readonly name: Uint8Array },
    sections: ReturnType<typeof follower.sections>,
  ): Promise<WalletState> {
    let found = emptyWallet;
    for (let after = 0, more = true; more;) {
      const reply = await ask(elder, { kind: 'outputs', after, limit: 64 });
      if (!reply.ok || reply.value.kind !== 'outputs') return found;
      const scanner = { keys, sections, suite: blsSuite };
      for (const entry of reply.value.entries) {
        const scanned = scanEntry(scanner, found, entry, Date.now());
        if (scanned.ok) found = scanned.value.state;
      }
      ({ next: after, more } = reply.value);
    }
    return found;
  }

  return {
    pay: async (): Promise<void> => {
      const planned = planPayment({
        keys,
        networkId,
        coins: spendable(wallet),
        address: own,
        amount: 1n,
        memo: new Uint8Array(),
        entropy: new Uint8Array(randomBytes(32)),
      });
      if (!planned.ok) throw new Error(`no plan: ${planned.error.kind}`);
      const { bundle } = planned.value;
      const { transaction } = bundle;
      let finished: () => void = () => undefined;
      const isFinal = new Promise<void>((done) => {
        finished = done;
      });
      const running = await runPayment(
        { sections: follower.sections(), identity: ed25519Identity, bundle, repeatEveryMs: 2_000 },
        {
          ask,
          lookUpSections: follower.lookUpSections,
          facts: { load: async () => [], append: async () => undefined },
          suite: blsSuite,
          now: () => Date.now(),
          randomBytes: (length) => new Uint8Array(randomBytes(length)),
          onOutput: (output) => {
            if (output.kind !== 'final' && output.kind !== 'registered') return;
            const { certificates } = output;
            const after = scanCommitted(
              keys,
              emptyWallet,
              { transaction, certificates },
              Date.now(),
            );
            wallet = [...after.coins.values()].reduce(
              (kept, { coin, source, spentBy }) =>
                source === null || spentBy.size > 0 || coin.amount === 1n
                  ? kept
                  : addCoin(kept, coin, source, Date.now()),
              emptyWallet,
            );
            finished();
          },
          onFault: () => undefined,
        },
      );
      const timer = setTimeout(() => running.stop(), payWithinMs);
      const outcome = await Promise.race([isFinal.then(() => 'final'), running.ended]);
      clearTimeout(timer);
      if (outcome !== 'final') throw new Error('the payment did not become final');
      // Registering the outputs is part of the elders' cost of a payment.
      await Promise.race([running.ended, new Promise((go) => setTimeout(go, 10_000))]);
      running.stop();
    },
    stop: async () => void (await Promise.all([host.stop(), jobs.stop()])),
  };
}

const hostOf = (identitySeed: Uint8Array): Promise<NodeHost> =>
  createNodeHost({
    identitySeed,
    role: 'adult',
    tcpPort: null,
    wsPort: null,
    rtcDirectPort: null,
    bootstrap: { tcpAddress: null },
  });
