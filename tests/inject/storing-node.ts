/** One storing node over all its lives, as `src/node/node.ts` puts it together, without a network. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { err, ok, type Result } from '#core/result.ts';
import { decodePointer } from '#data/pointer.ts';
import { createElderData, type DataRequest } from '#node/elder-data-service.ts';
import { silentLog } from '#node/log.ts';
import type { Metrics } from '#node/metrics.ts';
import { openStoring } from '#node/storing.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import type { ClientReply } from '#roles/wire/client.ts';
import { encodeNodeRequest } from '#roles/wire/node.ts';
import { openFacts, type FactStore } from '#storage/node/facts.ts';
import { nameOf, networkId, seedOf } from '../unit/node/data-nodes.ts';
import { clock } from './clock.ts';
import { closeAll, cutPower, emptyDisk } from './disk.ts';
import { Process, site, type Watcher } from './process.ts';

/** A peer has done what it was asked, and its answer never comes. */
export const answerLost = Symbol('answer lost');

export interface StoringWorld extends Watcher {
  /** Resolves within the patience of a node. */
  readonly deliver: (
    from: StoringNode,
    to: Uint8Array,
    bytes: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  /** A new process has opened its disk and has not adopted a state yet. */
  readonly started: (node: StoringNode) => Promise<void>;
  readonly say: (violation: string) => void;
}

interface Life {
  readonly facts: FactStore;
  readonly storing: Awaited<ReturnType<typeof openStoring>>;
  readonly elder: ((request: DataRequest) => Promise<ClientReply>) | null;
}

const dataLimitBytes = 8 * 1024 * 1024;
const silentMetrics: Metrics = {
  count: () => undefined,
  gauge: () => undefined,
  toText: () => '',
  toNumbers: () => ({}),
  stop: () => undefined,
};

export class StoringNode {
  readonly byte: number;
  readonly id: NodeId;
  readonly name: Uint8Array;
  readonly disk = emptyDisk();
  /** A call of the disk never comes back. */
  isStuck = false;
  /** Starts so far. */
  lives = 0;
  readonly #folder: string;
  readonly #isElder: boolean;
  readonly #world: StoringWorld;
  #process: Process | null = null;
  #life: Life | null = null;
  #section: SectionAuthority | null = null;

  constructor(byte: number, folder: string, isElder: boolean, world: StoringWorld) {
    this.byte = byte;
    this.name = nameOf(byte);
    this.id = nameToId(this.name);
    this.#folder = folder;
    this.#isElder = isElder;
    this.#world = world;
    mkdirSync(folder);
  }

  get isDead(): boolean {
    return this.#process?.isDead ?? true;
  }

  start(section: SectionAuthority): void {
    const process = new Process('node', this, this.#world);
    this.#process = process;
    this.#life = null;
    this.#section = null;
    this.lives += 1;
    // A start that fails ends the program; it is started again.
    process.run(() => this.#open(process, section)).catch(() => process.kill());
  }

  /** The power fails. */
  cut(): void {
    this.#process?.kill();
    cutPower(this.disk);
    this.isStuck = false;
  }

  end(): void {
    this.#process?.kill();
    closeAll(this.disk);
  }

  adopt(section: SectionAuthority): void {
    const [process, life] = [this.#process, this.#life];
    if (process === null || life === null) return;
    this.#section = section;
    process.run(() => void life.storing.replication.adopted(section, []));
  }

  /** As its peers see it: no answer when it ends meanwhile. */
  async handle(bytes: Uint8Array, from: Uint8Array): Promise<Result<Uint8Array, 'gone'>> {
    const [process, life] = [this.#process, this.#life];
    if (process === null || process.isDead || life === null) return err('gone');
    const answered = process.run(() => life.storing.adult.handle(bytes, from));
    const silence = process.died.then(() => err('gone' as const));
    return Promise.race([answered.then(ok, () => err('gone' as const)), silence]);
  }

  /** As a client sees it when this node is the elder. */
  async answer(request: DataRequest): Promise<ClientReply | null> {
    const [process, elder] = [this.#process, this.#life?.elder ?? null];
    if (process === null || process.isDead || elder === null) return null;
    return Promise.race([process.run(() => elder(request)), process.died.then(() => null)]);
  }

  /** The version of a record, 1 for a chunk, 0 for what is not there. Read past the node. */
  async versionOnDisk(kind: 'chunk' | 'pointer', name: Uint8Array): Promise<bigint> {
    if (kind === 'pointer') {
      const record = (await this.#life?.facts.getPointer(toHex(name))) ?? null;
      const decoded = record === null ? null : decodePointer(record);
      return decoded?.ok === true ? decoded.value.version : 0n;
    }
    const hex = toHex(name);
    try {
      const bytes = readFileSync(join(this.#folder, 'chunks', hex.slice(0, 2), hex));
      return createHash('sha256').update(bytes).digest('hex') === hex ? 1n : 0n;
    } catch {
      return 0n;
    }
  }

  async #open(process: Process, section: SectionAuthority): Promise<void> {
    const facts = openFacts(join(this.#folder, 'facts'));
    const request = (to: Uint8Array, bytes: Uint8Array) => this.#request(to, bytes);
    const storing = await openStoring(
      {
        identity: {
          label: `node ${this.byte}`,
          folder: this.#folder,
          ...{ seed: seedOf(this.byte), name: this.name },
          sharing: { secret: new Uint8Array(32), key: new Uint8Array(32) },
        },
        anchor: { networkId, genesisKey: section.key },
        ...{ facts, log: silentLog, metrics: silentMetrics, dataLimitBytes },
      },
      {
        isElder: (each) =>
          this.#section?.elders.some(({ name }) => nameToId(name) === nameToId(each)) === true,
        send: (to, message) => this.#send(to, message),
        request,
        section: () => (this.#isElder ? this.#section : null),
        behind: () => undefined,
        misbehaved: (culprit, issue) => this.#misbehaved(culprit, issue),
        blamed: (kind, culprit) => this.#blamed(kind, culprit),
      },
    );
    const elder = this.#isElder
      ? createElderData({
          label: 'elder',
          authority: () => this.#section ?? section,
          request,
          full: storing.replication.full,
          onStored: storing.auditor.noticed,
          repair: storing.replication.repair,
          misbehaved: (culprit, issue) => this.#misbehaved(culprit, issue),
          log: silentLog,
        })
      : null;
    if (process.isDead) return;
    this.#life = { facts, storing, elder };
    await this.#world.started(this);
    this.adopt(section);
  }

  async #request(to: Uint8Array, bytes: Uint8Array): Promise<Result<Uint8Array, unknown>> {
    const work = (): Promise<Result<Uint8Array, unknown>> => this.#world.deliver(this, to, bytes);
    type Answer = Awaited<ReturnType<typeof work>> | typeof answerLost;
    const answer = (await site('net.request', work, [], false)) as Answer;
    if (answer !== answerLost) return answer;
    await work();
    await clock.wait(6_000);
    return err('silent');
  }

  #send(to: NodeId, message: Uint8Array): void {
    const target = fromHex(to);
    if (!target.ok) return;
    const bytes = encodeNodeRequest({ kind: 'deliver', protocol: 'replication', message });
    void site('net.send', () => this.#world.deliver(this, target.value, bytes), [], false);
  }

  /** Missing data and silence follow from the faults; false data do not, and all nodes here are honest. */
  #misbehaved(_culprit: NodeId, issue: string): void {
    if (issue === 'falsehood') this.#world.say('a falsehood of an honest node was reported');
  }

  #blamed(kind: string, culprit: NodeId): void {
    this.#world.say(`an honest node was blamed: ${kind} ${culprit.slice(0, 4)}`);
  }
}
