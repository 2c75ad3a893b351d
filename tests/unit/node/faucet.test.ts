/**
 * Goal: the faucet limits each client, accepts only requests that it can pay, and retries after its
 * disk was full.
 * Method: the real faucet with facts in memory and elders that never answer.
 */
import { afterEach, expect, test, vi } from 'vitest';
import { decodeCbor } from '#core/codec/cbor.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { err } from '#core/result.ts';
import { sha256 } from '#crypto/hash.ts';
import { addressOf, encodeAddress } from '#money/wallet-address.ts';
import { PARTS_PER_UNIT } from '#money/amount.ts';
import { genesisKeyPair, walletKeys } from '#money/wallet-keys.ts';
import { requestsPerConnection, faucetUnits, openFaucet, type Faucet } from '#node/money/faucet.ts';
import type { LogLine } from '#node/monitoring/log.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { makeSection, signWith } from '../section/fixtures.ts';
import { createMemoryFacts } from '../../support/memory-facts.ts';

const seed = sha256(utf8('faucet'));
const made = makeSection(toySuite, toyScalars);
const authorityWith = (units: number) => ({
  ...made.authority,
  genesisOutput: {
    oneTimeKey: genesisKeyPair(seed).oneTimeKey,
    amount: BigInt(units) * PARTS_PER_UNIT,
  },
});

const open: Faucet[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.stop();
});

interface World {
  readonly facts?: FactStore;
  readonly units?: number;
  readonly seed?: Uint8Array;
  readonly now?: () => number;
}

async function faucet(world: World = {}) {
  const events: LogLine[] = [];
  let sent = 0;
  const facts = world.facts ?? createMemoryFacts();
  const opened = await openFaucet({
    anchor: made.anchor,
    signed: signWith(toySuite, made.secretShares, authorityWith(world.units ?? 1_000_000)),
    records: () => undefined,
    seed: world.seed ?? seed,
    facts,
    jobs: {
      run: () => new Promise(() => undefined),
      stop: async () => undefined,
    } as unknown as JobPool,
    request: async () => {
      sent += 1;
      return err('unreachable');
    },
    log: { write: (event: LogLine) => void events.push(event) } as never,
    now: world.now ?? (() => 1_000),
    retryMs: 1,
  });
  open.push(opened);
  const ask = async (who: string, from = '127.0.0.1') => {
    const address = encodeAddress(made.anchor.networkId, addressOf(walletKeys(sha256(utf8(who)))));
    return opened.answer({ address }, from);
  };
  return { ...opened, ask, facts, events, sent: () => sent };
}

const named = (events: readonly LogLine[], event: string): number =>
  events.filter((each) => each.event === event).length;

test('a connection address gets a fixed number of payments for all Safes together, separately from other addresses', async () => {
  let now = 1_000;
  const { ask } = await faucet({ now: () => now });
  for (let n = 0; n < requestsPerConnection; n++) {
    expect((await ask(`safe ${n}`, '198.51.100.7')).status).toBe(202);
  }
  const refused = await ask('one more', '198.51.100.7');
  expect(refused).toMatchObject({ status: 429, body: { error: 'tooOften' } });
  expect(refused.retryAfterSeconds).toBeGreaterThan(0);
  expect((await ask('one more', '::ffff:198.51.100.7')).status).toBe(429);
  expect((await ask('one more', '198.51.100.8')).status).toBe(202);
  // One subscriber has all addresses of such a network.
  for (let n = 0; n < requestsPerConnection; n++) {
    expect((await ask(`six ${n}`, `2001:db8:1:2::${n + 1}`)).status).toBe(202);
  }
  expect((await ask('six more', '2001:db8:1:2:ffff::9')).status).toBe(429);
  now += 600_001;
  expect((await ask('one more', '198.51.100.7')).status).toBe(202);
});

test('programs of this computer cannot be distinguished and share only the queue', async () => {
  const { ask } = await faucet();
  const count = requestsPerConnection + 1;
  for (let n = 0; n < count; n++) expect((await ask(`safe ${n}`)).status).toBe(202);
});

test('concurrent requests share the balance: none is accepted that cannot be paid', async () => {
  const facts = createMemoryFacts();
  let write: () => void = () => undefined;
  const disk = new Promise<void>((done) => (write = done));
  const slow: FactStore = {
    ...facts,
    appendAndForget: async (...given) => {
      await disk;
      await facts.appendAndForget(...given);
    },
  };
  const { ask } = await faucet({ facts: slow, units: 2 * faucetUnits });
  const all = Promise.all(['a', 'b', 'c'].map((who) => ask(who)));
  write();
  expect((await all).map(({ status }) => status)).toEqual([202, 202, 503]);
});

test('a request that could not be saved is not accepted and occupies no place', async () => {
  const facts = createMemoryFacts();
  let isFull = true;
  const full: FactStore = {
    ...facts,
    appendAndForget: async (...given) => {
      if (isFull) throw new Error('disk full');
      await facts.appendAndForget(...given);
    },
  };
  const { ask } = await faucet({ facts: full, units: faucetUnits });
  for (let n = 0; n < 3; n++) await expect(ask(`safe ${n}`)).rejects.toThrow('disk full');
  isFull = false;
  expect((await ask('safe')).status).toBe(202);
});

test('a payment that cannot be planned is logged and closed, and nothing of its request is left', async () => {
  const first = await faucet();
  expect((await first.ask('safe')).status).toBe(202);
  first.stop();
  expect(await first.facts.load('faucet', 'queue')).not.toEqual([]);
  const facts = createMemoryFacts();
  const asked = (await first.facts.load('faucet', 'queue'))[0] ?? new Uint8Array();
  await facts.append('faucet', 'queue', asked);
  // Another seed owns no coin.
  const poor = await faucet({ facts, seed: sha256(utf8('poor')) });
  await poor.settled();
  expect(named(poor.events, 'faucetCannotPay')).toBe(1);
  const left = (await facts.load('faucet', 'queue')).map((bytes) => {
    const decoded = decodeCbor(bytes);
    return decoded.ok ? (decoded.value as { kind: string }).kind : 'damaged';
  });
  expect(left).toEqual(['ended']);
  expect(await facts.keys('payment')).toEqual([]);
});

test('after a disk error an accepted payment is retried automatically', async () => {
  const facts = createMemoryFacts();
  let failures = 0;
  const failing: FactStore = {
    ...facts,
    appendAndForget: async (machine, key, fact, obsolete) => {
      const decoded = decodeCbor(fact);
      const isPlan = decoded.ok && (decoded.value as { kind: string }).kind === 'planned';
      if (isPlan && failures < 2) {
        failures += 1;
        throw new Error('disk full');
      }
      await facts.appendAndForget(machine, key, fact, obsolete);
    },
  };
  const { ask, events, sent } = await faucet({ facts: failing });
  expect((await ask('safe')).status).toBe(202);
  await vi.waitFor(() => expect(sent()).toBeGreaterThan(0), { timeout: 20_000 });
  expect(named(events, 'faucetFailed')).toBe(2);
});
