/**
 * Makes `golden.json`: the layouts that must never change once people hold money. Run it to see
 * differences; change the file only with a reason in the commit.
 *
 *   node tests/vectors/money/make.ts > tests/vectors/money/golden.json
 */
import { EMPTY_PREFIX } from '#address/prefix.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { addressOf, encodeAddress } from '#money/wallet-address.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import { encodeRegistryEntry, spendStatementBytes } from '#money/spend-certificate.ts';
import { genesisKeyPair, walletKeys } from '#money/wallet-keys.ts';
import {
  contextOf,
  encodeTransaction,
  slotName,
  transactionHash,
  txidOf,
} from '#money/transaction.ts';
import { ackBytes, outputName } from '#protocol/mint/index.ts';
import { prepareVoteBytes } from '#protocol/spentbook/index.ts';

export function makeVectors(): Readonly<Record<string, string>> {
  const seed = new Uint8Array(32).fill(1);
  const networkId = new Uint8Array(32).fill(2);
  const sectionKey = new Uint8Array(96).fill(3);
  const keys = walletKeys(seed);
  const genesis = genesisKeyPair(seed);
  const transaction = buildTransaction({
    networkId,
    inputs: [{ secret: genesis.secret.reveal(), oneTimeKey: genesis.oneTimeKey, amount: 1_000n }],
    outputs: [{ address: addressOf(keys), amount: 999n, memo: utf8('vector') }],
    fee: 1n,
    recoveryKey: () => new Uint8Array(32).fill(4),
    entropy: new Uint8Array(32).fill(5),
  });
  const [input] = transaction?.inputs ?? [];
  const [output] = transaction?.outputs ?? [];
  if (transaction === undefined || input === undefined || output === undefined) {
    throw new Error('the vector pays to a real address');
  }
  const section = {
    networkId,
    prefix: EMPTY_PREFIX,
    key: sectionKey,
    epoch: 7n,
    genesisOutput: null,
  };
  const statement = { keyImage: input.keyImage, ballot: 0, txid: txidOf(transaction) };
  const certificates = [
    { epoch: 7n, ballot: 0, signature: new Uint8Array(48).fill(6), inclusion: null },
  ];
  const bytes = encodeTransaction(transaction);
  return {
    spendKey: toHex(keys.spendKey),
    viewKey: toHex(keys.viewKey),
    address: encodeAddress(networkId, addressOf(keys)),
    genesisOneTimeKey: toHex(genesis.oneTimeKey),
    keyImage: toHex(input.keyImage),
    slot: toHex(slotName(input.keyImage)),
    inputContext: toHex(contextOf(transaction)),
    outputOneTimeKey: toHex(output.oneTimeKey),
    outputName: toHex(outputName(output.oneTimeKey)),
    transaction: toHex(bytes),
    transactionHash: toHex(transactionHash(transaction)),
    txid: toHex(statement.txid),
    statement: toHex(spendStatementBytes(section, statement)),
    vote: toHex(prepareVoteBytes(section, statement)),
    ack: toHex(ackBytes(section, output.oneTimeKey, statement.txid)),
    entryHash: toHex(
      labelledHash('vector', encodeRegistryEntry({ transaction: bytes, certificates, index: 0 })),
    ),
  };
}

if (process.argv[1]?.endsWith('make.ts')) {
  process.stdout.write(`${JSON.stringify(makeVectors(), null, 2)}\n`);
}
