/**
 * The replication machine in the real world: walks the disk for it, fetches and checks bytes,
 * proves and drops. What has to be kept, and when a copy may go, the machine decides alone.
 */
import { createHash, randomBytes } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { assert, assertNever } from '#core/assert.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { Event, Machine, NodeId } from '#core/machine.ts';
import type { Result } from '#core/result.ts';
import type { ReceiptStamp } from '#data/receipt.ts';
import {
  backlogOf,
  decodeReplicationFact,
  decodeReplicationMessage,
  encodeReplicationFact,
  encodeReplicationMessage,
  fullMembers,
  held,
  isAtLeast,
  itemId,
  mayHandOver,
  openItem,
  provenBytes,
  replication,
  type FetchOutcome,
  type Item,
  type PlacedSection,
  type Replication,
  type ReplicationConfig,
  type ReplicationInput,
  type ReplicationMessage,
  type ReplicationOutput,
  type ReplicationState,
} from '#protocol/replication/index.ts';
import { decodeNodeReply, encodeNodeRequest } from '#roles/wire/node.ts';
import { startDriver, type Clock, type Driver } from '#runtime/driver.ts';
import type { FactStore } from '#storage/node/facts.ts';
import type { Holdings } from './holdings.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { createSigner, isSignedBy } from './native-ed25519.ts';
import { createNameGuard, limited } from './replication-service-guard.ts';
import { systemClock } from './system-clock.ts';

type Kept = Pick<Item, 'kind' | 'name'>;

export interface ReplicationServiceOptions {
  readonly label: string;
  readonly networkId: Uint8Array;
  readonly name: Uint8Array;
  readonly identitySeed: Uint8Array;
  readonly holdings: Holdings;
  readonly facts: FactStore;
  /** May lose messages: the machine asks again. */
  readonly send: (to: NodeId, message: Uint8Array, kind: string) => void;
  /** Sends one request of the data protocol; resolves within its own patience. */
  readonly request: (
    holder: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  /** Every message that came in, also to an elder's own questions (N42). */
  readonly overheard?: (from: NodeId, message: ReplicationMessage) => void;
  /** This peer speaks of a newer state than ours, or is a member of none that we know. */
  readonly behind?: (peer: NodeId) => void;
  readonly blamed: (kind: string, culprit: NodeId) => void;
  /** Our own bug: nothing this machine says from now on may be relied on. */
  readonly failed: (error: unknown) => void;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Tests run faster. */
  readonly pace?: ReplicationPace;
  readonly clock?: Clock;
}

export interface ReplicationPace {
  readonly tickMs: number;
  readonly budgetBytesPerTick: number;
  readonly budgetBurstBytes: number;
  readonly relistEveryTicks: number;
  /** How often a full disk, or one that could not be read, is looked at. */
  readonly roomLookMs: number;
}

export interface ReplicationService {
  /** A newer sealed state of our section, and the other sections known. Resolves when in force. */
  readonly adopted: (section: PlacedSection, others: readonly PlacedSection[]) => Promise<void>;
  /** False when these bytes are no message. Resolves when it has been handled. */
  readonly receive: (from: NodeId, message: Uint8Array) => Promise<boolean>;
  /**
   * Runs a write of a client so that no drop of the same name crosses it, and lets the machine
   * know. When this resolves with `ok`, the copy goes only as a surplus one does (R7).
   */
  readonly store: <E>(
    kept: Kept,
    write: () => Promise<Result<Item, E>>,
  ) => Promise<Result<Item, E>>;
  /** We looked for it and it is not on our disk. */
  readonly lost: (kept: Kept) => void;
  /** R4: does the sealed state make that node a holder of this name? */
  readonly mayHandOver: (to: NodeId, name: Uint8Array) => boolean;
  /** Members that say that their disk is full. */
  readonly full: () => ReadonlySet<NodeId>;
  /** Our newest state; null before the first. */
  readonly stamp: () => ReceiptStamp | null;
  /** An elder's word to a holder that a write did not reach (N42). */
  readonly repair: (holder: Uint8Array, item: Item) => void;
  readonly backlog: () => ReturnType<typeof backlogOf> & { readonly held: number };
  /** Resolves when everything on disk is known. */
  readonly stockTaken: Promise<void>;
  readonly stop: () => Promise<void>;
}

const machineName = 'replication';

/** The pause between two walks of a disk that refuses doubles up to this. */
const mostStockPauseMs = 60_000;

/** N43: 4 MiB a second on average, sixteen chunks at once after a quiet time. */
const usualPace: ReplicationPace = {
  tickMs: 1_000,
  budgetBytesPerTick: 4 * 1024 * 1024,
  budgetBurstBytes: 16 * 1024 * 1024,
  relistEveryTicks: 300,
  roomLookMs: 5_000,
};
/** Own copies read for proofs at once: each is up to a mebibyte of memory. */
const maxReads = 4;

export async function startReplication(
  options: ReplicationServiceOptions,
): Promise<ReplicationService> {
  const { label, networkId, holdings, facts, log, metrics } = options;
  const { roomLookMs, ...pace } = options.pace ?? usualPace;
  const self = nameToId(options.name);
  const sign = createSigner(options.identitySeed);
  const config: ReplicationConfig = {
    networkId,
    self: options.name,
    identitySeed: options.identitySeed,
    identity: { sign: (_seed, message) => sign(message), verify: isSignedBy },
    ...pace,
  };
  let state: ReplicationState | undefined;
  let stopped = false;

  /** The driver keeps the state to itself; questions about it are answered by the last step's. */
  const watched: Machine<ReplicationConfig, ReplicationState, Replication> = {
    start: (...args) => {
      const step = replication.start(...args);
      ({ state } = step);
      return step;
    },
    step: (...args) => {
      const step = replication.step(...args);
      ({ state } = step);
      return step;
    },
  };

  const driver: Driver<Replication> = await startDriver(watched, config, {
    clock: options.clock ?? systemClock,
    randomBytes: (length) => new Uint8Array(randomBytes(length)),
    facts: {
      load: async () =>
        (await facts.load(machineName, self)).map((bytes) => {
          const fact = decodeReplicationFact(bytes);
          assert(fact.ok, 'a stored fact decodes');
          return fact.value;
        }),
      append: (fact) => facts.append(machineName, self, encodeReplicationFact(fact)),
    },
    compute: async () => {
      throw new Error('invariant broken: replication has no jobs');
    },
    transport: {
      send: (to, message) =>
        options.send(to, encodeReplicationMessage(message), `data/${message.kind}`),
    },
    onOutput: (output) => perform(output),
    onFault: ({ kind, culprit }) => {
      metrics.count('safe_data_faults_total', kind);
      options.blamed(kind, culprit);
    },
  });

  const now = (): ReplicationState => {
    assert(state !== undefined, 'the machine has started');
    return state;
  };
  const push = (event: Event<Replication>): void => {
    if (stopped) return;
    driver.push(event);
    driver.idle().catch(options.failed);
  };
  const tell = (input: ReplicationInput): void => push({ kind: 'input', input });
  const handled = (): Promise<void> => driver.idle().catch(options.failed);

  const guard = createNameGuard((item) => tell({ kind: 'stored', item }));

  const store: ReplicationService['store'] = (kept, write) =>
    guard.write(kept, async () => {
      const stored = await write();
      if (stored.ok) {
        tell({ kind: 'stored', item: stored.value });
        await handled();
      } else if (isFull(stored.error)) {
        tell({ kind: 'diskFull' });
      }
      return stored;
    });

  const drop = (item: Item): void =>
    guard.drop(item, async () => {
      metrics.count('safe_data_dropped_total', item.kind);
      await holdings.remove(item).catch((error: unknown) => failure('dropFailed', error));
    });

  const fetch = async ({
    id,
    holder,
    item,
    stamp,
  }: Extract<ReplicationOutput, { kind: 'fetch' }>): Promise<void> => {
    const { kind, name } = item;
    const request =
      kind === 'chunk'
        ? encodeNodeRequest({ kind: 'fetchChunk', stamp, name })
        : encodeNodeRequest({ kind: 'fetchPointer', stamp, address: name });
    const from = fromHex(holder);
    const answer = from.ok ? await options.request(from.value, request) : null;
    const bytes = answer?.ok === true ? bytesIn(answer.value) : ({ kind: 'silent' } as const);
    if (!(bytes instanceof Uint8Array)) {
      metrics.count('safe_data_fetched_total', bytes.kind);
      return tell({ kind: 'fetched', id, outcome: bytes });
    }
    await guard.write(item, async () => {
      const outcome = await keep(item, bytes);
      metrics.count('safe_data_fetched_total', outcome.kind);
      metrics.count('safe_data_fetched_bytes_total', outcome.kind, bytes.length);
      tell({ kind: 'fetched', id, outcome });
      await handled();
    });
  };

  /** R5: a chunk's store checks the name itself, a record is checked by its owner's signature. */
  const keep = async (item: Item, bytes: Uint8Array): Promise<FetchOutcome> => {
    const full = { kind: 'full', bytes: bytes.length } as const;
    const wrong = { kind: 'wrong', bytes: bytes.length } as const;
    if (item.kind === 'chunk') {
      const stored = await holdings.putChunk(item.name, bytes);
      if (stored.ok) return { kind: 'stored', item: stored.value };
      return stored.error === 'altered' ? wrong : full;
    }
    const opened = openItem(networkId, item, bytes);
    if (opened === undefined) return wrong;
    if (!isAtLeast(opened, item)) return { kind: 'older', bytes: bytes.length };
    const stored = await holdings.putPointer(item.name, opened.version, bytes, 'holder');
    if (stored.ok) return { kind: 'stored', item: stored.value };
    if (stored.error.kind === 'full') return full;
    // What we have is newer: it came in the meantime.
    return { kind: 'stored', item: openItem(networkId, item, stored.error.kept) ?? opened };
  };

  const read = limited(maxReads, (item: Item) => holdings.read(item));

  const prove = async ({
    id,
    item,
    challenge,
  }: Extract<ReplicationOutput, { kind: 'prove' }>): Promise<void> => {
    const bytes = await read(item).catch(() => null);
    const proof = bytes === null ? null : nativeProofOf(challenge, item.kind, bytes);
    tell({ kind: 'proved', id, proof });
  };

  const lost = (kept: Kept): void => {
    const id = itemId(kept);
    if (held(now().stock.items, id) === undefined || guard.isBusy(kept)) return;
    log.write({ event: 'copyLost', node: label, kind: kept.kind });
    tell({ kind: 'lost', item: { kind: kept.kind, name: kept.name } });
  };

  const perform = (output: ReplicationOutput): void => {
    switch (output.kind) {
      case 'fetch':
        void fetch(output).catch((error: unknown) => {
          failure('fetchFailed', error);
          tell({ kind: 'fetched', id: output.id, outcome: { kind: 'silent' } });
        });
        return;
      case 'prove':
        void prove(output);
        return;
      case 'drop':
        return drop(output.item);
      case 'behind':
        return options.behind?.(output.peer);
      default:
        return assertNever(output);
    }
  };

  const failure = (event: string, error: unknown): void => {
    if (!stopped) log.write({ event, node: label, error: String(error) });
  };

  const walkDisk = async (): Promise<void> => {
    for await (const items of holdings.pages()) {
      if (stopped) return;
      tell({ kind: 'found', items });
      await handled();
    }
    tell({ kind: 'stockTaken' });
    await handled();
  };
  /** Until all is known this node repairs nothing: one refusal of the disk must not be the end. */
  const takeStock = async (): Promise<void> => {
    for (let pauseMs = roomLookMs; !stopped; pauseMs = Math.min(2 * pauseMs, mostStockPauseMs)) {
      try {
        return await walkDisk();
      } catch (error) {
        failure('stockFailed', error);
      }
      await new Promise((go) => setTimeout(go, pauseMs).unref());
    }
  };
  const stockTaken = takeStock();

  const roomTimer = setInterval(() => {
    // Before the disk is walked nobody knows how much is used.
    if (!now().ownFullness.full || now().stock.kind !== 'taken') return;
    holdings
      .hasRoom()
      .then((room) => room && tell({ kind: 'diskFreed' }))
      .catch((error: unknown) => failure('roomFailed', error));
  }, roomLookMs);
  roomTimer.unref();

  // R9: what the machine has adopted; an older state it was told of counts for nothing.
  const stampNow = (): ReceiptStamp | null => now().view?.own.stamp ?? null;
  return {
    adopted: (section, others) => {
      tell({ kind: 'adopted', section, others });
      return handled();
    },
    receive: async (from, bytes) => {
      const message = decodeReplicationMessage(bytes);
      if (!message.ok) return false;
      options.overheard?.(from, message.value);
      push({ kind: 'received', from, message: message.value });
      await handled();
      return true;
    },
    store,
    lost,
    mayHandOver: (to, name) => mayHandOver(config, now(), to, name),
    full: () => fullMembers(config, now()),
    stamp: stampNow,
    repair: (holder, item) => {
      const stamp = stampNow();
      if (stamp === null) return;
      const message = { kind: 'repair', stamp, items: [item] } as const;
      options.send(nameToId(holder), encodeReplicationMessage(message), 'data/repair');
    },
    backlog: () => {
      let count = 0;
      for (const shard of now().stock.items.values()) count += shard.size;
      return { ...backlogOf(now()), held: count };
    },
    stockTaken,
    stop: async () => {
      stopped = true;
      clearInterval(roomTimer);
      driver.stop();
      await driver.idle().catch(() => undefined);
      await guard.settled();
    },
  };
}

/** What a holder gave, or why it did not. */
function bytesIn(answer: Uint8Array): Uint8Array | { readonly kind: 'lacking' | 'refused' } {
  const reply = decodeNodeReply(answer);
  if (!reply.ok) return { kind: 'refused' };
  const { value } = reply;
  if (value.kind === 'chunk') return value.bytes;
  if (value.kind === 'pointer') return value.record;
  const lacks = value.kind === 'refused' && value.refusal.kind === 'notFound';
  return { kind: lacks ? 'lacking' : 'refused' };
}

/** The machine's `proofOf` by the hash of the platform: a mebibyte takes one millisecond, not ten. */
export const nativeProofOf = (
  challenge: Uint8Array,
  kind: Item['kind'],
  bytes: Uint8Array,
): Uint8Array =>
  new Uint8Array(createHash('sha256').update(challenge).update(provenBytes(kind, bytes)).digest());

const isFull = (error: unknown): boolean =>
  error === 'full' ||
  error === 'broken' ||
  (typeof error === 'object' && error !== null && 'kind' in error && error.kind === 'full');
