/** The money half of an elder: its slots, its registry of outputs, and the decisions between them. */
import { randomBytes } from 'node:crypto';
import { assert } from '#core/assert.ts';
import { err, type Result } from '#core/result.ts';
import { toHex } from '#core/codec/bytes.ts';
import {
  decodeRegistryEntry,
  encodeRegistryEntry,
  signingKeyFor,
  singleSectionKeys,
  type SectionKeys,
} from '#money/spend-certificate.ts';
import { sortSnapshotEntries, type SnapshotEntry } from '#money/snapshot.ts';
import type { Inheritance } from '#protocol/handover/index.ts';
import { ed25519Identity } from '#crypto/identity-suite.ts';
import {
  decisionsOf,
  decodeMintFact,
  decodeMintRequest,
  encodeMintAnswer,
  encodeMintFact,
  mint,
  mintKey,
  outputEntry,
  type Mint,
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
  type SlotDecision,
  type Spentbook,
  type SpentbookMessage,
} from '#protocol/spentbook/index.ts';
import type { ClientReply, ClientRequest } from '#roles/wire/client.ts';
import { createInstances, type InstanceError, type Instances } from '#runtime/instances.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { loadFacts, type FactStore } from '#storage/node/facts.ts';
import { refusalReply } from '../requests/client-handler.ts';
import type { Log } from '../monitoring/log.ts';
import { systemClock } from '../system-clock.ts';

export interface ElderMoneyOptions {
  readonly label: string;
  readonly name: Uint8Array;
  readonly identitySeed: Uint8Array;
  readonly secretShare: Uint8Array;
  readonly authority: SectionAuthority;
  readonly facts: FactStore;
  readonly jobs: JobPool;
  readonly log: Log;
  /** Money of earlier epochs, and whether this key is frozen (SPENTBOOK-R6); neither by default. */
  readonly inherited?: InheritedMoney;
  /** A certificate names a key that this elder does not know. */
  readonly onUnknownKey?: (slot: Uint8Array) => void;
}

export interface InheritedMoney {
  /** All keys that this elder knows now. */
  readonly known: () => SectionKeys;
  readonly inheritance: Inheritance;
  /** N22: checked before every step, so that no step signs after the freeze. */
  readonly isFrozen: () => boolean;
}

export type ElderMoneyRequest = Extract<ClientRequest, { kind: 'slot' | 'output' | 'outputs' }>;

export interface ElderMoney {
  /**
   * @param invalid called for a signature or certificate that is invalid under a key that this elder
   * knows. Our programs verify what they send; what this elder cannot check (another epoch, a
   * missing inclusion proof) is `unproven` and no fault of the sender.
   * @param peer the sender; each has one request per slot at a time, so that none takes all its places.
   */
  readonly answer: (
    request: ElderMoneyRequest,
    invalid?: () => void,
    peer?: string,
  ) => Promise<ClientReply>;
  readonly stop: () => void;
}

/** A crash may separate an output's fact from its slots; no more than this run at a time. */
const outputsResettledAtStart = 64;
const busyAfterMs = 1_000;

/** Opens slots and outputs on the elder's facts. */
export async function createElderMoney(options: ElderMoneyOptions): Promise<ElderMoney> {
  const { facts, authority: section } = options;
  const ownSectionOnly = singleSectionKeys(section);
  const inherited: InheritedMoney = options.inherited ?? {
    known: () => ownSectionOnly,
    inheritance: { slots: new Map(), outputs: new Map() },
    isFrozen: () => false,
  };
  await facts.addOutputs(
    [...inherited.inheritance.outputs.values()].map((registration) => ({
      key: mintKey(registration.key),
      entry: encodeRegistryEntry(registration),
    })),
  );
  const slots = openSlots(options, inherited);
  const settle = (decision: SlotDecision): void =>
    slots.input(spentbookKey(decision.slot), { kind: 'settle', decision });
  const outputs = openOutputs(options, inherited, settle);
  for (const entry of await facts.lastOutputs(outputsResettledAtStart)) {
    const decoded = decodeRegistryEntry(entry);
    assert(decoded.ok, 'the list holds what we encoded');
    // Another epoch's root knows the others.
    const own = decisionsOf(section, decoded.value).filter(
      ({ certificate }) => certificate.epoch === section.epoch,
    );
    own.forEach(settle);
  }

  const toReply = <M extends SpentbookMessage | MintMessage>(
    answer: Result<M, InstanceError>,
    encode: (message: M) => Uint8Array,
    invalid?: () => void,
  ): ClientReply => {
    // Resending the same bytes is always safe: an elder gives the same share for them.
    if (!answer.ok) return refusalReply({ kind: 'busy', afterMs: busyAfterMs });
    const { value } = answer;
    // The sender may know a newer key: look up which key signs there now.
    if (value.kind === 'unproven' && !signingKeyFor(inherited.known(), value.slot, value.epoch))
      options.onUnknownKey?.(value.slot);
    if (isForged(value)) invalid?.();
    return { kind: 'money', message: encode(value) };
  };

  const oneAtATime = onePerPeer();

  return {
    answer: async (request, invalid, peer) => {
      switch (request.kind) {
        case 'slot': {
          const message = decodeSpentbookRequest(request.slot, request.message);
          if (!message.ok) return refusalReply({ kind: 'malformed', what: 'slot' });
          const key = spentbookKey(request.slot);
          const answer = await oneAtATime(peer, key, () => slots.ask(key, message.value));
          return toReply(answer, encodeSlotAnswer, invalid);
        }
        case 'output': {
          const message = decodeMintRequest(request.key, request.message);
          if (!message.ok) return refusalReply({ kind: 'malformed', what: 'output' });
          const answer = await outputs.ask(mintKey(request.key), message.value);
          return toReply(answer, encodeOutputAnswer, invalid);
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

/** Refuses a second request of a peer for a slot while its first one is in progress. */
function onePerPeer() {
  const inProgress = new Set<string>();
  return async <T>(
    peer: string | undefined,
    slot: string,
    ask: () => Promise<Result<T, InstanceError>>,
  ): Promise<Result<T, InstanceError>> => {
    if (peer === undefined) return ask();
    const own = `${peer}|${slot}`;
    if (inProgress.has(own)) return err('busy');
    inProgress.add(own);
    return ask().finally(() => inProgress.delete(own));
  };
}

/** Keeps only the newest row of a slot: its owner can ask for promises without end. */
const replaceFact = (
  facts: FactStore,
  machine: string,
  key: string,
  fact: Uint8Array,
): Promise<void> =>
  facts.appendAndForget(machine, key, fact, (rows) => [...rows.slice(0, -1).keys()]);

function openSlots(options: ElderMoneyOptions, inherited: InheritedMoney): Instances<Spentbook> {
  const { facts, jobs, authority: section, name, identitySeed, secretShare } = options;
  const machine = machineNameUnder(section, 'spentbook');
  return createInstances(
    spentbook,
    () => ({
      ...{ name, section, secretShare, identitySeed, identity: ed25519Identity },
      elders: section.elders.map((elder) => elder.name),
      known: inherited.known(),
      inherited: inherited.inheritance.slots,
      sealed: inherited.isFrozen(),
    }),
    {
      ...commonPorts(options),
      facts: {
        load: (key) => loadFacts(facts, machine, key, decodeSpentbookFact),
        append: (key, fact) => replaceFact(facts, machine, key, encodeSpentbookFact(fact)),
      },
      compute: (job) => jobs.run('spentbook', job),
      onOutput: () => undefined,
    },
  );
}

function openOutputs(
  options: ElderMoneyOptions,
  inherited: InheritedMoney,
  settle: (decision: SlotDecision) => void,
): Instances<Mint> {
  const { facts, jobs, authority: section, identitySeed } = options;
  const machine = machineNameUnder(section, 'mint');
  return createInstances(
    mint,
    () => ({
      ...{ section, identitySeed, identity: ed25519Identity },
      known: inherited.known(),
      inherited: inherited.inheritance.outputs,
      sealed: inherited.isFrozen(),
    }),
    {
      ...commonPorts(options),
      facts: {
        load: (key) => loadFacts(facts, machine, key, decodeMintFact),
        // The fact and its list entry are written together: neither exists without the other.
        append: (key, fact) => {
          const entry = encodeRegistryEntry(fact.registration);
          return facts.appendWithOutput(machine, key, encodeMintFact(fact), entry);
        },
      },
      compute: (job) => jobs.run('mint', job),
      onOutput: (_key, { decisions }) => decisions.forEach(settle),
    },
  );
}

const commonPorts = ({ log, label }: ElderMoneyOptions) => ({
  clock: systemClock,
  randomBytes: (length: number) => new Uint8Array(randomBytes(length)),
  onFailure: (key: string, error: unknown): void =>
    log.write({ event: 'instanceFailed', node: label, peer: key, error: String(error) }),
  onFault: (_key: string, fault: { kind: string; what: string }): void =>
    log.write({ event: 'blamed', node: label, kind: fault.kind, rule: fault.what }),
});

/** Checking it cost this elder group operations or a pairing, and its sender nothing. */
const isForged = (answer: SpentbookMessage | MintMessage): boolean =>
  (answer.kind === 'malformed' || answer.kind === 'invalid') && forgedReasons.has(answer.what);
const forgedReasons: ReadonlySet<string> = new Set([
  'badSignature',
  'badReport',
  'forgedCertificate',
]);

/** Facts of two keys never mix, even of the same elder. */
const machineNameUnder = (
  { epoch, key }: Pick<SectionAuthority, 'epoch' | 'key'>,
  machine: string,
) => (epoch === 0n ? machine : `${machine}/${toHex(key).slice(0, 32)}`);

/** SPENTBOOK-R6: this elder's money under a key, sorted. Call it when that money is frozen. */
export async function snapshotEntriesOf(
  facts: FactStore,
  section: Pick<SectionAuthority, 'epoch' | 'key'>,
): Promise<readonly SnapshotEntry[]> {
  const entries: (SnapshotEntry | null)[] = [];
  const slots = machineNameUnder(section, 'spentbook');
  for (const key of await facts.keys(slots)) {
    entries.push(slotEntry(await loadFacts(facts, slots, key, decodeSpentbookFact), section.epoch));
  }
  const outputs = machineNameUnder(section, 'mint');
  for (const key of await facts.keys(outputs)) {
    entries.push(outputEntry(await loadFacts(facts, outputs, key, decodeMintFact)));
  }
  return sortSnapshotEntries(entries.filter((entry) => entry !== null));
}

/** Erases the facts of a key that has handed over, once its incoming elders have all of them. */
export async function eraseMoneyFacts(
  facts: FactStore,
  section: Pick<SectionAuthority, 'epoch' | 'key'>,
): Promise<void> {
  for (const machine of ['spentbook', 'mint'])
    await facts.eraseAll(machineNameUnder(section, machine));
}

function encodeSlotAnswer(message: SpentbookMessage): Uint8Array {
  assert(isSpentbookAnswer(message), 'an elder sends answers');
  return encodeSpentbookAnswer(message);
}

function encodeOutputAnswer(message: MintMessage): Uint8Array {
  assert(message.kind !== 'register', 'an elder sends answers');
  return encodeMintAnswer(message);
}
