/** Goal: a payment with a signature that does not hold is held against who sent it, an honest one is not. */
import { expect, test } from 'vitest';
import { utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import { sectionKeyHash } from '#money/certificate.ts';
import { addressOf } from '#money/address.ts';
import { genesisKeyPair, walletKeys } from '#money/keys.ts';
import { decodeTransaction, slotName } from '#money/transaction.ts';
import { createElderMoney } from '#node/elder-money.ts';
import { silentLog } from '#node/log.ts';
import { decodeSpentbookAnswer, encodeSpentbookRequest } from '#protocol/spentbook/index.ts';
import { addCoin, emptyWallet, genesisCoin, planPayment, spendable } from '#safe/wallet/index.ts';
import { createMemoryFacts } from '#storage/node/memory-facts.ts';
import { toyScalars, toySuite } from '../../sim/toy-suite.ts';
import { makeSection } from '../section/fixtures.ts';
import { toyJobs } from './handover-money-world.ts';

const seed = sha256(utf8('payer'));
const keys = walletKeys(seed);
const made = makeSection(toySuite, toyScalars);
const authority = {
  ...made.authority,
  genesisOutput: { oneTimeKey: genesisKeyPair(seed).oneTimeKey, amount: 1_000n },
};

function payment() {
  const first = genesisCoin(keys, authority);
  if (first === null) throw new Error('the first coin is ours');
  const planned = planPayment({
    keys,
    networkId: authority.networkId,
    coins: spendable(addCoin(emptyWallet, first.coin, first.source, 0)),
    address: addressOf(walletKeys(sha256(utf8('payee')))),
    amount: 10n,
    memo: new Uint8Array(),
    entropy: sha256(utf8('entropy')),
  });
  if (!planned.ok) throw new Error(planned.error.kind);
  return planned.value.bundle;
}

test('a forged payment is an invalid request of its sender, and a right one is signed', async () => {
  const { transaction, sources } = payment();
  const body = decodeTransaction(transaction);
  const keyImage = body.ok ? body.value.inputs[0]?.keyImage : undefined;
  if (keyImage === undefined) throw new Error('one input');
  const slot = slotName(keyImage);
  const [elder] = authority.elders;
  const money = await createElderMoney({
    label: 'elder',
    name: elder?.name ?? new Uint8Array(),
    identitySeed: made.identitySeeds[0] ?? seed,
    secretShare: made.secretShares[0] ?? seed,
    authority,
    facts: createMemoryFacts(),
    jobs: toyJobs as never,
    log: silentLog,
  });
  let invalid = 0;
  const prepare = async (bytes: Uint8Array): Promise<object> => {
    const message = encodeSpentbookRequest({
      kind: 'prepare',
      request: new Uint8Array(16),
      section: sectionKeyHash(authority.key),
      slot,
      transaction: bytes,
      sources,
    });
    const reply = await money.answer({ kind: 'slot', slot, message }, () => (invalid += 1));
    const answer = reply.kind === 'money' ? decodeSpentbookAnswer(reply.message) : undefined;
    if (answer?.ok !== true) throw new Error(`no answer: ${reply.kind}`);
    return answer.value;
  };
  // The signatures are last: the low byte of a scalar.
  const forged = transaction.slice();
  forged[forged.length - 32] = (forged[forged.length - 32] ?? 0) ^ 1;
  expect(await prepare(forged)).toMatchObject({ kind: 'malformed', what: 'badSignature' });
  expect(invalid).toBe(1);
  expect(await prepare(transaction)).toMatchObject({ kind: 'prepared' });
  expect(invalid).toBe(1);
  money.stop();
});
