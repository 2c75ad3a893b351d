/**
 * A section of storing nodes under churn: up to three holders of a chunk fail together, nodes
 * crash, join, fill up and lie, the section splits. No chunk may be lost, and after healing every
 * chunk has four copies again and no fifth. The same holds for records, of which two devices write
 * two bodies of one version, missing some holders and reaching nodes that are none; at the end all
 * holders have the same one.
 */
import { child, EMPTY_PREFIX, matches, type Prefix } from '#address/prefix.ts';
import { compareDistance, nameToId } from '#address/xor-name.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { encodePointer, signPointer } from '#data/pointer-record.ts';
import {
  copiesWanted,
  holdersOf,
  isHolder,
  adultsOf,
  itemId,
  maySendCopy,
  openItem,
  replication,
  type ItemId,
  type PlacedMember,
  type PlacedSection,
} from '#protocol/replication/index.ts';
import { createPrng } from '../prng.ts';
import {
  simAdult,
  chunkItem,
  withReplicationLie,
  recordItem,
  type SimAdult,
  type AdultConfig,
  type AdultState,
  type ReplicationLie,
} from '../replication/replication-net.ts';
import { toyIdentity, toyIdentitySuite } from '../toys/toy-suite.ts';
import { run, type Observation, type WorldApi } from '../world.ts';
import type { SimScenario } from './scenario.ts';

const networkId = labelledHash('safe/test/network');
const chunkBytes = 40;
const tickMs = 500;
const budget = { budgetBytesPerTick: chunkBytes, budgetBurstBytes: 3 * chunkBytes };
const healAtMs = 30_000;
const endAtMs = 85_000;
const lies: readonly ReplicationLie[] = [
  'wrongBytes',
  'missingCopies',
  'falseProofs',
  'inventedItems',
];

export interface ReplicationOutcome {
  readonly events: number;
  readonly violations: readonly string[];
  readonly undelivered: number;
  readonly bytesMoved: number;
}

type Node = Observation<AdultState, SimAdult>['node'];
type Api = WorldApi<AdultConfig, AdultState, SimAdult>;

const recordOf = (bytes: Uint8Array) => ({ kind: 'record', bytes }) as const;

/** @param planted a bug for tests/sim/replication/replication.test.ts; the checks do not know it. */
export function runReplication(
  seed: number,
  planted: Partial<AdultConfig> = {},
): ReplicationOutcome {
  const prng = createPrng(seed ^ 0x51ab);
  const adultCount = 12 + prng.below(19);
  const violations: string[] = [];
  const reportViolation = (what: string): void => {
    // A planted bug is found; the rest of its run would only take time.
    if (Object.keys(planted).length > 0) throw new Error(what);
    if (violations.length < 5) violations.push(what);
  };

  let made = 0;
  const configs = new Map<NodeId, AdultConfig>();
  const memberOf = new Map<NodeId, PlacedMember>();
  const smallDisks = prng.chance(0.3);
  const create = (): NodeId => {
    const identitySeed = labelledHash('safe/test/seed', utf8(`${seed} ${made++}`));
    const self = toyIdentity(identitySeed);
    const placement = labelledHash('safe/test/placement', self);
    const id = nameToId(self);
    memberOf.set(id, { name: self, placement });
    configs.set(id, {
      networkId,
      self,
      identitySeed,
      identity: toyIdentitySuite,
      tickMs,
      ...budget,
      relistEveryTicks: 50,
      machine: replication,
      capacity: smallDisks && prng.chance(0.3) ? 12 : 1_000,
      mayHandOver: maySendCopy,
      openItem,
      ...planted,
    });
    return id;
  };

  const elderNames = Array.from({ length: 7 }, (_, i) =>
    labelledHash('safe/test/elder', utf8(`${seed} ${i}`)),
  );
  const section = (prefix: Prefix, generation: bigint, ids: readonly NodeId[]): PlacedSection => {
    const elders = elderNames.map((name) => ({ name, placement: name }));
    const members = ids.flatMap((id) => memberOf.get(id) ?? []);
    return {
      prefix,
      key: labelledHash('safe/test/key', prefix.bits, Uint8Array.of(prefix.bitCount)),
      generation,
      elders,
      members: [...members, ...elders],
    };
  };
  const first = Array.from({ length: adultCount }, create);
  let sections: PlacedSection[] = [section(EMPTY_PREFIX, 1n, first)];
  const sectionFor = (name: Uint8Array): PlacedSection => {
    const found = sections.find(({ prefix }) => matches(prefix, name));
    if (found === undefined) throw new Error('sections cover all names');
    return found;
  };
  const idsIn = (each: PlacedSection): NodeId[] => adultsOf(each).map(({ id }) => id);
  const replace = (before: PlacedSection, ids: readonly NodeId[]): void => {
    sections = sections.map((each) =>
      each === before ? section(before.prefix, before.generation + 1n, ids) : each,
    );
  };

  // The liars and their lies.
  const corrupt = new Map<NodeId, ReturnType<typeof withReplicationLie>>();
  for (let left = prng.below(3); left > 0; left--)
    corrupt.set(prng.pick(first), withReplicationLie(prng.pick(lies)));

  // Chunks and their copies: everything on the disk of a node that has not failed.
  const chunks = new Map<ItemId, Uint8Array>();
  const copies = new Map<ItemId, Set<NodeId>>();
  const inputs: { atMs: number; to: NodeId; input: SimAdult['input'] }[] = [];
  for (let n = 24 + prng.below(24); n > 0; n--) {
    const bytes = prng.bytes(chunkBytes);
    const item = chunkItem(bytes);
    chunks.set(itemId(item), item.name);
    copies.set(itemId(item), new Set());
    const atMs = prng.below(2_000);
    for (const { id } of holdersOf(sectionFor(item.name), item.name)) {
      inputs.push({ atMs, to: id, input: { kind: 'write', bytes } });
    }
  }
  const recordPrng = createPrng(seed ^ 0x2ec0);
  for (let n = 0; n < 4; n++) {
    const ownerSeed = labelledHash('safe/test/owner', utf8(`${seed} ${n}`));
    const signed = (version: bigint): Uint8Array =>
      encodePointer(signPointer(networkId, ownerSeed, version, recordPrng.bytes(8)));
    const [before, one, two] = [signed(1n), signed(2n), signed(2n)];
    const item = recordItem({ networkId }, one);
    chunks.set(itemId(item), item.name);
    copies.set(itemId(item), new Set());
    const line = holdersOf(sectionFor(item.name), item.name).map(({ id }) => id);
    for (const to of line)
      inputs.push({ atMs: recordPrng.below(1_000), to, input: recordOf(before) });
    const [a = '', b = '', c = '', d = ''] = line;
    for (const to of [c, d]) {
      inputs.push({ atMs: 1_500 + recordPrng.below(500), to, input: recordOf(one) });
    }
    const far = recordPrng.pick(first.filter((id) => !line.includes(id)));
    for (const to of [recordPrng.pick([b, d]), far]) {
      inputs.push({ atMs: 1_500 + recordPrng.below(500), to, input: recordOf(two) });
    }
    const elder = nameToId(elderNames[0] ?? new Uint8Array(32));
    // The closest holders missed it, and a repairing node asks them first.
    for (const to of [a, b]) {
      inputs.push({ atMs: 2_000, to, input: { kind: 'repair', elder, items: [item] } });
    }
  }
  const honestCopies = (id: ItemId): number =>
    [...(copies.get(id) ?? [])].filter((node) => !corrupt.has(node)).length;

  const stopped = new Set<NodeId>();
  const blamedBy = new Map<NodeId, Set<NodeId>>();
  const convicted = new Set<NodeId>();
  const leaving: { readonly atMs: number; readonly id: NodeId }[] = [];
  let nextActionMs = 5_000;
  let nextLookMs = 0;
  let splitAtMs = prng.chance(0.4) && adultCount >= 22 ? 15_000 + prng.below(15_000) : Infinity;
  let moved = 0;

  /** The disk as the node sees it; for a stopped node, as it was when it stopped. */
  const lastDisk = new Map<NodeId, AdultState['disk']>();
  /**
   * Items that an honest disk stored at least once: an item refused as full by all four was never
   * acknowledged.
   */
  const stored = new Set<ItemId>();
  const recount = (node: Node): void => {
    const { disk } = node.state;
    const before = lastDisk.get(node.id);
    if (before === disk) return;
    lastDisk.set(node.id, disk);
    for (const [id, { bytes }] of disk) {
      if (before?.get(id)?.bytes === bytes) continue;
      if (!copies.has(id)) reportViolation('an item on a disk was never stored');
      const kind = id.endsWith('c') ? 'chunk' : 'pointer';
      const name = chunks.get(id) ?? new Uint8Array(32);
      if (openItem(networkId, { kind, name }, bytes) === undefined) {
        reportViolation('N42: bytes that do not fit their name are on a disk');
      }
      copies.get(id)?.add(node.id);
      if (!corrupt.has(node.id)) stored.add(id);
    }
    for (const id of before?.keys() ?? []) {
      if (disk.has(id)) continue;
      copies.get(id)?.delete(node.id);
      if (honestCopies(id) === 0) reportViolation('N43: the last copy was dropped');
    }
  };

  const track = ({ node, faults }: Observation<AdultState, SimAdult>): void => {
    if (node.up) recount(node);
    if (node.honest) {
      for (const fault of faults) {
        const isProof = fault.kind !== 'missingCopy';
        if (isProof && !corrupt.has(fault.culprit))
          reportViolation(`an honest node was blamed: ${fault.kind}`);
        if (!corrupt.has(fault.culprit)) continue;
        const by = blamedBy.get(fault.culprit) ?? new Set();
        blamedBy.set(fault.culprit, by.add(node.id));
        if (isProof || by.size >= 3) convicted.add(fault.culprit);
      }
      const { received, inner } = node.state;
      const allowed = budget.budgetBurstBytes + budget.budgetBytesPerTick * (inner.tick + 1);
      if (received > allowed) reportViolation(`N43: ${received} bytes moved, ${allowed} allowed`);
    }
  };

  const stop = (id: NodeId, api: Api): void => {
    if (stopped.has(id)) return;
    stopped.add(id);
    moved += api.nodes().find((node) => node.id === id)?.state.received ?? 0;
    api.stop(id);
    for (const [chunk, own] of copies) {
      const had = own.delete(id) && !corrupt.has(id);
      if (had && honestCopies(chunk) === 0) reportViolation('a chunk was lost');
    }
    leaving.push({ atMs: api.nowMs + 500 + prng.below(2_500), id });
  };

  const act = (api: Api): void => {
    if (api.nowMs < nextActionMs) return;
    nextActionMs = api.nowMs + 1_000 + prng.below(4_000);
    const fewest = Math.min(...[...copies.keys()].map(honestCopies));
    const where = prng.pick(sections);
    const living = idsIn(where).filter((id) => !stopped.has(id) && !corrupt.has(id));
    if (prng.chance(0.4)) {
      const name = prng.pick([...chunks.values()]);
      const holders = holdersOf(sectionFor(name), name).filter(({ id }) => living.includes(id));
      const most = Math.min(3, fewest - 1, living.length - 8);
      // Three of one chunk's four holders: the largest simultaneous failure that must be survived.
      for (const { id } of holders.slice(0, Math.max(0, most))) stop(id, api);
    } else if (made < 60) {
      const id = create();
      const config = configs.get(id);
      const member = memberOf.get(id);
      if (config === undefined || member === undefined) return;
      api.spawn(id, config);
      const home = sectionFor(member.name);
      replace(home, [...idsIn(home), id]);
    }
  };

  const split = (api: Api): void => {
    const [whole] = sections;
    if (api.nowMs < splitAtMs || whole === undefined) return;
    splitAtMs = Infinity;
    const halves = ([0, 1] as const).map((bit) => child(EMPTY_PREFIX, bit));
    const ids = idsIn(whole);
    const named = halves.map((prefix) =>
      ids.filter((id) => matches(prefix, memberOf.get(id)?.name ?? new Uint8Array(32))),
    );
    if (named.some((half) => half.length < 9)) return;
    sections = halves.map((prefix, i) => section(prefix, whole.generation + 2n, named[i] ?? []));
  };

  const sendStates = (nodes: readonly Node[], api: Api): void => {
    for (const node of nodes) {
      if (!node.up || stopped.has(node.id)) continue;
      const name = memberOf.get(node.id)?.name ?? new Uint8Array(32);
      const own = sectionFor(name);
      const view = node.state.inner.view;
      const others = sections.filter((each) => each !== own);
      const isNew =
        view === null ||
        view.own.stateRef.generation < own.generation ||
        others.some((each, i) => (view.others[i]?.stateRef.generation ?? -1n) < each.generation);
      if (isNew) api.input(node.id, { kind: 'adopted', section: own, others }, prng.below(400));
    }
  };

  const react = (_: unknown, api: Api): void => {
    if (api.nowMs < nextLookMs) return;
    nextLookMs = api.nowMs + 500;
    if (api.nowMs < healAtMs) act(api);
    split(api);
    for (const id of convicted) stop(id, api);
    for (const { atMs, id } of leaving.splice(0)) {
      if (atMs > api.nowMs) leaving.push({ atMs, id });
      else {
        const home = sections.find((each) => idsIn(each).includes(id));
        if (home !== undefined)
          replace(
            home,
            idsIn(home).filter((each) => each !== id),
          );
      }
    }
    sendStates(api.nodes(), api);
  };

  const report = run<AdultConfig, AdultState, SimAdult>(
    {
      machine: simAdult,
      configs: new Map(configs),
      inputs,
      compute: (job) => job,
      corrupt,
      faults: {
        latencyMs: [5, 80],
        dropProbability: 0.05,
        duplicateProbability: 0.05,
        crashProbability: prng.chance(0.5) ? 0.0005 : 0,
        restartAfterMs: [200, 4_000],
        cutProbability: 0.01,
        computeMs: [0, 0],
        straggle: { probability: 0.02, upToMs: 3_000 },
        partition: { probability: 0.0002, forMs: [500, 5_000] },
      },
      healAtMs,
      endAtMs,
      react,
    },
    seed,
    track,
  );

  // REPLICATION-P3: four live copies; a liar among the holders may cost one until it is detected.
  let undelivered = 0;
  const alive = report.nodes.filter(({ id }) => !stopped.has(id));
  const full = new Set(
    alive.filter(({ state }) => state.inner.ownDiskFull.full).map(({ id }) => id),
  );
  for (const [id, name] of chunks) {
    if (!stored.has(id)) continue;
    const adults = adultsOf(sectionFor(name));
    const closest = [...adults].sort((a, b) => compareDistance(name, a.placement, b.placement));
    const line = closest.filter((each) => isHolder(adults, name, each.id, full));
    const liars = line.filter((each) => corrupt.has(each.id)).length;
    const own = copies.get(id) ?? new Set();
    const good = line.filter((each) => own.has(each.id) && !corrupt.has(each.id)).length;
    // N39: if every disk with space already has it, a fourth copy needs a new member, not a repair.
    const room = adults.some((each) => ![full, own, corrupt].some((those) => those.has(each.id)));
    if (good < copiesWanted - liars && room) undelivered += 1;
    const spare = [...own].filter(
      (each) => !corrupt.has(each) && !line.some((one) => one.id === each),
    );
    if (spare.length > 0 && liars === 0) undelivered += 1;
    // A full disk fetches nothing: readers ask it too, and take the newest version.
    const bodies = line
      .filter((each) => own.has(each.id) && !corrupt.has(each.id) && !full.has(each.id))
      .map((each) => toHex(lastDisk.get(each.id)?.get(id)?.bytes ?? new Uint8Array()));
    if (new Set(bodies).size > 1 && liars === 0) undelivered += 1;
  }
  for (const { state } of alive) moved += state.received;
  return { events: report.events, violations, undelivered, bytesMoved: moved };
}

export const replicationScenario: SimScenario = {
  name: 'replication',
  run: (seed) => runReplication(seed),
};
