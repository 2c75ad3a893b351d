/** The money half of an elder: its slots, its registry of outputs, and how one tells the other. */
import { randomBytes } from 'node:crypto';
import { matches } from '#address/prefix.ts';
import { assert } from '#core/assert.ts';
import type { Result } from '#core/result.ts';
import { toHex } from '#core/codec/bytes.ts';
import {
  decodeEntry,
  encodeEntry,
  keyAt,
  onlySection,
  type SectionKeys,
} from '#money/certificate.ts';
import { sortEntries, type SealedEntry } from '#money/snapshot.ts';
import type { Inheritance } from '#protocol/handover/index.ts';
import { ed25519Identity } from '#money/identity.ts';
import { decodeTransaction, slotName, txidOf } from '#money/transaction.ts';
import {
  decodeMintFact,
  decodeMintRequest,
  encodeMintAnswer,
  encodeMintFact,
  mint,
  mintKey,
  outputEntry,
  type MintMessage,
} from '#protocol/mint/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import {
  decodeSpentbookFact,
  decodeSpentbookRequest,
  encodeSpentbookAnswer,
  encodeSpentbookFact,
  isSpentbookAnswer,
  slotEntry,
  spentbook,
  spentbookKey,
  type SpentbookMessage,
} from '#protocol/spentbook/index.ts';
import type { ClientReply, ClientRequest } from '#roles/wire/client.ts';
import { createInstances, type AskError } from '#runtime/instances.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { refused } from './client-door.ts';
import type { Log } from './log.ts';
import { systemClock } from './system-clock.ts';

export interface ElderMoneyOptions {
  readonly label: string;
  readonly name: Uint8Array;
  readonly identitySeed: Uint8Array;
  readonly secretShare: Uint8Array;
  readonly authority: SectionAuthority;
  readonly facts: FactStore;
  readonly jobs: JobPool;
  readonly log: Log;
  /** What earlier epochs left, and whether this key has stopped (R6); nothing of both by default. */
  readonly past?: MoneyPast;
  /** A certificate cites a key that this elder has not heard of. */
  readonly unknownKey?: (slot: Uint8Array) => void;
}

export interface MoneyPast {
  /** Every key that this elder has heard of by now. */
  readonly known: () => SectionKeys;
  readonly inheritance: Inheritance;
  /** N22: looked at before every step, so that none of them signs after the stop. */
  readonly sealed: () => boolean;
}

export type MoneyRequest = Extract<ClientRequest, { kind: 'slot' | 'output' | 'outputs' }>;

export interface ElderMoney {
  /**
   * @param invalid called for a signature or a certificate that is wrong under a key that this elder
   * knows. Programs of ours verify what they send; what cannot be judged here (another epoch, a missing
   * path) is `unproven` and counts against no sender.
   */
  readonly answer: (request: MoneyRequest, invalid?: () => void) => Promise<ClientReply>;
  readonly stop: () => void;
}

/** A crash can come between an output's fact and its slots; more than this never run at once. */
const resettledAtStart = 64;
const busyAfterMs = 1_000;

/** Opens slots and outputs on the elder's facts. */
export async function createElderMoney(options: ElderMoneyOptions): Promise<ElderMoney> {
  const { facts, jobs, log, label, authority: section, name, identitySeed, secretShare } = options;
  const identity = ed25519Identity;
  const onlyOwn = onlySection(section);
  const known = options.past?.known ?? (() => onlyOwn);
  const isSealed = options.past?.sealed ?? (() => false);
  const slotsBefore = options.past?.inheritance.slots ?? new Map<string, never>();
  const outputsBefore = options.past?.inheritance.outputs ?? new Map<string, never>();
  const under = (machine: string): string => factsUnder(section, machine);
  await facts.addOutputs(
    [...outputsBefore.values()].map((registration) => ({
      key: mintKey(registration.key),
      entry: encodeEntry(registration),
    })),
  );
  const onFailure = (key: string, error: unknown): void =>
    log.write({ event: 'instanceFailed', node: label, peer: key, error: String(error) });
  const onFault = (_key: string, fault: { kind: string; what: string }): void =>
    log.write({ event: 'blamed', node: label, kind: fault.kind, rule: fault.what });
  const shared = {
    clock: systemClock,
    randomBytes: (length: number) => new Uint8Array(randomBytes(length)),
    onFailure,
    onFault,
  };

  const slots = createInstances(
    spentbook,
    () => ({
      name,
      section,
      known: known(),
      inherited: slotsBefore,
      sealed: isSealed(),
      secretShare,
      identitySeed,
      identity,
    }),
    {
      ...shared,
      facts: {
        load: async (key) => ours(await facts.load(under('spentbook'), key), decodeSpentbookFact),
        append: (key, fact) => facts.append(under('spentbook'), key, encodeSpentbookFact(fact)),
      },
      compute: (job) => jobs.run('spentbook', job),
      onOutput: () => undefined,
    },
  );

  const outputs = createInstances(
    mint,
    () => ({
      section,
      known: known(),
      inherited: outputsBefore,
      sealed: isSealed(),
      identitySeed,
      identity,
    }),
    {
      ...shared,
      facts: {
        load: async (key) => ours(await facts.load(under('mint'), key), decodeMintFact),
        // The fact and its line in the list are one change: neither exists without the other.
        append: (key, fact) =>
          facts.appendWithOutput(
            under('mint'),
            key,
            encodeMintFact(fact),
            encodeEntry(fact.registration),
          ),
      },
      compute: (job) => jobs.run('mint', job),
      onOutput: (_key, output) => {
        for (const decision of output.decisions) {
          slots.input(spentbookKey(decision.slot), { kind: 'settle', decision });
        }
      },
    },
  );

  for (const entry of await facts.lastOutputs(resettledAtStart)) {
    const decoded = decodeEntry(entry);
    assert(decoded.ok, 'the list holds what we encoded');
    const { transaction, certificates } = decoded.value;
    const body = decodeTransaction(transaction);
    assert(body.ok, 'a listed transaction was verified');
    body.value.inputs.forEach(({ keyImage }, i) => {
      const certificate = certificates[i];
      assert(certificate !== undefined, 'a listed transaction has a certificate per input');
      const slot = slotName(keyImage);
      // Another epoch's root knows it, or another section's elders.
      if (certificate.epoch !== section.epoch || !matches(section.prefix, slot)) return;
      const decision = { slot, txid: txidOf(body.value), transaction, certificate };
      slots.input(spentbookKey(slot), { kind: 'settle', decision });
    });
  }

  /** The bearer may be ahead of us: then it is ours to ask who signs there now. */
  const noteUnproven = (answer: SpentbookMessage | MintMessage): void => {
    if (answer.kind !== 'unproven') return;
    if (keyAt(known(), answer.slot, answer.epoch) === undefined) options.unknownKey?.(answer.slot);
  };

  return {
    answer: async (request, invalid) => {
      switch (request.kind) {
        case 'slot': {
          const message = decodeSpentbookRequest(request.slot, request.message);
          if (!message.ok) return refused({ kind: 'malformed', what: 'slot' });
          const answer = await slots.ask(spentbookKey(request.slot), message.value);
          if (answer.ok) noteUnproven(answer.value);
          if (answer.ok && isForged(answer.value)) invalid?.();
          return toReply(answer, encodeSlotAnswer);
        }
        case 'output': {
          const message = decodeMintRequest(request.key, request.message);
          if (!message.ok) return refused({ kind: 'malformed', what: 'output' });
          const answer = await outputs.ask(mintKey(request.key), message.value);
          if (answer.ok) noteUnproven(answer.value);
          if (answer.ok && isForged(answer.value)) invalid?.();
          return toReply(answer, encodeOutputAnswer);
        }
        case 'outputs':
          return { kind: 'outputs', ...(await facts.listOutputs(request.after, request.limit)) };
      }
    },
    stop: () => {
      slots.stop();
      outputs.stop();
    },
  };
}

/** Checking it cost this elder group operations or a pairing, and its sender nothing. */
const isForged = (answer: SpentbookMessage | MintMessage): boolean =>
  (answer.kind === 'malformed' || answer.kind === 'unregistrable') && forged.has(answer.what);
const forged: ReadonlySet<string> = new Set(['badSignature', 'forgedCertificate']);

/** Facts of one key never mix with those of the next, though it be the same elder's. */
const factsUnder = ({ epoch, key }: Pick<SectionAuthority, 'epoch' | 'key'>, machine: string) =>
  epoch === 0n ? machine : `${machine}/${toHex(key).slice(0, 32)}`;

/** R6: what this elder holds under a key, in order. Call it when its money has stopped. */
export async function sealedEntriesOf(
  facts: FactStore,
  section: Pick<SectionAuthority, 'epoch' | 'key'>,
): Promise<readonly SealedEntry[]> {
  const entries: (SealedEntry | null)[] = [];
  const slots = factsUnder(section, 'spentbook');
  for (const key of await facts.keys(slots)) {
    entries.push(slotEntry(ours(await facts.load(slots, key), decodeSpentbookFact), section.epoch));
  }
  const outputs = factsUnder(section, 'mint');
  for (const key of await facts.keys(outputs)) {
    entries.push(outputEntry(ours(await facts.load(outputs, key), decodeMintFact)));
  }
  return sortEntries(entries.filter((entry) => entry !== null));
}

/** What was written under a key that has handed over, once its heirs have all of it. */
export async function eraseMoneyFacts(
  facts: FactStore,
  section: Pick<SectionAuthority, 'epoch' | 'key'>,
): Promise<void> {
  for (const machine of ['spentbook', 'mint']) await facts.eraseAll(factsUnder(section, machine));
}

function toReply<M>(answer: Result<M, AskError>, encode: (message: M) => Uint8Array): ClientReply {
  if (answer.ok) return { kind: 'money', message: encode(answer.value) };
  // The same bytes again are always safe: an elder gives the same share for them.
  return refused({ kind: 'busy', afterMs: busyAfterMs });
}

function encodeSlotAnswer(message: SpentbookMessage): Uint8Array {
  assert(isSpentbookAnswer(message), 'an elder sends answers');
  return encodeSpentbookAnswer(message);
}

function encodeOutputAnswer(message: MintMessage): Uint8Array {
  assert(message.kind !== 'register', 'an elder sends answers');
  return encodeMintAnswer(message);
}

/** Our own facts decode, or the store is damaged and this key must not be answered for. */
function ours<T>(
  stored: readonly Uint8Array[],
  decode: (bytes: Uint8Array) => Result<T, 'malformed'>,
): readonly T[] {
  return stored.map((bytes) => {
    const fact = decode(bytes);
    assert(fact.ok, 'a stored fact decodes');
    return fact.value;
  });
}
