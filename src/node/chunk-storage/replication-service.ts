/**
 * Runs the replication machine and acts for it. The machine alone decides what this node must hold and
 * when a copy may go.
 */
import { nameToId } from '#address/xor-name.ts';
import { assertNever } from '#core/assert.ts';
import type { NodeId } from '#core/machine.ts';
import type { Result } from '#core/result.ts';
import type { StateRef } from '#data/storage-receipt.ts';
import {
  backlogOf,
  decodeReplicationMessage,
  encodeReplicationMessage,
  fullMembers,
  maySendCopy,
  type Item,
  type PlacedSection,
  type ReplicationOutput,
} from '#protocol/replication/index.ts';
import type { ItemRef } from './copy-request.ts';
import { createCopies } from './copies.ts';
import { startInventory } from './disk-inventory.ts';
import {
  startReplicationMachine,
  type ReplicationServiceOptions,
  type ReplicationTiming,
} from './replication-machine.ts';

export interface ReplicationService {
  /** Adopts a newer sealed state of our section, and the other known sections. Resolves when in force. */
  readonly adoptState: (section: PlacedSection, others: readonly PlacedSection[]) => Promise<void>;
  /** False when these bytes are not a message. Resolves when it has been handled. */
  readonly receive: (from: NodeId, message: Uint8Array) => Promise<boolean>;
  /**
   * Runs a client's write apart from any removal of the same name, and informs the machine. When
   * this resolves with `ok`, the copy is removed only as a surplus copy is (REPLICATION-R7).
   */
  readonly store: <E>(
    kept: ItemRef,
    write: () => Promise<Result<Item, E>>,
  ) => Promise<Result<Item, E>>;
  /** A copy was looked for and is not on our disk. */
  readonly lost: (kept: ItemRef) => void;
  /** REPLICATION-R4: does the sealed state make that node a holder of this name? */
  readonly maySendCopy: (to: NodeId, name: Uint8Array) => boolean;
  /** Members that report a full disk. */
  readonly full: () => ReadonlySet<NodeId>;
  /** Our newest state; null before the first one. */
  readonly stateRef: () => StateRef | null;
  /** Sends an elder's repair message to a holder that a write did not reach (N42). */
  readonly repair: (holder: Uint8Array, item: Item) => void;
  readonly backlog: () => ReturnType<typeof backlogOf> & { readonly held: number };
  /** Resolves when the whole disk is listed. */
  readonly inventoryComplete: Promise<void>;
  readonly stop: () => Promise<void>;
}

/** N43: 4 MiB a second on average, sixteen chunks in one burst. */
const defaultTiming: ReplicationTiming = {
  tickMs: 1_000,
  budgetBytesPerTick: 4 * 1024 * 1024,
  budgetBurstBytes: 16 * 1024 * 1024,
  relistEveryTicks: 300,
  roomCheckMs: 5_000,
};

export async function startReplication(
  options: ReplicationServiceOptions,
): Promise<ReplicationService> {
  const { roomCheckMs, ...pace } = options.timing ?? defaultTiming;
  const machine = await startReplicationMachine(options, pace, (output) => perform(output));
  const { config, input } = machine;
  const copies = createCopies(options, machine);
  const perform = (output: ReplicationOutput): void => {
    switch (output.kind) {
      case 'fetch':
        return void copies.fetch(output);
      case 'prove':
        return void copies.prove(output);
      case 'drop':
        return copies.drop(output.item);
      case 'behind':
        return options.behind?.(output.peer);
      default:
        return assertNever(output);
    }
  };
  const inventory = startInventory(options.holdings, machine, roomCheckMs);

  // REPLICATION-R9: the state the machine has adopted, never an older one.
  const currentStateRef = (): StateRef | null => machine.state().view?.own.stateRef ?? null;
  return {
    adoptState: (section, others) => {
      input({ kind: 'adopted', section, others });
      return machine.idle();
    },
    receive: async (from, bytes) => {
      const message = decodeReplicationMessage(bytes);
      if (!message.ok) return false;
      options.onMessage?.(from, message.value);
      machine.push({ kind: 'received', from, message: message.value });
      await machine.idle();
      return true;
    },
    store: copies.store,
    lost: copies.lost,
    maySendCopy: (to, name) => maySendCopy(config, machine.state(), to, name),
    full: () => fullMembers(config, machine.state()),
    stateRef: currentStateRef,
    repair: (holder, item) => {
      const stateRef = currentStateRef();
      if (stateRef === null) return;
      const message = { kind: 'repair', stateRef, items: [item] } as const;
      options.send(nameToId(holder), encodeReplicationMessage(message), 'data/repair');
    },
    backlog: () => {
      let count = 0;
      for (const shard of machine.state().inventory.items.values()) count += shard.size;
      return { ...backlogOf(machine.state()), held: count };
    },
    inventoryComplete: inventory.complete,
    stop: async () => {
      inventory.stop();
      machine.stop();
      await machine.idle();
      await copies.settled();
    },
  };
}
