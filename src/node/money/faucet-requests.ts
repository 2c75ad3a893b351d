/** The faucet's requests on disk: accepted, planned, paid and ended, and the payment whose change is next. */
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import {
  bytesOf,
  bytesUpTo,
  intBetween,
  record,
  textUpTo,
  union,
  type ShapeOf,
} from '#core/codec/shape.ts';
import { spendCertificatesShape } from '#money/cbor-shapes.ts';
import { decodeBundle, maxBundleBytes, type PaymentBundle } from '#safe/payment/index.ts';
import type { FactStore } from '#storage/node/facts.ts';

const id = bytesOf(16);
const factShape = union({
  asked: record({ id, address: textUpTo(256), at: intBetween(0, Number.MAX_SAFE_INTEGER) }),
  planned: record({ id, bundle: bytesUpTo(maxBundleBytes) }),
  final: record({
    id,
    transaction: bytesUpTo(16 * 1024),
    certificates: spendCertificatesShape,
  }),
  /** Registered, or impossible to pay: the request is closed. */
  ended: record({ id }),
});
type FaucetFact = ShapeOf<typeof factShape>;
export type FaucetRequest = FaucetFact & { readonly kind: 'asked' };

export interface StoredFaucetRequests {
  readonly open: readonly FaucetRequest[];
  /** By hex of the request's id. */
  readonly bundles: Map<string, PaymentBundle>;
  /** The change of the last final payment pays the next one; before that, the first coin does. */
  readonly last: (FaucetFact & { readonly kind: 'final' }) | undefined;
}

export async function loadFaucetRequests(facts: FactStore): Promise<StoredFaucetRequests> {
  let last: StoredFaucetRequests['last'];
  const open = new Map<string, FaucetRequest>();
  const bundles = new Map<string, PaymentBundle>();
  for (const bytes of await facts.load('faucet', 'queue')) {
    const fact = decodeFact(bytes);
    if (fact.kind === 'asked') open.set(toHex(fact.id), fact);
    else if (fact.kind === 'final') last = fact;
    else if (fact.kind === 'ended') open.delete(toHex(fact.id));
    else {
      const bundle = decodeBundle(fact.bundle);
      assert(bundle.ok, 'a stored bundle decodes');
      bundles.set(toHex(fact.id), bundle.value);
    }
  }
  return { open: [...open.values()], bundles, last };
}

/** Erases the facts of ended requests, and all final payments but the last. */
export const saveFaucetFact = (facts: FactStore, fact: FaucetFact): Promise<void> =>
  facts.appendAndForget('faucet', 'queue', encodeCbor(fact), prunableFacts);

/** Positions of stored facts that no restart needs. */
function prunableFacts(all: readonly Uint8Array[]): readonly number[] {
  const read = all.map(decodeFact);
  const ended = new Set(read.filter(({ kind }) => kind === 'ended').map((each) => toHex(each.id)));
  const lastFinal = read.findLastIndex(({ kind }) => kind === 'final');
  return read.flatMap((fact, place) =>
    (fact.kind === 'final' ? place !== lastFinal : ended.has(toHex(fact.id))) ? [place] : [],
  );
}

function decodeFact(bytes: Uint8Array): FaucetFact {
  const decoded = decodeCbor(bytes);
  const fact = decoded.ok ? factShape(decoded.value) : undefined;
  assert(fact !== undefined, 'a stored fact decodes');
  return fact;
}
