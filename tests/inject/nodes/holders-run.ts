/**
 * Six adults and an elder, each composed as in the node, on folders that survive it. One holder
 * leaves, another node joins, records get newer versions, and nodes restart meanwhile.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { err, type Result } from '#core/result.ts';
import { decodePointer, encodePointer, pointerAddress, signPointer } from '#data/pointer-record.ts';
import { storedChunk, storedPointer } from '#data/storage-receipt.ts';
import type { DataRequest } from '#node/chunk-storage/elder-data-service.ts';
import { holdersOf } from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { copiesRequired } from '#roles/holder-candidates.ts';
import type { ClientReply } from '#roles/wire/client.ts';
import { nameOf, networkId, sectionOf } from '../../unit/node/data-nodes.ts';
import { clock } from '../clock.ts';
import type { Fault, Interrupt, FaultRun, InjectScenario } from '../faults.ts';
import { never, type Interruption, type Process } from '../process.ts';
import { answerLost, StoringNode, type StoringWorld } from './storing-node.ts';
import { countReceipts } from '../../support/receipts.ts';

const elder = 1;
/** The section before and after: one holder leaves, another node joins. */
const leavingNode = 11;
const joiningNode = 17;
const stayingNodes = [12, 13, 14, 15, 16];
const before = sectionOf([elder], [leavingNode, ...stayingNodes], 1n);
const after = sectionOf([elder], [...stayingNodes, joiningNode], 2n);

const latencyMs = 10;
/** The timeouts of a node for another node (src/node/node.ts), and of a client for an elder. */
const nodePatienceMs = 6_000;
const clientPatienceMs = 30_000;
/** Longer than the interval at which members request each other's lists. */
const settleMs = 400_000;
const soonMs = 60_000;

/** A stored item with its newest acknowledged state. */
interface Kept {
  readonly what: string;
  readonly kind: 'chunk' | 'pointer';
  readonly name: Uint8Array;
  /** Of a record; 0 while nothing is acknowledged. A chunk has the version 1. */
  version: bigint;
  /** By holder: the newest version that it has signed a receipt for. */
  readonly receipts: Map<string, bigint>;
}

const isHeldBy = (section: SectionAuthority, name: Uint8Array, byte: number): boolean =>
  holdersOf(section, name).some(({ id }) => id === nameToId(nameOf(byte)));

/** The first numbered seed whose name has the wanted holders before and after. */
function seedPlaced(
  seed: string,
  nameFor: (seed: string) => Uint8Array,
  [withGone, withCame]: readonly [boolean, boolean],
): string {
  for (let n = 0; ; n++) {
    const name = nameFor(`${seed} ${n}`);
    const fits = isHeldBy(before, name, leavingNode) === withGone;
    if (fits && isHeldBy(after, name, joiningNode) === withCame) return `${seed} ${n}`;
  }
}

const hashOf = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest());
const bytesOf = (seed: string): Uint8Array => utf8(seed.repeat(300));
const chunkNameOf = (seed: string): Uint8Array => hashOf(bytesOf(seed));
const recordOf = (seed: string, version: bigint) =>
  signPointer(networkId, hashOf(utf8(seed)), version, utf8(`${seed}, version ${version}`));
const addressOf = (seed: string): Uint8Array => pointerAddress(networkId, recordOf(seed, 1n).owner);

/**
 * `moved`: the joining node replaces the leaving holder; `inherited`: another member does;
 * `surplus`: the joining node makes one copy too many.
 */
const seeds = {
  moved: seedPlaced('moved', chunkNameOf, [true, true]),
  inherited: seedPlaced('inherited', chunkNameOf, [true, false]),
  surplus: seedPlaced('surplus', chunkNameOf, [false, true]),
  late: seedPlaced('late', chunkNameOf, [true, true]),
  again: seedPlaced('again', chunkNameOf, [true, true]),
  diary: seedPlaced('diary', addressOf, [true, true]),
  letter: seedPlaced('letter', addressOf, [false, true]),
};

class HoldersRun implements FaultRun, StoringWorld {
  readonly violations: string[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), 'safe-holders-'));
  readonly #nodes = new Map<string, StoringNode>();
  readonly #interrupt: Interrupt;
  readonly #kept = new Map<string, Kept>();
  #lasting: (process: Process, label: string) => Interruption = () => ({});
  #isArmed = true;
  #isOver = false;
  #section = before;

  constructor(interrupt: Interrupt) {
    this.#interrupt = interrupt;
  }

  reached(process: Process, label: string): Interruption {
    return this.#isArmed ? this.#interrupt(process, label) : {};
  }

  faultStillActive(process: Process, label: string): Interruption {
    return this.#lasting(process, label);
  }

  injectFault(process: Process, label: string, fault: Fault): Interruption {
    const node = process.device as StoringNode;
    const isNet = label.startsWith('net.');
    const fail: Interruption = {
      instead: () => {
        if (label === 'net.request') return err('gone');
        if (isNet) return undefined;
        const code = /read|stat/.test(label) ? 'EIO' : 'ENOSPC';
        throw Object.assign(new Error(`${code}: the disk refuses`), { code });
      },
    };
    switch (fault) {
      case 'fails once':
        return fail;
      case 'fails from here on':
        this.#lasting = (other, name) => (other.device === node && name === label ? fail : {});
        return fail;
      case 'never answers':
        // A database call does not wait; a peer executes the request, and its answer is lost.
        if (label.startsWith('sql.')) return {};
        if (isNet) return { instead: () => answerLost };
        node.isStuck = true;
        return { instead: never };
      case 'node restarts before':
        return { before: () => node.cut() };
      case 'node restarts after':
        return { after: () => node.cut() };
      default:
        return {};
    }
  }

  end(): void {
    this.#isOver = true;
    for (const node of this.#nodes.values()) node.end();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async play(): Promise<void> {
    for (const byte of [elder, leavingNode, ...stayingNodes]) this.#add(byte);
    void this.#manage();
    await clock.wait(2_000);
    await this.#story();
    this.#isArmed = false;
    this.#lasting = () => ({});
    for (const node of this.#nodes.values()) if (node.isStuck) node.cut();
    await clock.wait(5_000);
    const ended = this.#starts();
    // No restart: recovery from rejected and lost calls must be automatic.
    await clock.wait(settleMs);
    await this.#look('after the faults');
    if (this.#starts() !== ended) this.report('a node ended although nothing failed any more');
    for (const node of this.#nodes.values()) node.cut();
    await clock.wait(soonMs);
    await this.#look('after all restarted');
    await this.#lookForSurplus();
    await this.#resume();
  }

  report(what: string): void {
    if (!this.violations.includes(what)) this.violations.push(what);
  }

  /**
   * A holder must have every item it signed a receipt for: checked before it can fetch from others.
   */
  async started(node: StoringNode): Promise<void> {
    for (const { what, kind, name, receipts } of this.#kept.values()) {
      const version = receipts.get(node.id);
      if (version === undefined || !isHeldBy(this.#section, name, node.byte)) continue;
      if ((await node.versionOnDisk(kind, name)) < version) {
        this.report(`a receipt was signed for ${what}, and a restart took it away`);
      }
    }
  }

  async deliver(from: StoringNode, to: Uint8Array, bytes: Uint8Array) {
    await clock.wait(latencyMs);
    const peer = this.#nodes.get(nameToId(to));
    const answer = peer?.handle(bytes, from.name) ?? Promise.resolve(err('gone' as const));
    const late = clock.wait(nodePatienceMs).then(() => err('timeout' as const));
    return Promise.race<Result<Uint8Array, unknown>>([answer, late]);
  }

  #add(byte: number): StoringNode {
    const node = new StoringNode(byte, join(this.#folder, String(byte)), byte === elder, this);
    this.#nodes.set(node.id, node);
    node.start(this.#section);
    return node;
  }

  #starts(): number {
    return [...this.#nodes.values()].reduce((sum, { starts }) => sum + starts, 0);
  }

  /** As a service manager: restarts programs that ended. */
  async #manage(): Promise<void> {
    for (;;) {
      await clock.wait(1_000);
      if (this.#isOver) return;
      for (const node of this.#nodes.values()) if (node.isDead) node.start(this.#section);
    }
  }

  async #story(): Promise<void> {
    await Promise.all([this.#put(seeds.moved), this.#put(seeds.inherited)]);
    await Promise.all([this.#point(seeds.diary), this.#point(seeds.letter)]);
    const [restarted] = holdersOf(before, chunkNameOf(seeds.moved)).filter(
      ({ id }) => id !== nameToId(nameOf(leavingNode)),
    );
    this.#nodes.get(restarted?.id ?? '')?.cut();
    await clock.wait(3_000);
    await this.#put(seeds.surplus);
    await this.#point(seeds.diary);
    await this.#move();
    await this.#put(seeds.late);
    await this.#point(seeds.diary);
    await clock.wait(20_000);
    await this.#point(seeds.letter);
    await clock.wait(5_000);
    await this.#read();
  }

  /** The next state; the nodes adopt it one after another. */
  async #move(): Promise<void> {
    this.#section = after;
    this.#nodes.get(nameToId(nameOf(leavingNode)))?.end();
    this.#nodes.delete(nameToId(nameOf(leavingNode)));
    for (const node of this.#nodes.values()) {
      node.adopt(after);
      await clock.wait(50);
    }
    this.#add(joiningNode);
    await clock.wait(500);
  }

  async #ask(request: DataRequest): Promise<ClientReply | null> {
    const node = this.#nodes.get(nameToId(nameOf(elder)));
    const late = clock.wait(clientPatienceMs).then(() => null);
    return Promise.race([node?.answer(request) ?? null, late]);
  }

  async #put(seed: string): Promise<boolean> {
    const bytes = bytesOf(seed);
    const name = chunkNameOf(seed);
    const reply = await this.#ask({ kind: 'putChunk', name, bytes });
    return this.#note({ what: seed, kind: 'chunk', name }, 1n, storedChunk(name), reply);
  }

  /**
   * Writes the version after the last acknowledged one; without an acknowledgement the same one
   * again.
   */
  async #point(seed: string): Promise<boolean> {
    const name = addressOf(seed);
    const version = (this.#kept.get(seed)?.version ?? 0n) + 1n;
    const record = recordOf(seed, version);
    const reply = await this.#ask({ kind: 'putPointer', record: encodePointer(record) });
    const thing = storedPointer(networkId, record);
    return this.#note({ what: seed, kind: 'pointer', name }, version, thing, reply);
  }

  #note(
    { what, kind, name }: Pick<Kept, 'what' | 'kind' | 'name'>,
    version: bigint,
    thing: Parameters<typeof countReceipts>[2],
    reply: ClientReply | null,
  ): boolean {
    if (reply?.kind !== 'stored' && reply?.kind !== 'pointerStored') return false;
    const { stateRef, receipts } = reply;
    const holders = countReceipts(networkId, stateRef, thing, receipts, () => true);
    if (holders.length < copiesRequired) {
      this.report(`the elder answered "stored" with ${holders.length} genuine receipts`);
      return false;
    }
    const kept = this.#kept.get(what) ?? { what, kind, name, version, receipts: new Map() };
    kept.version = version;
    for (const holder of holders) kept.receipts.set(nameToId(holder), version);
    this.#kept.set(what, kept);
    return true;
  }

  /** Reads as a client; true if the result is at least as new as the acknowledged version. */
  async #isGiven({ kind, name, version }: Kept): Promise<boolean> {
    if (kind === 'chunk') {
      return (await this.#ask({ kind: 'getChunk', name, avoid: [] }))?.kind === 'chunk';
    }
    const reply = await this.#ask({ kind: 'getPointer', address: name });
    if (reply?.kind !== 'pointers') return false;
    return reply.copies.some(({ record }) => {
      const copy = record === null ? null : decodePointer(record);
      return copy?.ok === true && copy.value.version >= version;
    });
  }

  async #read(): Promise<void> {
    for (const kept of this.#kept.values()) await this.#isGiven(kept);
  }

  /** Every acknowledged item must be with its holders and served by the elder. */
  async #look(when: string): Promise<void> {
    for (const kept of this.#kept.values()) {
      const { what, kind, name, version } = kept;
      for (const { id } of holdersOf(this.#section, name)) {
        const node = this.#nodes.get(id);
        const held = await node?.versionOnDisk(kind, name);
        if (held === undefined || held < version) {
          this.report(`${what} is not with its holder ${node?.byte} ${when}`);
        }
      }
      if (!(await this.#isGiven(kept))) this.report(`${what} is not given ${when}`);
    }
  }

  /** A node that is no longer a holder must have passed its copy on and freed the space. */
  async #lookForSurplus(): Promise<void> {
    for (const { what, kind, name } of this.#kept.values()) {
      for (const node of this.#nodes.values()) {
        if (isHeldBy(this.#section, name, node.byte)) continue;
        if ((await node.versionOnDisk(kind, name)) > 0n) {
          this.report(`${what} is still with ${node.byte}, which is no holder of it`);
        }
      }
    }
  }

  /** Every item can be stored again, and so can a new one. */
  async #resume(): Promise<void> {
    for (const seed of [seeds.moved, seeds.inherited, seeds.surplus, seeds.late, seeds.again]) {
      if (!(await this.#put(seed))) this.report(`${seed} cannot be stored any more`);
    }
    for (const seed of [seeds.diary, seeds.letter]) {
      if (!(await this.#point(seed))) this.report(`${seed} cannot be moved on any more`);
    }
    await clock.wait(soonMs);
    await this.#look('at the end');
  }
}

export const holderScenarios: readonly InjectScenario[] = [
  { name: 'holders', begin: (interrupt) => new HoldersRun(interrupt) },
];
