/** Goal: money that an ended epoch made final is found and redeemed later, with proofs alone (N34). */
import { expect, test } from 'vitest';
import { toHex, Writer } from '#core/codec/bytes.ts';
import { addressOf } from '#money/address.ts';
import { encodeEntry, onlySection, type SectionKeys } from '#money/certificate.ts';
import { writeSealedPath } from '#money/sealed.ts';
import { entriesRoot, sealedPages, type SealedEntry } from '#money/snapshot.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import { inheritPage } from '#protocol/handover/index.ts';
import {
  addCoin,
  balanceOf,
  emptyWallet,
  genesisCoin,
  planPayment,
  scanEntry,
  spendable,
} from '#safe/wallet/index.ts';
import { withPaths } from '../../../src/vault/wallet/paths.ts';
import { toySuite, toyScalars } from '../../sim/toy-suite.ts';
import {
  certify,
  faucet,
  keysOf,
  makeSection,
  networkId,
  seedOf,
  toyName,
} from '../money/fixtures.ts';

const old = makeSection(toySuite, toyScalars, toyName);
const alice = keysOf('alice');

/** A payment to alice, final under the old key, and the archive in which it ended up. */
function finalPayment() {
  const first = genesisCoin(faucet, old.section);
  if (first === null) throw new Error('the first coin is ours');
  const planned = planPayment({
    keys: faucet,
    networkId,
    coins: spendable(addCoin(emptyWallet, first.coin, first.source, 0)),
    address: addressOf(alice),
    amount: 700n,
    memo: new Uint8Array(),
    entropy: seedOf('entropy'),
  });
  if (!planned.ok) throw new Error(planned.error.kind);
  const { transaction } = planned.value.bundle;
  const body = decodeTransaction(transaction);
  if (!body.ok) throw new Error(body.error);
  const certificates = certify(old, toySuite, 'COMMIT', body.value);
  const [input] = body.value.inputs;
  const [certificate] = certificates;
  if (input === undefined || certificate === undefined) throw new Error('one input');
  const txid = txidOf(body.value);
  const slot = slotName(input.keyImage);
  const entry: SealedEntry = { kind: 'decided', slot, txid, transaction, certificate };
  const sealedRoot = entriesRoot([entry]);
  const [page] = sealedPages([entry]);
  const inherited = page && inheritPage(sealedRoot, page, old.section.prefix);
  if (inherited?.ok !== true) throw new Error('one page');
  const archive = { sealedRoot, slots: inherited.value.slots };
  return { transaction, certificates, body: body.value, archive };
}

test('N34: a line of an ended epoch counts with the path its elders give, and not without', async () => {
  const { transaction, certificates, body, archive } = finalPayment();
  const index = body.outputs.findIndex(({ amount }) => amount === 700n);
  const line = { transaction, certificates, index };
  const { prefix, key, epoch } = old.section;
  const sections: SectionKeys = {
    ...onlySection({ ...old.section, key: new Uint8Array(96).fill(1), epoch: 1n }),
    superseded: [{ prefix, key, epoch, sealedRoot: archive.sealedRoot }],
  };
  const scanner = { keys: alice, sections, suite: toySuite };
  expect(scanEntry(scanner, emptyWallet, encodeEntry(line), 0)).toEqual({
    ok: false,
    error: 'superseded',
  });

  const asked: string[] = [];
  const rpc = {
    call: async (path: string, init?: RequestInit): Promise<Response> => {
      const { slot, epoch: of, txid } = JSON.parse(String(init?.body)) as Record<string, string>;
      asked.push(`${path} ${of} ${txid}`);
      const proven = archive.slots.find(({ entry }) => toHex(entry.slot) === slot)?.path;
      if (proven === undefined) throw new Error('no path');
      return new Response(
        writeSealedPath(new Writer(), proven).finish() as Uint8Array<ArrayBuffer>,
      );
    },
  };
  const proven = await withPaths(rpc, sections, line);
  expect(asked).toEqual([`prove 0 ${toHex(txidOf(body))}`]);
  const scanned = scanEntry(scanner, emptyWallet, encodeEntry(proven), 0);
  expect(scanned.ok && balanceOf(scanned.value.state).available).toBe(700n);
  // What lacks nothing is asked for nowhere.
  expect(await withPaths(rpc, sections, proven)).toEqual(proven);
  expect(asked).toHaveLength(1);
});
