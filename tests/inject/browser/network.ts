/**
 * A network in memory: seven elders that run the product's spentbook and mint, four adults that
 * store, and a bank that pays out of the genesis output. Its threshold scheme is the toy one.
 */
import { EMPTY_PREFIX } from '#address/prefix.ts';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { compareBytes, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { Refusal } from '#core/refusal.ts';
import { hkdf, labelledHash, sha256 } from '#crypto/hash.ts';
import {
  decodePointer,
  decodeVerifiedPointer,
  pointerAddress,
  pointerVerdict,
} from '#data/pointer-record.ts';
import {
  receiptBytes,
  storedChunk,
  storedPointer,
  type StoredItem,
} from '#data/storage-receipt.ts';
import { addressOf, encodeAddress, type Address } from '#money/wallet-address.ts';
import { buildTransaction } from '#money/build-transaction.ts';
import {
  encodeRegistryEntry,
  singleSectionKeys,
  spendStatementBytes,
  type CommittedTransaction,
  type MoneySection,
} from '#money/spend-certificate.ts';
import { ed25519Identity } from '#crypto/identity-suite.ts';
import { genesisKeyPair, walletKeys } from '#money/wallet-keys.ts';
import { encodeTransaction, txidOf } from '#money/transaction.ts';
import { createSigner, publicKeyOf } from '#node/keys/native-ed25519.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import { stateRefOf } from '#protocol/replication/index.ts';
import {
  authoritySigningBytes,
  withLedgerRoot,
  ELDER_COUNT,
  emptyLedger,
  encodeAddressRecord,
  encodeSignedAuthority,
  networkIdOf,
  sectionProofOf,
  SHARES_REQUIRED,
  signAddressRecord,
  type SignedAuthority,
} from '#protocol/section/index.ts';
import {
  decodeClientRequest,
  decodeIncomingRequest,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { encodeReceipt, receiptBytesToText } from '#safe/wallet/index.ts';
import {
  createCompute,
  createNet,
  honestParts,
  type Net,
  type NetState,
} from '../../sim/payment/payment-net.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';

export const coinUnit = 1_000_000_000n;
const supply = 1_000_000n * coinUnit;
const name = 'inject';
const adults = 4;

const seedOf = (seed: string): Uint8Array => sha256(utf8(`inject ${seed}`));
const polynomial = Array.from({ length: SHARES_REQUIRED }, (_, k) =>
  toyScalars.reduce(hkdf(utf8(`inject ${k}`), new Uint8Array(), 'key', 48)),
);
const sectionSecret = polynomial[0] ?? new Uint8Array(32);
const nodes = (kind: string, count: number) =>
  Array.from({ length: count }, (_, i) => seedOf(`${kind} ${i}`))
    .map((seed) => ({ seed, name: toXorName(publicKeyOf(seed)), sign: createSigner(seed) }))
    .sort((a, b) => compareBytes(a.name, b.name));
const elderNodes = nodes('elder', ELDER_COUNT);
const adultNodes = nodes('adult', adults);
const key = toySuite.publicKey(sectionSecret);
const networkId = networkIdOf(key, name);
const firstCoin = genesisKeyPair(seedOf('bank'));

const { authority } = withLedgerRoot({
  authority: {
    networkId,
    prefix: EMPTY_PREFIX,
    key,
    epoch: 0n,
    generation: 0n,
    elders: elderNodes.map((node, at) => ({
      name: node.name,
      publicShare: toySuite.publicKey(toyScalars.evaluate(polynomial, at + 1)),
      index: at + 1,
    })),
    members: [...elderNodes, ...adultNodes]
      .map((node) => node.name)
      .sort(compareBytes)
      .map((each) => ({
        name: each,
        joined: 0n,
        placement: labelledHash('placement', each),
        sharingKey: new Uint8Array(32),
      })),
    ledgerRoot: new Uint8Array(32),
    genesisOutput: { oneTimeKey: firstCoin.oneTimeKey, amount: supply },
  },
  ledger: emptyLedger,
});
const signed: SignedAuthority = {
  authority,
  signature: toySuite.sign(sectionSecret, 'AUTHORITY', authoritySigningBytes(authority)),
  chain: [],
};
const records = elderNodes.map(({ seed }) =>
  encodeAddressRecord(signAddressRecord(seed, networkId, 1n, ['/ip4/127.0.0.1/tcp/1/ws'])),
);
const moneySection: MoneySection = {
  networkId,
  prefix: EMPTY_PREFIX,
  key,
  epoch: 0n,
  genesisOutput: authority.genesisOutput,
};
export const moneyKeys = singleSectionKeys(moneySection);
const net = createNet(honestParts);
const compute = createCompute(honestParts, toySuite);

export const networkFile = {
  format: 1,
  name,
  networkId: toHex(networkId),
  genesisKey: toHex(key),
  protocol: 2,
  bootstrap: ['/ip4/127.0.0.1/tcp/1/ws'],
  supply: '1000000',
  faucet: null,
};
export { authority, moneySection, networkId };

/** One elder's own keys. */
export function elderOf(at: number) {
  const node = elderNodes[at];
  if (node === undefined) throw new Error('seven elders');
  const secretShare = toyScalars.evaluate(polynomial, at + 1);
  return { name: node.name, identitySeed: node.seed, secretShare };
}

/** One elder's spentbook and list of registered outputs. */
class Elder {
  readonly lines: Uint8Array[] = [];
  readonly #config;
  #state: NetState;

  constructor(at: number) {
    const { identitySeed, ...own } = elderOf(at);
    const part = {
      section: moneySection,
      known: moneyKeys,
      inherited: new Map<string, never>(),
      sealed: false,
      identity: ed25519Identity,
      identitySeed,
    };
    this.#config = {
      kind: 'elder',
      spentbook: { ...part, ...own, elders: [own.name] },
      mint: part,
    } as const;
    const started = net.start(this.#config, [], context());
    this.#state = started.state;
  }

  ask(from: string, message: Net['message']): Uint8Array | null {
    const queue: Parameters<typeof net.step>[2][] = [{ kind: 'received', from, message }];
    let answer: Uint8Array | null = null;
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      const step = net.step(this.#config, this.#state, event, context());
      this.#state = step.state;
      for (const effect of step.effects) {
        if (effect.kind === 'send' && effect.to.includes(from)) answer ??= effect.message.message;
        if (effect.kind === 'compute') {
          queue.push({ kind: 'computed', id: effect.id, result: compute(effect.job) });
        }
        if (effect.kind === 'output' && effect.output.kind === 'registered') {
          this.list(effect.output.entry);
        }
      }
    }
    return answer;
  }

  list(entry: Uint8Array): void {
    if (!this.lines.some((line) => equalBytes(line, entry))) this.lines.push(entry);
  }
}

const context = () => ({ now: 0, entropy: crypto.getRandomValues(new Uint8Array(32)) });
const receipts = new Map<string, Uint8Array>();

export class Network {
  readonly chunks = new Map<string, Uint8Array>();
  readonly pointers = new Map<string, Uint8Array>();
  readonly elders = elderNodes.map((_, at) => new Elder(at));
  /** All payments of the bank, listed or not. */
  readonly paid: CommittedTransaction[] = [];
  /** False while the network rejects every record. */
  takesRecords = true;
  /** The number of chunk requests still to be answered with one bit flipped. */
  alters = 0;
  #asked = 0;
  #payments = 0;

  answer(elder: Uint8Array | null, bytes: Uint8Array): ClientReply {
    const asked = decodeIncomingRequest(bytes);
    if (!asked.ok) return refused({ kind: 'malformed', what: 'no request' });
    const request = asked.value;
    if (request.kind === 'section') {
      return { kind: 'proof', proof: encodeProof(sectionProofOf(signed)), records };
    }
    if (request.kind !== 'routed') return this.#serve(elder, request);
    const inner = decodeClientRequest(request.request);
    return inner.ok
      ? this.#serve(elder, inner.value)
      : refused({ kind: 'malformed', what: 'no request' });
  }

  #serve(elder: Uint8Array | null, request: ClientRequest): ClientReply {
    switch (request.kind) {
      case 'authority':
        return { kind: 'authority', authority: encodeSignedAuthority(signed) };
      case 'addresses':
        return { kind: 'addresses', records };
      case 'putChunk':
        this.chunks.set(toHex(request.name), request.bytes);
        return { kind: 'stored', ...stored(storedChunk(request.name)) };
      case 'getChunk': {
        const chunk = this.chunks.get(toHex(request.name));
        const [holder] = adultNodes;
        if (chunk === undefined || holder === undefined) return refused({ kind: 'notFound' });
        return { kind: 'chunk', bytes: this.#maybeAltered(chunk), holder: holder.name };
      }
      case 'putPointer':
        return this.#putPointer(request.record);
      case 'getPointer': {
        const record = this.pointers.get(toHex(request.address)) ?? null;
        return {
          kind: 'pointers',
          copies: adultNodes.map((each) => ({ holder: each.name, record })),
        };
      }
      case 'outputs': {
        const { after, limit } = request;
        const lines = this.#elder(elder).lines;
        const entries = lines.slice(after, after + limit);
        const next = after + entries.length;
        return { kind: 'outputs', entries, next, more: next < lines.length };
      }
      case 'slot':
      case 'output': {
        this.#asked += 1;
        const message = this.#elder(elder).ask(`client ${this.#asked}`, request);
        return message === null
          ? refused({ kind: 'busy', afterMs: 1_000 })
          : { kind: 'money', message };
      }
      default:
        return refused({ kind: 'notAllowed', rule: 'not played here' });
    }
  }

  #maybeAltered(chunk: Uint8Array): Uint8Array {
    if (this.alters === 0) return chunk;
    this.alters -= 1;
    return chunk.map((byte, at) => (at === chunk.length >> 1 ? byte ^ 1 : byte));
  }

  #elder(wanted: Uint8Array | null): Elder {
    const at = elderNodes.findIndex((each) => wanted !== null && equalBytes(each.name, wanted));
    const elder = this.elders[Math.max(0, at)];
    if (elder === undefined) throw new Error('seven elders');
    return elder;
  }

  #putPointer(bytes: Uint8Array): ClientReply {
    if (!this.takesRecords) return refused({ kind: 'busy', afterMs: 1_000 });
    const offered = decodePointer(bytes);
    if (!offered.ok) return refused({ kind: 'malformed', what: 'no record' });
    const address = pointerAddress(networkId, offered.value.owner);
    if (!decodeVerifiedPointer(networkId, address, bytes).ok) {
      return refused({ kind: 'malformed', what: 'not signed' });
    }
    const kept = this.pointers.get(toHex(address));
    const before = kept === undefined ? undefined : decodePointer(kept);
    if (before?.ok === true) {
      const verdict = pointerVerdict(before.value, offered.value);
      if (verdict === 'older' || verdict === 'taken') {
        return refused({ kind: 'conflict', evidence: kept ?? new Uint8Array() });
      }
    }
    this.pointers.set(toHex(address), bytes);
    return { kind: 'pointerStored', ...stored(storedPointer(networkId, offered.value)) };
  }

  /** Makes a payment by the bank; without `listed` only a holder of the receipt can find it. */
  pay(to: Address, amounts: readonly bigint[], listed = true): CommittedTransaction {
    this.#payments += 1;
    const total = amounts.reduce((sum, each) => sum + each, 0n);
    const built = buildTransaction({
      networkId,
      // The dealer signs for coins that are in no list: this network's bank is not audited.
      inputs: [payFromBank(this.#payments, total)],
      outputs: amounts.map((amount) => ({ address: to, amount, memo: utf8('wages') })),
      fee: 0n,
      recoveryKey: () => new Uint8Array(32),
      entropy: seedOf(`payment ${this.#payments}`),
    });
    if (built === undefined) throw new Error('a real address');
    const txid = txidOf(built);
    const certificates = built.inputs.map(({ keyImage }) => ({
      epoch: 0n,
      ballot: 0,
      signature: toySuite.sign(
        sectionSecret,
        'COMMIT',
        spendStatementBytes(moneySection, { keyImage, ballot: 0, txid }),
      ),
      inclusion: null,
    }));
    const committed = { transaction: encodeTransaction(built), certificates };
    this.paid.push(committed);
    if (listed) {
      for (const index of built.outputs.keys()) {
        for (const elder of this.elders) elder.list(encodeRegistryEntry({ ...committed, index }));
      }
    }
    return committed;
  }

  /** All list entries of all elders. */
  lines(): readonly Uint8Array[] {
    const all = new Map<string, Uint8Array>();
    for (const line of this.elders.flatMap((elder) => elder.lines)) all.set(toHex(line), line);
    return [...all.values()];
  }
}

function payFromBank(at: number, amount: bigint) {
  const coin = genesisKeyPair(seedOf(`bank coin ${at}`));
  return { secret: coin.secret.reveal(), oneTimeKey: coin.oneTimeKey, amount };
}

function stored(thing: StoredItem) {
  const stateRef = stateRefOf(authority);
  const signedBytes = receiptBytes(networkId, stateRef, thing);
  return {
    stateRef,
    receipts: adultNodes.map(({ name: holder, sign }) => {
      const id = `${nameToId(holder)} ${toHex(signedBytes)}`;
      const signature = receipts.get(id) ?? sign(signedBytes);
      receipts.set(id, signature);
      return { holder, signature };
    }),
  };
}

const refused = (refusal: Refusal): ClientReply => ({ kind: 'refused', refusal });

export const addressText = (seed: string): string =>
  encodeAddress(networkId, addressOf(walletKeys(seedOf(seed))));
export const walletKeysFor = (seed: string) => walletKeys(seedOf(seed));
export const receiptOf = (committed: CommittedTransaction): string =>
  receiptBytesToText(encodeReceipt(networkId, committed));
