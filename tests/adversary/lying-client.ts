/** A client that pays with nothing, stores under false names and signs for nobody. */
import { compareBytes } from '#core/codec/bytes.ts';
import { signPointer, encodePointer } from '#data/pointer.ts';
import { decodeEntry, sectionKeyHash, type RegistryEntry } from '#money/certificate.ts';
import { decodeTransaction, encodeTransaction, slotName } from '#money/transaction.ts';
import { encodeMintRequest } from '#protocol/mint/index.ts';
import { encodeSpentbookRequest } from '#protocol/spentbook/index.ts';
import { encodeClientRequest, type ClientRequest } from '#roles/wire/client.ts';
import type { Prng } from '../sim/prng.ts';
import type { Attacker, Attempt } from './attempt.ts';
import { openFreshNames } from './connection.ts';
import type { Target } from './target.ts';

/** As large as the honest uploads beside which it is measured. */
export const uploadBytes = 32 * 1024;

/** Requests that are right in shape, as large and as dear to check as honest ones. */
export const invalidRequests = (target: Target): Readonly<Record<string, MakeRequest>> => {
  const listed = target.outputs.flatMap((bytes) => {
    const entry = decodeEntry(bytes);
    return entry.ok ? [entry.value] : [];
  });
  const requests: Record<string, MakeRequest> = {
    'a chunk under a false name': (prng) => ({
      kind: 'putChunk',
      name: prng.bytes(32),
      bytes: new Uint8Array(uploadBytes),
    }),
    'a chunk that nobody has': (prng) => ({ kind: 'getChunk', name: prng.bytes(32), avoid: [] }),
    'a record signed for another network': (prng) => ({
      kind: 'putPointer',
      record: encodePointer(signPointer(prng.bytes(32), prng.bytes(32), 1n, prng.bytes(500))),
    }),
    'a record that nobody has': (prng) => ({ kind: 'getPointer', address: prng.bytes(32) }),
  };
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

/** PREPARE: eight inputs that point at a real, final transaction, and no right signature. */
function prepareOfNothing(target: Target, entry: RegistryEntry, prng: Prng): ClientRequest {
  const { transaction, slot } = invented(entry, prng);
  return {
    kind: 'slot',
    slot,
    message: encodeSpentbookRequest({
      kind: 'prepare',
      request: prng.bytes(16),
      section: sectionKeyHash(target.signed.authority.key),
      slot,
      transaction,
      sources: Array.from({ length: 8 }, () => ({ kind: 'committed' as const, ...entry })),
    }),
  };
}

function commitOfNothing(target: Target, entry: RegistryEntry, prng: Prng): ClientRequest {
  const { transaction, slot } = invented(entry, prng);
  const { epoch } = target.signed.authority;
  return {
    kind: 'slot',
    slot,
    message: encodeSpentbookRequest({
      kind: 'commit',
      request: prng.bytes(16),
      section: sectionKeyHash(target.signed.authority.key),
      slot,
      transaction,
      prepared: Array.from({ length: 8 }, () => ({
        epoch,
        ballot: 0,
        signature: prng.bytes(48),
        sealed: null,
      })),
    }),
  };
}

function registerOfNothing(target: Target, entry: RegistryEntry, prng: Prng): ClientRequest {
  const { transaction } = invented(entry, prng);
  const decoded = decodeTransaction(transaction);
  const key = decoded.ok ? decoded.value.outputs[0]?.oneTimeKey : undefined;
  if (key === undefined) throw new Error('an invented transaction decodes');
  const certificates = Array.from({ length: 8 }, () => ({
    epoch: target.signed.authority.epoch,
    ballot: 0,
    signature: prng.bytes(48),
    sealed: null,
  }));
  return {
    kind: 'output',
    key,
    message: encodeMintRequest({
      kind: 'register',
      request: prng.bytes(16),
      section: sectionKeyHash(target.signed.authority.key),
      key,
      transaction,
      certificates,
      index: 0,
    }),
  };
}

/** A real transaction with eight inputs that nobody owns: a new slot each time. */
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
