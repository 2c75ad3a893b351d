/**
 * Six adults and an elder, each composed as in the node, on folders that survive it. One holder
 * goes, another node comes, records get newer versions, and nodes restart meanwhile.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { err, type Result } from '#core/result.ts';
import { decodePointer, encodePointer, pointerAddress, signPointer } from '#data/pointer.ts';
import { countReceipts, storedChunk, storedPointer } from '#data/receipt.ts';
import type { DataRequest } from '#node/elder-data-service.ts';
import { holdersOf } from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { copiesRequired } from '#roles/placement.ts';
import type { ClientReply } from '#roles/wire/client.ts';
import { nameOf, networkId, sectionOf } from '../unit/node/data-nodes.ts';
import { clock } from './clock.ts';
import type { Fault, Interrupt, Run, Scenario } from './faults.ts';
import { never, type Interruption, type Process } from './process.ts';
import { answerLost, StoringNode, type StoringWorld } from './storing-node.ts';

const elder = 1;
/** The section before and after: one holder goes, another node comes. */
const gone = 11;
const came = 17;
const stayed = [12, 13, 14, 15, 16];
const before = sectionOf([elder], [gone, ...stayed], 1n);
const after = sectionOf([elder], [...stayed, came], 2n);

const latencyMs = 10;
/** As a node waits for another one (node.ts), and a client for an elder. */
const nodePatienceMs = 6_000;
const clientPatienceMs = 30_000;
/** Longer than it takes until members ask each other for lists again. */
const calmMs = 400_000;
const soonMs = 60_000;

/** What is put, with the newest state of it that was acknowledged. */
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

/** The first of these words whose name lies with the right nodes before and after. */
function wordPlaced(
  word: string,
  nameFor: (word: string) => Uint8Array,
  [withGone, withCame]: readonly [boolean, boolean],
): string {
  for (let n = 0; ; n++) {
    const name = nameFor(`${word} ${n}`);
    const fits = isHeldBy(before, name, gone) === withGone;
    if (fits && isHeldBy(after, name, came) === withCame) return `${word} ${n}`;
  }
}

const hashOf = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest());
const bytesOf = (word: string): Uint8Array => utf8(word.repeat(300));
const chunkNameOf = (word: string): Uint8Array => hashOf(bytesOf(word));
const recordOf = (word: string, version: bigint) =>
  signPointer(networkId, hashOf(utf8(word)), version, utf8(`${word}, version ${version}`));
const addressOf = (word: string): Uint8Array => pointerAddress(networkId, recordOf(word, 1n).owner);

/** `moved`: the newcomer takes the place of the holder that goes; `surplus`: it makes one copy too many. */
const words = {
  moved: wordPlaced('moved', chunkNameOf, [true, true]),
  inherited: wordPlaced('inherited', chunkNameOf, [true, false]),
  surplus: wordPlaced('surplus', chunkNameOf, [false, true]),
  late: wordPlaced('late', chunkNameOf, [true, true]),
  again: wordPlaced('again', chunkNameOf, [true, true]),
  diary: wordPlaced('diary', addressOf, [true, true]),
  letter: wordPlaced('letter', addressOf, [false, true]),
};

class HoldersRun implements Run, StoringWorld {
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

  still(process: Process, label: string): Interruption {
    return this.#lasting(process, label);
  }

  strike(process: Process, label: string, fault: Fault): Interruption {
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
        // A database call does not wait; what is asked of a peer is done, and its answer is lost.
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

  async tell(): Promise<void> {
    for (const byte of [elder, gone, ...stayed]) this.#add(byte);
    void this.#manage();
    await clock.wait(2_000);
    await this.#story();
    this.#isArmed = false;
    this.#lasting = () => ({});
    for (const node of this.#nodes.values()) if (node.isStuck) node.cut();
    await clock.wait(5_000);
    const ended = this.#lives();
    // Without a restart: what was refused or lost has to come back by itself.
    await clock.wait(calmMs);
    await this.#look('after the faults');
    if (this.#lives() !== ended) this.say('a node ended although nothing failed any more');
    for (const node of this.#nodes.values()) node.cut();
    await clock.wait(soonMs);
    await this.#look('after all restarted');
    await this.#lookForSurplus();
    await this.#resume();
  }

  say(what: string): void {
    if (!this.violations.includes(what)) this.violations.push(what);
  }

  /** A holder has what it signed a receipt for: checked before it can fetch it from another one. */
  async started(node: StoringNode): Promise<void> {
    for (const { what, kind, name, receipts } of this.#kept.values()) {
      const version = receipts.get(node.id);
      if (version === undefined || !isHeldBy(this.#section, name, node.byte)) continue;
      if ((await node.versionOnDisk(kind, name)) < version) {
        this.say(`a receipt was signed for ${what}, and a restart took it away`);
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

  #lives(): number {
    return [...this.#nodes.values()].reduce((sum, { lives }) => sum + lives, 0);
  }

  /** As a service manager does: a program that ended is started again. */
  async #manage(): Promise<void> {
    for (;;) {
      await clock.wait(1_000);
      if (this.#isOver) return;
      for (const node of this.#nodes.values()) if (node.isDead) node.start(this.#section);
    }
  }

  async #story(): Promise<void> {
    await Promise.all([this.#put(words.moved), this.#put(words.inherited)]);
    await Promise.all([this.#point(words.diary), this.#point(words.letter)]);
    const [restarted] = holdersOf(before, chunkNameOf(words.moved)).filter(
      ({ id }) => id !== nameToId(nameOf(gone)),
    );
    this.#nodes.get(restarted?.id ?? '')?.cut();
    await clock.wait(3_000);
    await this.#put(words.surplus);
    await this.#point(words.diary);
    await this.#move();
    await this.#put(words.late);
    await this.#point(words.diary);
    await clock.wait(20_000);
    await this.#point(words.letter);
    await clock.wait(5_000);
    await this.#read();
  }

  /** The next state; the nodes adopt it one after another. */
  async #move(): Promise<void> {
    this.#section = after;
    this.#nodes.get(nameToId(nameOf(gone)))?.end();
    this.#nodes.delete(nameToId(nameOf(gone)));
    for (const node of this.#nodes.values()) {
      node.adopt(after);
      await clock.wait(50);
    }
    this.#add(came);
    await clock.wait(500);
  }

  async #ask(request: DataRequest): Promise<ClientReply | null> {
    const node = this.#nodes.get(nameToId(nameOf(elder)));
    const late = clock.wait(clientPatienceMs).then(() => null);
    return Promise.race([node?.answer(request) ?? null, late]);
  }

  async #put(word: string): Promise<boolean> {
    const bytes = bytesOf(word);
    const name = chunkNameOf(word);
    const reply = await this.#ask({ kind: 'putChunk', name, bytes });
    return this.#note({ what: word, kind: 'chunk', name }, 1n, storedChunk(name), reply);
  }

  /** The version after the last one that was acknowledged: the same one again if it was not. */
  async #point(word: string): Promise<boolean> {
    const name = addressOf(word);
    const version = (this.#kept.get(word)?.version ?? 0n) + 1n;
    const record = recordOf(word, version);
    const reply = await this.#ask({ kind: 'putPointer', record: encodePointer(record) });
    const thing = storedPointer(networkId, record);
    return this.#note({ what: word, kind: 'pointer', name }, version, thing, reply);
  }

  #note(
    { what, kind, name }: Pick<Kept, 'what' | 'kind' | 'name'>,
    version: bigint,
    thing: Parameters<typeof countReceipts>[2],
    reply: ClientReply | null,
  ): boolean {
    if (reply?.kind !== 'stored' && reply?.kind !== 'pointerStored') return false;
    const { stamp, receipts } = reply;
    const holders = countReceipts(networkId, stamp, thing, receipts, () => true);
    if (holders.length < copiesRequired) {
      this.say(`the elder answered "stored" with ${holders.length} genuine receipts`);
      return false;
    }
    const kept = this.#kept.get(what) ?? { what, kind, name, version, receipts: new Map() };
    kept.version = version;
    for (const holder of holders) kept.receipts.set(nameToId(holder), version);
    this.#kept.set(what, kept);
    return true;
  }

  /** As a client reads; true for what it gets at least as new as it was acknowledged. */
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

  /** Everything acknowledged is with its holders, and the elder gives it. */
  async #look(when: string): Promise<void> {
    for (const kept of this.#kept.values()) {
      const { what, kind, name, version } = kept;
      for (const { id } of holdersOf(this.#section, name)) {
        const node = this.#nodes.get(id);
        const held = await node?.versionOnDisk(kind, name);
        if (held === undefined || held < version) {
          this.say(`${what} is not with its holder ${node?.byte} ${when}`);
        }
      }
      if (!(await this.#isGiven(kept))) this.say(`${what} is not given ${when}`);
    }
  }

  /** A node that is no holder any more has handed its copy over and given its space back. */
  async #lookForSurplus(): Promise<void> {
    for (const { what, kind, name } of this.#kept.values()) {
      for (const node of this.#nodes.values()) {
        if (isHeldBy(this.#section, name, node.byte)) continue;
        if ((await node.versionOnDisk(kind, name)) > 0n) {
          this.say(`${what} is still with ${node.byte}, which is no holder of it`);
        }
      }
    }
  }

  /** Everything can be put once more, and one thing that was not there yet. */
  async #resume(): Promise<void> {
    for (const word of [words.moved, words.inherited, words.surplus, words.late, words.again]) {
      if (!(await this.#put(word))) this.say(`${word} cannot be stored any more`);
    }
    for (const word of [words.diary, words.letter]) {
      if (!(await this.#point(word))) this.say(`${word} cannot be moved on any more`);
    }
    await clock.wait(soonMs);
    await this.#look('at the end');
  }
}

export const holderScenarios: readonly Scenario[] = [
  { name: 'holders', begin: (interrupt) => new HoldersRun(interrupt) },
];
