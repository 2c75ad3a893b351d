/** Storage nodes assembled as in `src/node/node.ts`, with real folders and without a network. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { err, ok, type Result } from '#core/result.ts';
import { createAdultService } from '#node/chunk-storage/adult-service.ts';
import { openHoldings, type Holdings } from '#node/chunk-storage/holdings.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import { createSigner, publicKeyOf } from '#node/keys/native-ed25519.ts';
import type { ReplicationTiming } from '#node/chunk-storage/replication-machine.ts';
import {
  startReplication,
  type ReplicationService,
} from '#node/chunk-storage/replication-service.ts';
import type { ReplicationMessage } from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { encodeNodeRequest } from '#roles/wire/node-requests.ts';
import { openChunks } from '#storage/node/chunks.ts';
import { openFacts } from '#storage/node/facts.ts';
import { faultyAdult, type FaultyAdult } from '../../support/faulty-adult.ts';
import { silentLog } from '../../support/silent-log.ts';

export const networkId = new Uint8Array(32).fill(7);

/** The sender, and what is called for bytes that no program of ours sends. */
type AdultArguments = [from: Uint8Array | null, invalid?: () => void];

export interface DataNode {
  readonly id: NodeId;
  readonly name: Uint8Array;
  readonly holdings: Holdings;
  readonly replication: ReplicationService;
  readonly adult: FaultyAdult<AdultArguments>;
  /** Stops a node like its process; start it again with {@link DataNodes.start}. */
  readonly stop: () => Promise<void>;
}

export interface DataNodes {
  readonly blamed: readonly (readonly [kind: string, culprit: NodeId])[];
  readonly start: (seedByte: number, limitBytes?: number) => Promise<DataNode>;
  /** Observers of the messages to a node. */
  readonly messageListeners: Map<NodeId, (from: NodeId, message: ReplicationMessage) => void>;
  readonly running: ReadonlyMap<NodeId, DataNode>;
  /** Sends a state to all running nodes. */
  readonly adopt: (
    section: SectionAuthority,
    others?: readonly SectionAuthority[],
  ) => Promise<void>;
  readonly request: (
    from: Uint8Array,
    to: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, 'gone'>>;
  readonly stop: () => Promise<void>;
}

export const seedOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
export const nameOf = (byte: number): Uint8Array => publicKeyOf(seedOf(byte));

/** An unsigned state: services receive states from the section's machine, which has verified them. */
export const sectionOf = (
  elders: readonly number[],
  adults: readonly number[],
  generation = 1n,
  more: Partial<SectionAuthority> = {},
): SectionAuthority => ({
  networkId,
  prefix: { bitCount: 0, bits: new Uint8Array(32) },
  key: new Uint8Array(96).fill(5),
  epoch: 0n,
  generation,
  elders: elders.map((byte, at) => ({
    name: toXorName(nameOf(byte)),
    publicShare: new Uint8Array(96),
    index: at + 1,
  })),
  members: [...elders, ...adults].map((byte) => ({
    name: toXorName(nameOf(byte)),
    joined: 0n,
    placement: nameOf(byte),
    sharingKey: new Uint8Array(32),
  })),
  ledgerRoot: new Uint8Array(32),
  genesisOutput: null,
  ...more,
});

const quick: ReplicationTiming = {
  tickMs: 10,
  budgetBytesPerTick: 4 * 1024 * 1024,
  budgetBurstBytes: 16 * 1024 * 1024,
  relistEveryTicks: 100,
  roomCheckMs: 20,
};

export function createDataNodes(folder: string): DataNodes {
  const running = new Map<NodeId, DataNode>();
  const blamed: (readonly [string, NodeId])[] = [];
  const messageListeners: DataNodes['messageListeners'] = new Map();
  let elders = new Set<NodeId>();
  let known: { section: SectionAuthority; others: readonly SectionAuthority[] } | null = null;

  const request: DataNodes['request'] = async (from, to, bytes) => {
    const node = running.get(nameToId(to));
    if (node === undefined) return err('gone');
    return node.adult.handle(bytes, from).then(ok, () => err('gone'));
  };

  return {
    running,
    blamed,
    messageListeners,
    request,
    start: async (byte, limitBytes = Number.POSITIVE_INFINITY) => {
      const [seed, name] = [seedOf(byte), nameOf(byte)];
      const own = join(folder, nameToId(name));
      mkdirSync(join(own, 'chunks'), { recursive: true });
      const facts = openFacts(join(own, 'facts'));
      const chunks = join(own, 'chunks');
      const holdings = openHoldings({
        folder: own,
        openChunks: (limit) => openChunks(chunks, limit),
        facts,
        limitBytes,
      });
      const metrics = createMetrics();
      const id = nameToId(name);
      const replication = await startReplication({
        ...{ label: 'adult', networkId, name, identitySeed: seed, holdings, facts, metrics },
        log: silentLog,
        timing: quick,
        send: (to, message) => {
          const target = fromHex(to);
          const bytes = encodeNodeRequest({ kind: 'deliver', protocol: 'replication', message });
          if (target.ok) void request(name, target.value, bytes);
        },
        request: (to, bytes) => request(name, to, bytes),
        blamed: (kind, culprit) => void blamed.push([kind, culprit]),
        onMessage: (from, message) => messageListeners.get(id)?.(from, message),
        failed: (error) => {
          throw error;
        },
      });
      const service = createAdultService({
        ...{ label: 'adult', networkId, holdings, replication, metrics, log: silentLog },
        sign: createSigner(seed),
        isElder: (each) => elders.has(nameToId(each)),
      });
      const adult = faultyAdult<AdultArguments>(service.handle);
      const node: DataNode = {
        ...{ id, name, holdings, replication, adult },
        stop: async () => {
          running.delete(id);
          await replication.stop();
          metrics.stop();
          facts.close();
        },
      };
      running.set(id, node);
      if (known !== null) await replication.adoptState(known.section, known.others);
      return node;
    },
    adopt: async (section, others = []) => {
      known = { section, others };
      elders = new Set(section.elders.map((each) => nameToId(each.name)));
      for (const { replication } of running.values()) await replication.adoptState(section, others);
    },
    stop: async () => {
      for (const node of [...running.values()]) await node.stop();
    },
  };
}
