/** Goal: money made final in an ended epoch is found and redeemed later, with proofs alone (N34). */
import { expect, test } from 'vitest';
import type { CallInput } from '#bridge/worker-calls.ts';
import type { WorkerRpc } from '../../../src/vault/network/worker-rpc.ts';
import { equalBytes, toHex, Writer } from '#core/codec/bytes.ts';
import { addressOf } from '#money/wallet-address.ts';
import {
  encodeRegistryEntry,
  singleSectionKeys,
  type SectionKeys,
} from '#money/spend-certificate.ts';
import { writeInclusionProof } from '#money/inclusion-proof.ts';
import { snapshotRoot, provenPages, type SnapshotEntry } from '#money/snapshot.ts';
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
import { fetchInclusionProofs } from '../../../src/vault/wallet/fetch-inclusion-proofs.ts';
import { toySuite, toyScalars } from '../../sim/toys/toy-suite.ts';
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

/** A payment to alice, final under the old key, and the archive that contains it. */
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
  const entry: SnapshotEntry = { kind: 'decided', slot, txid, transaction, certificate };
  const sealedRoot = snapshotRoot([entry]);
  const [page] = provenPages([entry]);
  const inherited = page && inheritPage(sealedRoot, page, old.section.prefix);
  if (inherited?.ok !== true) throw new Error('one page');
  const archive = { sealedRoot, slots: inherited.value.slots };
  return { transaction, certificates, body: body.value, archive };
}

test("N34: a line of an ended epoch is valid only with its elders' inclusion proof", async () => {
  const { transaction, certificates, body, archive } = finalPayment();
  const index = body.outputs.findIndex(({ amount }) => amount === 700n);
  const line = { transaction, certificates, index };
  const { prefix, key, epoch } = old.section;
  const sections: SectionKeys = {
    ...singleSectionKeys({ ...old.section, key: new Uint8Array(96).fill(1), epoch: 1n }),
    superseded: [{ prefix, key, epoch, sealedRoot: archive.sealedRoot }],
  };
  const scanner = { keys: alice, sections, suite: toySuite };
  expect(scanEntry(scanner, emptyWallet, encodeRegistryEntry(line), 0)).toEqual({
    ok: false,
    error: 'needsInclusionProof',
  });

  const asked: string[] = [];
  const rpc = (async (name: 'prove', { slot, epoch: of, txid }: CallInput<'prove'>) => {
    asked.push(`${name} ${of} ${toHex(txid)}`);
    const proven = archive.slots.find(({ entry }) => equalBytes(entry.slot, slot))?.path;
    if (proven === undefined) throw new Error('no path');
    return writeInclusionProof(new Writer(), proven).finish();
  }) as WorkerRpc;
  const proven = await fetchInclusionProofs(rpc, sections, line);
  expect(asked).toEqual([`prove 0 ${toHex(txidOf(body))}`]);
  const scanned = scanEntry(scanner, emptyWallet, encodeRegistryEntry(proven), 0);
  expect(scanned.ok && balanceOf(scanned.value.state).available).toBe(700n);
  // A complete transaction sends no request.
  expect(await fetchInclusionProofs(rpc, sections, proven)).toEqual(proven);
  expect(asked).toHaveLength(1);
});
