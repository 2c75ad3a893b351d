/**
 * A client that pays with invented coins, stores under false names and registers unpaid outputs.
 */
import { compareBytes } from '#core/codec/bytes.ts';
import { blsScalars } from '#crypto/bls.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { signPointer, encodePointer } from '#data/pointer-record.ts';
import { addressOf } from '#money/wallet-address.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import {
  decodeRegistryEntry,
  sectionKeyHash,
  type SpendCertificate,
  type RegistryEntry,
  type InputSource,
} from '#money/spend-certificate.ts';
import { genesisKeyPair, walletKeys } from '#money/wallet-keys.ts';
import { decodeTransaction, encodeTransaction, slotName } from '#money/transaction.ts';
import { encodeMintRequest } from '#protocol/mint/index.ts';
import { encodeSpentbookRequest } from '#protocol/spentbook/index.ts';
import { encodeClientRequest, type ClientRequest } from '#roles/wire/client.ts';
import type { Prng } from '../sim/prng.ts';
import type { Attacker, Attempt } from './attempt.ts';
import { openFreshNames } from './connection.ts';
import type { Target } from './target.ts';

/** The size of the honest uploads measured at the same time. */
export const uploadBytes = 32 * 1024;

/** Well-formed requests, as large and as expensive to check as honest ones. */
export const invalidRequests = (target: Target): Readonly<Record<string, MakeRequest>> => {
  const listed = target.outputs.flatMap((bytes) => {
    const entry = decodeRegistryEntry(bytes);
    return entry.ok ? [entry.value] : [];
  });
  const requests: Record<string, MakeRequest> = {
    'a chunk under a false name': (prng) => ({
      kind: 'putChunk',
      name: prng.bytes(32),
      bytes: new Uint8Array(uploadBytes),
    }),
    'a chunk without holders': (prng) => ({ kind: 'getChunk', name: prng.bytes(32), avoid: [] }),
    'a record signed for another network': (prng) => ({
      kind: 'putPointer',
      record: encodePointer(signPointer(prng.bytes(32), prng.bytes(32), 1n, prng.bytes(500))),
    }),
    'a record without holders': (prng) => ({ kind: 'getPointer', address: prng.bytes(32) }),
  };
  Object.assign(requests, {
    'a coin from an uncertified payment': (prng) => prepareOfForgedSource(target, prng),
    'a signed payment with forged votes': (prng) =>
      commit(target, signedPayment(target, prng), prng),
    'an output of a signed payment that is not final': (prng) =>
      register(target, signedPayment(target, prng), prng),
  } satisfies Record<string, MakeRequest>);
  const [entry] = listed;
  if (entry === undefined) return requests;
  return {
    ...requests,
    'eight invented coins': (prng) => prepareOfNothing(target, entry, prng),
    'a commit without votes': (prng) => commitOfNothing(target, entry, prng),
    'an output that was never paid': (prng) => registerOfNothing(target, entry, prng),
  };
};
type MakeRequest = (prng: Prng) => ClientRequest;

/** PREPARE: eight inputs that refer to a real, final transaction, all with invalid signatures. */
function prepareOfNothing(target: Target, entry: RegistryEntry, prng: Prng): ClientRequest {
  const { transaction, slot } = invented(entry, prng);
  const sources = Array.from({ length: 8 }, () => ({ kind: 'committed' as const, ...entry }));
  return prepare(target, { transaction, slot, sources }, prng);
}

function commitOfNothing(target: Target, entry: RegistryEntry, prng: Prng): ClientRequest {
  return commit(target, invented(entry, prng), prng);
}

function registerOfNothing(target: Target, entry: RegistryEntry, prng: Prng): ClientRequest {
  return register(target, invented(entry, prng), prng);
}

/** A coin whose key the client holds, from a payment that only the client itself signed. */
function prepareOfForgedSource(target: Target, prng: Prng): ClientRequest {
  const coin = genesisKeyPair(prng.bytes(32));
  const before = signedPayment(target, prng);
  const decoded = decodeTransaction(before.transaction);
  if (!decoded.ok) throw new Error('a payment of ours decodes');
  const [first] = decoded.value.outputs;
  if (first === undefined) throw new Error('a payment has outputs');
  const outputs = [{ ...first, oneTimeKey: coin.oneTimeKey }];
  const transaction = encodeTransaction({ ...decoded.value, outputs });
  const spend = signedPayment(target, prng, coin);
  const certificates = forgedCertificates(target, 1, prng);
  const sources = [{ kind: 'committed' as const, transaction, certificates, index: 0 }];
  return prepare(target, { ...spend, sources }, prng);
}

interface Spend {
  readonly transaction: Uint8Array;
  readonly slot: Uint8Array;
}

function prepare(
  target: Target,
  { transaction, slot, sources }: Spend & { readonly sources: readonly InputSource[] },
  prng: Prng,
): ClientRequest {
  const section = sectionKeyHash(target.signed.authority.key);
  const request = prng.bytes(16);
  const first = { ballot: 0, recovery: null } as const;
  const body = { kind: 'prepare', request, section, slot, transaction, sources, ...first } as const;
  return { kind: 'slot', slot, message: encodeSpentbookRequest(body) };
}

function commit(target: Target, { transaction, slot }: Spend, prng: Prng): ClientRequest {
  const section = sectionKeyHash(target.signed.authority.key);
  const request = prng.bytes(16);
  const prepared = forgedCertificates(target, inputsOf(transaction), prng);
  const body = { kind: 'commit', request, section, slot, transaction, prepared } as const;
  return { kind: 'slot', slot, message: encodeSpentbookRequest(body) };
}

function register(target: Target, { transaction }: Spend, prng: Prng): ClientRequest {
  const decoded = decodeTransaction(transaction);
  const key = decoded.ok ? decoded.value.outputs[0]?.oneTimeKey : undefined;
  if (key === undefined) throw new Error('an invented transaction decodes');
  const section = sectionKeyHash(target.signed.authority.key);
  const request = prng.bytes(16);
  const certificates = forgedCertificates(target, inputsOf(transaction), prng);
  const entry = { transaction, certificates, index: 0 };
  const body = { kind: 'register', request, section, key, ...entry } as const;
  return { kind: 'output', key, message: encodeMintRequest(body) };
}

const inputsOf = (transaction: Uint8Array): number => {
  const decoded = decodeTransaction(transaction);
  return decoded.ok ? decoded.value.inputs.length : 0;
};

/** For the elders' own epoch, with valid curve points: only a pairing shows that they are wrong. */
function forgedCertificates(
  target: Target,
  count: number,
  prng: Prng,
): readonly SpendCertificate[] {
  const { epoch } = target.signed.authority;
  const secret = blsScalars.reduce(prng.bytes(32));
  const signature = blsSuite.sign(secret, 'COMMIT', prng.bytes(32));
  return Array.from({ length: count }, () => ({ epoch, ballot: 0, signature, inclusion: null }));
}

/** A payment that is valid except that the coin it spends was never made. */
function signedPayment(target: Target, prng: Prng, coin = genesisKeyPair(prng.bytes(32))): Spend {
  const amount = 100n;
  const transaction = buildTransaction({
    networkId: target.signed.authority.networkId,
    inputs: [{ secret: coin.secret.reveal(), oneTimeKey: coin.oneTimeKey, amount }],
    outputs: [{ address: addressOf(walletKeys(prng.bytes(32))), amount, memo: new Uint8Array() }],
    fee: 0n,
    recoveryKey: () => prng.bytes(32),
    entropy: prng.bytes(32),
  });
  const keyImage = transaction?.inputs[0]?.keyImage;
  if (transaction === undefined || keyImage === undefined) throw new Error('a real address');
  return { transaction: encodeTransaction(transaction), slot: slotName(keyImage) };
}

/** A well-formed transaction with eight inputs that have no owner: a new slot each time. */
function invented(
  entry: RegistryEntry,
  prng: Prng,
): { readonly transaction: Uint8Array; readonly slot: Uint8Array } {
  const real = decodeTransaction(entry.transaction);
  if (!real.ok) throw new Error('a listed transaction decodes');
  const [first] = real.value.inputs;
  if (first === undefined) throw new Error('a transaction has inputs');
  const inputs = Array.from({ length: 8 }, () => ({ ...first, keyImage: prng.bytes(32) })).sort(
    (a, b) => compareBytes(a.keyImage, b.keyImage),
  );
  const signatures = inputs.map(() => ({ c0: prng.bytes(32), s: prng.bytes(32) }));
  const transaction = encodeTransaction({ ...real.value, inputs, signatures });
  return { transaction, slot: slotName(inputs[0]?.keyImage ?? prng.bytes(32)) };
}

export async function openLyingClient(target: Target): Promise<Attacker> {
  const names = openFreshNames(target);
  const attempts = Object.entries(invalidRequests(target)).map(([what, make]): Attempt => ({
    name: `client: ${what}`,
    once: (random) =>
      names.ask('client', random.pick(target.elders), encodeClientRequest(make(random))),
  }));
  return { name: 'lying client', attempts, stop: names.stop };
}
