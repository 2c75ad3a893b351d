/** Builds and signs a transaction from a plan; the result is a function of its arguments. */
import { assert } from '#core/assert.ts';
import { compareBytes } from '#core/codec/bytes.ts';
import { hkdf } from '#crypto/hash.ts';
import type { Address } from './wallet-address.ts';
import { signInput } from './ring-signature.ts';
import { createOutput, keyImageOfSecret } from './one-time-outputs.ts';
import {
  ANCHOR_BYTES,
  inputContext,
  transactionHash,
  type Transaction,
  type TransactionBody,
} from './transaction.ts';

export interface TransactionPlan {
  readonly networkId: Uint8Array;
  readonly inputs: readonly {
    /** p, 32 bytes little-endian. */
    readonly secret: Uint8Array;
    readonly oneTimeKey: Uint8Array;
    readonly amount: bigint;
  }[];
  readonly outputs: readonly {
    readonly address: Address;
    readonly amount: bigint;
    readonly memo: Uint8Array;
  }[];
  readonly fee: bigint;
  /** The Ed25519 public key of this spend, from the input context. */
  readonly recoveryKey: (context: Uint8Array) => Uint8Array;
  /** 32 fresh bytes: anchors, nonces and blinds are derived from them, each under its own label. */
  readonly entropy: Uint8Array;
}

/** @returns undefined when an address contains a low-order or invalid key. */
export function buildTransaction(plan: TransactionPlan): Transaction | undefined {
  const fresh = (purpose: string, index: number, length: number): Uint8Array =>
    hkdf(plan.entropy, plan.networkId, `safe/v1/build/${purpose}/${index}`, length);

  const spends = plan.inputs
    .map((input, i) => ({
      ...input,
      keyImage: keyImageOfSecret(input.secret, input.oneTimeKey, fresh('blind', i, 32)),
      nonce: fresh('nonce', i, 32),
    }))
    .sort((a, b) => compareBytes(a.keyImage, b.keyImage));
  const context = inputContext(spends.map(({ keyImage }) => keyImage));

  const outputs = plan.outputs.map((output, i) =>
    createOutput({ ...output, anchor: fresh('anchor', i, ANCHOR_BYTES) }, context),
  );
  const made = outputs.filter((output) => output !== undefined);
  if (made.length !== outputs.length) return undefined;

  const body: TransactionBody = {
    networkId: plan.networkId,
    inputs: spends.map(({ keyImage, oneTimeKey, amount }) => ({ keyImage, oneTimeKey, amount })),
    outputs: made.sort((a, b) => compareBytes(a.oneTimeKey, b.oneTimeKey)),
    fee: plan.fee,
    recoveryKey: plan.recoveryKey(context),
  };
  const hash = transactionHash(body);
  const signatures = spends.map((spend) => signInput(spend.secret, spend, hash, spend.nonce));
  assert(signatures.length === body.inputs.length, 'every input is signed');
  return { ...body, signatures };
}
