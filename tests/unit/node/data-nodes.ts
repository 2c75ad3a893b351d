/** Storing nodes as `src/node/node.ts` puts them together, with real folders, but without a network. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { err, ok, type Result } from '#core/result.ts';
import { createAdultService, type AdultService } from '#node/adult-service.ts';
import { openHoldings, type Holdings } from '#node/holdings.ts';
import { silentLog } from '#node/log.ts';
import { createMetrics } from '#node/metrics.ts';
import { createSigner, publicKeyOf } from '#node/native-ed25519.ts';
import {
  startReplication,
  type ReplicationPace,
  type ReplicationService,
} from '#node/replication-service.ts';
import type { ReplicationMessage } from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { encodeNodeRequest } from '#roles/wire/node.ts';
import { openChunks } from '#storage/node/chunks.ts';
import { openFacts } from '#storage/node/facts.ts';

export const networkId = new Uint8Array(32).fill(7);

export interface DataNode {
  readonly id: NodeId;
  readonly name: Uint8Array;
  readonly holdings: Holdings;
  readonly replication: ReplicationService;
  readonly adult: AdultService;
  /** As a process that ends; start it again with {@link DataNodes.start}. */
  readonly stop: () => Promise<void>;
}

export interface DataNodes {
  readonly blamed: readonly (readonly [kind: string, culprit: NodeId])[];
  readonly start: (seedByte: number, limitBytes?: number) => Promise<DataNode>;
  /** Who listens in at which node. */
  readonly overheard: Map<NodeId, (from: NodeId, message: ReplicationMessage) => void>;
  readonly running: ReadonlyMap<NodeId, DataNode>;
  /** Tells everybody that runs. */
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

/** A state nobody signed: services are told by the section's machine, which has verified it. */
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

const quick: ReplicationPace = {
  tickMs: 10,
  budgetBytesPerTick: 4 * 1024 * 1024,
  budgetBurstBytes: 16 * 1024 * 1024,
  relistEveryTicks: 100,
  roomLookMs: 20,
};

export function createDataNodes(folder: string): DataNodes {
  const running = new Map<NodeId, DataNode>();
  const blamed: (readonly [string, NodeId])[] = [];
  const overheard: DataNodes['overheard'] = new Map();
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
    overheard,
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
        pace: quick,
        send: (to, message) => {
          const target = fromHex(to);
          const bytes = encodeNodeRequest({ kind: 'deliver', protocol: 'replication', message });
          if (target.ok) void request(name, target.value, bytes);
        },
        request: (to, bytes) => request(name, to, bytes),
        blamed: (kind, culprit) => void blamed.push([kind, culprit]),
        overheard: (from, message) => overheard.get(id)?.(from, message),
        failed: (error) => {
          throw error;
        },
      });
      const adult = createAdultService({
        ...{ label: 'adult', networkId, holdings, replication, metrics, log: silentLog },
        sign: createSigner(seed),
        isElder: (each) => elders.has(nameToId(each)),
      });
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
      if (known !== null) await replication.adopted(known.section, known.others);
      return node;
    },
    adopt: async (section, others = []) => {
      known = { section, others };
      elders = new Set(section.elders.map((each) => nameToId(each.name)));
      for (const { replication } of running.values()) await replication.adopted(section, others);
    },
    stop: async () => {
      for (const node of [...running.values()]) await node.stop();
    },
  };
}
