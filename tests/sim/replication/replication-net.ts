/**
 * Storing nodes for the simulator: the replication machine with a disk, and messages for the bytes
 * in addition to its own, as `src/node` runs it.
 */
import { nameToId, toXorName } from '#address/xor-name.ts';
import type { Effect, Event, Machine, NodeId, Step } from '#core/machine.ts';
import { sha256 } from '#crypto/hash.ts';
import { decodePointer, pointerAddress } from '#data/pointer-record.ts';
import type { maySendCopy, openItem } from '#protocol/replication/index.ts';
import {
  isAtLeast,
  itemId,
  noDigest,
  openItem as open,
  possessionProof,
  type FetchOutcome,
  type Item,
  type ItemId,
  type Replication,
  type ReplicationConfig,
  type ReplicationFact,
  type ReplicationFault,
  type ReplicationInput,
  type ReplicationMessage,
  type ReplicationState,
} from '#protocol/replication/index.ts';

export interface AdultConfig extends ReplicationConfig {
  readonly machine: Machine<ReplicationConfig, ReplicationState, Replication>;
  /** Maximum of items on the disk. */
  readonly capacity: number;
  /** Replaceable parts, for planted bugs. */
  readonly mayHandOver: typeof maySendCopy;
  readonly openItem: typeof openItem;
  readonly isAtLeast?: typeof isAtLeast;
}

type Fact =
  | { readonly kind: 'inner'; readonly fact: ReplicationFact }
  | { readonly kind: 'wrote'; readonly item: Item; readonly bytes: Uint8Array }
  | { readonly kind: 'deleted'; readonly id: ItemId };

export type AdultMessage =
  | { readonly kind: 'inner'; readonly message: ReplicationMessage }
  | { readonly kind: 'get'; readonly id: string; readonly item: Item }
  | {
      readonly kind: 'got';
      readonly id: string;
      readonly answer: 'bytes' | 'missing' | 'refused';
      readonly bytes: Uint8Array;
    };

export interface AdultState {
  readonly inner: ReplicationState;
  readonly disk: ReadonlyMap<ItemId, { readonly item: Item; readonly bytes: Uint8Array }>;
  readonly gets: ReadonlyMap<string, { readonly holder: NodeId; readonly item: Item }>;
  /** Identifies this run's requests: late answers to earlier runs are ignored. */
  readonly runId: string;
  /** Bytes received by repairs in this run. */
  readonly received: number;
}

export interface SimAdult {
  readonly input:
    | ReplicationInput
    | { readonly kind: 'write'; readonly bytes: Uint8Array }
    /** An owner's record, from a client; of two bodies with one version the first stays. */
    | { readonly kind: 'record'; readonly bytes: Uint8Array }
    /** An elder of the section asks this node to repair these. */
    | { readonly kind: 'repair'; readonly elder: NodeId; readonly items: readonly Item[] };
  readonly message: AdultMessage;
  readonly fact: Fact;
  readonly output: never;
  readonly fault: ReplicationFault;
  readonly timer: string;
  readonly job: never;
  readonly jobId: never;
  readonly result: never;
}

const patienceMs = 3_000;

interface Draft {
  readonly state: AdultState;
  readonly effects: readonly Effect<SimAdult>[];
}

export const chunkItem = (bytes: Uint8Array): Item => ({
  kind: 'chunk',
  name: toXorName(sha256(bytes)),
  size: bytes.length,
  version: 0n,
  digest: noDigest,
});

/** The item of an owner's record, equal for all holders. */
export function recordItem(config: Pick<ReplicationConfig, 'networkId'>, bytes: Uint8Array): Item {
  const record = decodePointer(bytes);
  const { networkId } = config;
  const name = record.ok ? pointerAddress(networkId, record.value.owner) : new Uint8Array(32);
  const item = open(networkId, { kind: 'pointer', name }, bytes);
  if (item === undefined) throw new Error('the scenario makes genuine records');
  return item;
}

export const simAdult: Machine<AdultConfig, AdultState, SimAdult> = {
  start: (config, facts, context) => {
    const disk = new Map<ItemId, { readonly item: Item; readonly bytes: Uint8Array }>();
    const inner: ReplicationFact[] = [];
    for (const fact of facts) {
      if (fact.kind === 'inner') inner.push(fact.fact);
      else if (fact.kind === 'wrote') disk.set(itemId(fact.item), fact);
      else disk.delete(fact.id);
    }
    const step = config.machine.start(config, inner, context);
    const runId = nameToId(context.entropy).slice(0, 8);
    const state: AdultState = { inner: step.state, disk, gets: new Map(), runId, received: 0 };
    let draft = lifted(config, { state, effects: [] }, step, context);
    draft = feed(
      config,
      draft,
      { kind: 'found', items: [...disk.values()].map((e) => e.item) },
      context,
    );
    return feed(config, draft, { kind: 'inventoryComplete' }, context);
  },

  step: (config, state, event, context) => {
    const draft: Draft = { state, effects: [] };
    switch (event.kind) {
      case 'input':
        switch (event.input.kind) {
          case 'write':
            return write(config, draft, event.input.bytes, context);
          case 'record':
            return writeRecord(config, draft, event.input.bytes, context);
          case 'repair':
            return repair(config, draft, event.input, context);
          default:
            return feed(config, draft, event.input, context);
        }
      case 'received':
        return receive(config, draft, event.from, event.message, context);
      case 'timerFired':
        if (event.timer === 'tick') {
          return run(config, draft, { kind: 'timerFired', timer: 'tick' }, context);
        }
        return settle(config, draft, event.timer, { kind: 'unresponsive' }, context);
      case 'computed':
        return draft;
    }
  },
};

type Context = Parameters<typeof simAdult.step>[3];

const feed = (
  config: AdultConfig,
  draft: Draft,
  input: ReplicationInput,
  context: Context,
): Draft => run(config, draft, { kind: 'input', input }, context);

function run(
  config: AdultConfig,
  draft: Draft,
  event: Event<Replication>,
  context: Context,
): Draft {
  const step = config.machine.step(config, draft.state.inner, event, context);
  return lifted(config, draft, step, context);
}

/** Performs the machine's effects on the shell, in order. */
function lifted(
  config: AdultConfig,
  before: Draft,
  step: Step<ReplicationState, Replication>,
  context: Context,
): Draft {
  let draft: Draft = { ...before, state: { ...before.state, inner: step.state } };
  for (const effect of step.effects) {
    if (effect.kind === 'persist') {
      draft = changed(draft, {}, { kind: 'persist', fact: { kind: 'inner', fact: effect.fact } });
    } else if (effect.kind === 'send') {
      const message = { kind: 'inner', message: effect.message } as const;
      draft = changed(draft, {}, { kind: 'send', to: effect.to, message });
    } else if (effect.kind === 'output') {
      const { output } = effect;
      if (output.kind === 'fetch') {
        const gets = new Map(draft.state.gets).set(output.id, output);
        draft = changed(
          draft,
          { gets },
          { kind: 'setTimer', timer: output.id, afterMs: patienceMs },
          {
            kind: 'send',
            to: [output.holder],
            message: { kind: 'get', id: draft.state.runId + output.id, item: output.item },
          },
        );
      } else if (output.kind === 'prove') {
        const own = draft.state.disk.get(itemId(output.item));
        const proof =
          own === undefined ? null : possessionProof(output.challenge, own.item.kind, own.bytes);
        draft = feed(config, draft, { kind: 'proved', id: output.id, proof }, context);
      } else if (output.kind === 'drop') {
        const id = itemId(output.item);
        const disk = new Map(draft.state.disk);
        const onDisk = disk.get(id);
        if (onDisk !== undefined && !isAtLeast(output.item, onDisk.item)) continue;
        disk.delete(id);
        draft = changed(draft, { disk }, { kind: 'persist', fact: { kind: 'deleted', id } });
        // Free space with a margin, so that the next chunk does not fill the disk again.
        if (disk.size <= config.capacity - 4) {
          draft = feed(config, draft, { kind: 'diskFreed' }, context);
        }
      }
    } else if (effect.kind === 'setTimer') draft = changed(draft, {}, effect);
    else if (effect.kind === 'blame') draft = changed(draft, {}, effect);
  }
  return draft;
}

const changed = (
  draft: Draft,
  change: Partial<AdultState>,
  ...effects: readonly Effect<SimAdult>[]
): Draft => ({ state: { ...draft.state, ...change }, effects: [...draft.effects, ...effects] });

function write(config: AdultConfig, draft: Draft, bytes: Uint8Array, context: Context): Draft {
  const item = chunkItem(bytes);
  if (draft.state.disk.has(itemId(item))) return draft;
  if (draft.state.disk.size >= config.capacity) {
    return feed(config, draft, { kind: 'diskFull' }, context);
  }
  return feed(config, keep(draft, item, bytes), { kind: 'stored', item }, context);
}

function writeRecord(
  config: AdultConfig,
  draft: Draft,
  bytes: Uint8Array,
  context: Context,
): Draft {
  const item = recordItem(config, bytes);
  const kept = draft.state.disk.get(itemId(item))?.item;
  if (kept !== undefined && kept.version >= item.version) return draft;
  return feed(config, keep(draft, item, bytes), { kind: 'stored', item }, context);
}

function repair(
  config: AdultConfig,
  draft: Draft,
  { elder, items }: Extract<SimAdult['input'], { kind: 'repair' }>,
  context: Context,
): Draft {
  const stateRef = draft.state.inner.view?.own.stateRef;
  if (stateRef === undefined) return draft;
  const message = { kind: 'repair', stateRef, items } as const;
  return run(config, draft, { kind: 'received', from: elder, message }, context);
}

function keep(draft: Draft, item: Item, bytes: Uint8Array): Draft {
  const disk = new Map(draft.state.disk).set(itemId(item), { item, bytes });
  return changed(draft, { disk }, { kind: 'persist', fact: { kind: 'wrote', item, bytes } });
}

function receive(
  config: AdultConfig,
  draft: Draft,
  from: NodeId,
  message: AdultMessage,
  context: Context,
): Draft {
  const { state } = draft;
  if (message.kind === 'inner') {
    return run(config, draft, { kind: 'received', from, message: message.message }, context);
  }
  if (message.kind === 'get') {
    const own = state.disk.get(itemId(message.item));
    const may = config.mayHandOver(config, state.inner, from, message.item.name);
    const answer = !may ? 'refused' : own === undefined ? 'missing' : 'bytes';
    const bytes = answer === 'bytes' && own !== undefined ? own.bytes : new Uint8Array();
    return changed(
      draft,
      {},
      {
        kind: 'send',
        to: [from],
        message: { kind: 'got', id: message.id, answer, bytes },
      },
    );
  }
  if (!message.id.startsWith(state.runId)) return draft;
  const id = message.id.slice(state.runId.length);
  const asked = state.gets.get(id);
  if (asked?.holder !== from) return draft;
  if (message.answer !== 'bytes') {
    return settle(config, draft, id, { kind: message.answer }, context);
  }
  const bytes = message.bytes.length;
  const charged = changed(draft, { received: state.received + bytes });
  const item = config.openItem(config.networkId, asked.item, message.bytes);
  if (item === undefined) return settle(config, charged, id, { kind: 'wrong', bytes }, context);
  if (!isAtLeast(item, asked.item)) {
    return settle(config, charged, id, { kind: 'older', bytes }, context);
  }
  // A client's write may have arrived during this fetch.
  const own = state.disk.get(itemId(item))?.item;
  const isKept = own?.kind === 'pointer' && (config.isAtLeast ?? isAtLeast)(own, item);
  if (own !== undefined && isKept) {
    return settle(config, charged, id, { kind: 'stored', item: own }, context);
  }
  if (!state.disk.has(itemId(item)) && state.disk.size >= config.capacity) {
    return settle(config, charged, id, { kind: 'full', bytes }, context);
  }
  const kept = keep(charged, item, message.bytes);
  return settle(config, kept, id, { kind: 'stored', item }, context);
}

function settle(
  config: AdultConfig,
  draft: Draft,
  id: string,
  outcome: FetchOutcome,
  context: Context,
): Draft {
  if (!draft.state.gets.has(id)) return draft;
  const gets = new Map(draft.state.gets);
  gets.delete(id);
  const next = changed(draft, { gets }, { kind: 'clearTimer', timer: id });
  return feed(config, next, { kind: 'fetched', id, outcome }, context);
}

/** Claims items that it never stored, or returns other bytes than requested. */
export type ReplicationLie = 'wrongBytes' | 'missingCopies' | 'falseProofs' | 'inventedItems';

export function withReplicationLie(lie: ReplicationLie) {
  return (message: AdultMessage, _to: NodeId, prng: { bytes: (n: number) => Uint8Array }) => {
    const fake = (size: number): Item => ({
      kind: 'chunk',
      name: prng.bytes(32),
      size,
      version: 0n,
      digest: noDigest,
    });
    switch (lie) {
      case 'wrongBytes':
        return message.kind === 'got'
          ? [{ ...message, answer: 'bytes' as const, bytes: prng.bytes(20) }]
          : [message];
      case 'missingCopies':
        return message.kind === 'got'
          ? [{ ...message, answer: 'missing' as const, bytes: new Uint8Array() }]
          : [message];
      case 'falseProofs':
        return message.kind === 'inner' && message.message.kind === 'confirmed'
          ? [{ ...message, message: { ...message.message, proof: prng.bytes(32) } }]
          : [message];
      case 'inventedItems':
        return message.kind === 'inner' && message.message.kind === 'listing'
          ? [
              {
                ...message,
                message: {
                  ...message.message,
                  items: [...message.message.items, ...Array.from({ length: 20 }, () => fake(40))],
                },
              },
            ]
          : [message];
    }
  };
}
