/** One storing node over all its restarts, composed as in `src/node/node.ts`, without a network. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { err, ok, type Result } from '#core/result.ts';
import { decodePointer } from '#data/pointer-record.ts';
import { createElderData, type DataRequest } from '#node/chunk-storage/elder-data-service.ts';
import type { Metrics } from '#node/monitoring/metrics.ts';
import { openStorageRole } from '#node/chunk-storage/storage-role.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import type { ClientReply } from '#roles/wire/client.ts';
import { encodeNodeRequest } from '#roles/wire/node-requests.ts';
import { openFacts, type FactStore } from '#storage/node/facts.ts';
import { nameOf, networkId, seedOf } from '../../unit/node/data-nodes.ts';
import { clock } from '../clock.ts';
import { closeAll, cutPower, emptyDisk } from '../replaced/disk.ts';
import { Process, site, type Watcher } from '../process.ts';
import { silentLog } from '../../support/silent-log.ts';

/** A peer executed the request, and its answer is lost. */
export const answerLost = Symbol('answer lost');

export interface StoringWorld extends Watcher {
  /** Resolves within a node's request timeout. */
  readonly deliver: (
    from: StoringNode,
    to: Uint8Array,
    bytes: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  /** A new process has opened its disk and has not adopted a state yet. */
  readonly started: (node: StoringNode) => Promise<void>;
  readonly report: (violation: string) => void;
}

interface NodeRun {
  readonly facts: FactStore;
  readonly storing: Awaited<ReturnType<typeof openStorageRole>>;
  readonly elder: ((request: DataRequest) => Promise<ClientReply>) | null;
}

const dataLimitBytes = 8 * 1024 * 1024;
const noMetrics: Metrics = {
  count: () => undefined,
  gauge: () => undefined,
};

export class StoringNode {
  readonly byte: number;
  readonly id: NodeId;
  readonly name: Uint8Array;
  readonly disk = emptyDisk();
  /** True when a disk call never returns. */
  isStuck = false;
  /** Starts so far. */
  starts = 0;
  readonly #folder: string;
  readonly #isElder: boolean;
  readonly #world: StoringWorld;
  #process: Process | null = null;
  #run: NodeRun | null = null;
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
    this.#run = null;
    this.#section = null;
    this.starts += 1;
    // A failed start ends the program; it is started again.
    process.run(() => this.#open(process, section)).catch(() => process.kill());
  }

  /** Cuts the power. */
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
    const [process, run] = [this.#process, this.#run];
    if (process === null || run === null) return;
    this.#section = section;
    process.run(() => void run.storing.replication.adoptState(section, []));
  }

  /** As its peers see it: no answer when the node ends meanwhile. */
  async handle(bytes: Uint8Array, from: Uint8Array): Promise<Result<Uint8Array, 'gone'>> {
    const [process, run] = [this.#process, this.#run];
    if (process === null || process.isDead || run === null) return err('gone');
    const answered = process.run(() => run.storing.adult.handle(bytes, from));
    const noAnswer = process.died.then(() => err('gone' as const));
    return Promise.race([answered.then(ok, () => err('gone' as const)), noAnswer]);
  }

  /** As a client sees it when this node is the elder. */
  async answer(request: DataRequest): Promise<ClientReply | null> {
    const [process, elder] = [this.#process, this.#run?.elder ?? null];
    if (process === null || process.isDead || elder === null) return null;
    return Promise.race([process.run(() => elder(request)), process.died.then(() => null)]);
  }

  /** The version of a record, 1 for a chunk, 0 if absent. Read directly from the disk. */
  async versionOnDisk(kind: 'chunk' | 'pointer', name: Uint8Array): Promise<bigint> {
    if (kind === 'pointer') {
      const record = (await this.#run?.facts.getPointer(toHex(name))) ?? null;
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
    const storing = await openStorageRole(
      {
        identity: {
          label: `node ${this.byte}`,
          folder: this.#folder,
          ...{ seed: seedOf(this.byte), name: this.name },
          sharing: { secret: new Uint8Array(32), key: new Uint8Array(32) },
        },
        anchor: { networkId, genesisKey: section.key },
        ...{ facts, log: silentLog, metrics: noMetrics, dataLimitBytes },
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
          onStored: storing.auditor.addStored,
          repair: storing.replication.repair,
          misbehaved: (culprit, issue) => this.#misbehaved(culprit, issue),
          log: silentLog,
        })
      : null;
    if (process.isDead) return;
    this.#run = { facts, storing, elder };
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

  /**
   * The faults cause missing data and missing answers, never false data: all nodes here are honest.
   */
  #misbehaved(_culprit: NodeId, issue: string): void {
    if (issue === 'provable')
      this.#world.report('an honest node was reported for provable misbehaviour');
  }

  #blamed(kind: string, culprit: NodeId): void {
    this.#world.report(`an honest node was blamed: ${kind} ${culprit.slice(0, 4)}`);
  }
}
