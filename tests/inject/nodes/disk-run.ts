/** A storing node's chunks and facts on a real folder, with failing calls and power cuts. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { openChunks, type ChunkStore } from '#storage/node/chunks.ts';
import { openFacts, type FactStore } from '#storage/node/facts.ts';
import { clock } from '../clock.ts';
import { closeAll, cutPower, emptyDisk } from '../replaced/disk.ts';
import type { Fault, Interrupt, FaultRun, InjectScenario } from '../faults.ts';
import { never, Process, type Interruption, type Watcher } from '../process.ts';

const patienceMs = 10_000;
const bytesOf = (content: string): Uint8Array => utf8(content.repeat(500));
const nameOf = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest());
const address = 'ab'.repeat(32);

class DiskRun implements FaultRun, Watcher {
  readonly violations: string[] = [];
  readonly disk = emptyDisk();
  readonly #folder = mkdtempSync(join(tmpdir(), 'safe-inject-'));
  readonly #interrupt: Interrupt;
  #lasting: (label: string) => Interruption = () => ({});
  #isArmed = true;
  #process: Process | null = null;
  #chunks: ChunkStore | null = null;
  #facts: FactStore | null = null;
  /** Acknowledged items. */
  readonly #kept = new Map<string, Uint8Array>();
  readonly #removed = new Set<string>();
  readonly #acknowledged: string[] = [];
  #version = 0n;
  #once: string | null = null;

  constructor(interrupt: Interrupt) {
    this.#interrupt = interrupt;
    mkdirSync(join(this.#folder, 'chunks'));
  }

  reached(process: Process, label: string): Interruption {
    return this.#isArmed ? this.#interrupt(process, label) : {};
  }

  faultStillActive(_process: Process, label: string): Interruption {
    return this.#lasting(label);
  }

  injectFault(_process: Process, label: string, fault: Fault): Interruption {
    const isRead = /read|stat|SELECT/.test(label);
    const fail = {
      instead: () => {
        const code = isRead ? 'EIO' : 'ENOSPC';
        throw Object.assign(new Error(`${code}: the disk refuses`), { code });
      },
    };
    const cut = (): void => {
      this.#process?.kill();
      cutPower(this.disk);
      this.#process = null;
    };
    switch (fault) {
      case 'fails once':
        return fail;
      case 'fails from here on':
        this.#lasting = (other) => (other === label ? fail : {});
        return fail;
      case 'never answers':
        return label.startsWith('sql.') ? {} : { instead: never };
      case 'node restarts before':
        return { before: cut };
      case 'node restarts after':
        return { after: cut };
      default:
        return {};
    }
  }

  end(): void {
    this.#process?.kill();
    closeAll(this.disk);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async play(): Promise<void> {
    await this.#steps();
    this.#isArmed = false;
    this.#lasting = () => ({});
    this.#process?.kill();
    cutPower(this.disk);
    this.#process = null;
    await this.#look();
    // Every step must succeed again after the faults have ended.
    await this.#steps();
    await this.#look();
    for (const content of ['a', 'b', 'c']) {
      const isKept = this.#kept.has(toHex(nameOf(bytesOf(content))));
      if (content !== 'a' && !isKept) this.violations.push(`${content} cannot be stored any more`);
    }
    if (this.#once === null) this.violations.push('a fact cannot be kept any more');
  }

  async #steps(): Promise<void> {
    await this.#put('a');
    await Promise.all([this.#put('b'), this.#put('b'), this.#put('c')]);
    await this.#point();
    await this.#append('one');
    await this.#fill(this.#once ?? 'x');
    await this.#point();
    await this.#append('two');
    await this.#remove('a');
  }

  /** One request to the node: null when the node ends meanwhile or does not finish. */
  async #asked<T>(work: (chunks: ChunkStore, facts: FactStore) => Promise<T>): Promise<T | null> {
    if (this.#process === null || this.#process.isDead) this.#start();
    const [process, chunks, facts] = [this.#process, this.#chunks, this.#facts];
    if (process === null || chunks === null || facts === null) return null;
    const late = clock.wait(patienceMs).then(() => {
      if (process === this.#process) this.#process = null;
      process.kill();
      cutPower(this.disk);
      return null;
    });
    const answered = process.run(() => work(chunks, facts)).catch(() => null);
    return Promise.race([answered, process.died.then(() => null), late]);
  }

  #start(): void {
    const process = new Process('node', this, this);
    this.#process = process;
    [this.#chunks, this.#facts] = [null, null];
    process.run(() => {
      try {
        this.#facts = openFacts(join(this.#folder, 'facts'));
        this.#chunks = openChunks(join(this.#folder, 'chunks'));
      } catch {
        // A disk error at start-up ends the program with one line; it is started again.
        process.kill();
        if (this.#process === process) this.#process = null;
      }
    });
  }

  async #put(content: string): Promise<void> {
    const bytes = bytesOf(content);
    const name = nameOf(bytes);
    const stored = await this.#asked((chunks) => chunks.put(name, bytes));
    if (stored?.ok !== true) return;
    this.#kept.set(toHex(name), bytes);
    this.#removed.delete(toHex(name));
  }

  async #remove(content: string): Promise<void> {
    const name = nameOf(bytesOf(content));
    this.#kept.delete(toHex(name));
    const done = await this.#asked(async (chunks) => {
      await chunks.remove(name);
      return true;
    });
    if (done === true) this.#removed.add(toHex(name));
  }

  async #point(): Promise<void> {
    const version = this.#version + 1n;
    const stored = await this.#asked((_, facts) =>
      facts.putPointer(address, version, utf8(`version ${version}`)),
    );
    if (stored?.ok === true) this.#version = version;
  }

  async #append(content: string): Promise<void> {
    const done = await this.#asked(async (_, facts) => {
      await facts.appendWithOutput('machine', 'key', utf8(content), utf8(`entry ${content}`));
      return true;
    });
    if (done === true) this.#acknowledged.push(content);
  }

  async #fill(content: string): Promise<void> {
    const once = { slot: 'slot', value: utf8(content) };
    const done = await this.#asked(async (_, facts) => {
      await facts.appendOnce('machine', 'once', utf8(content), once);
      return true;
    });
    if (done === true) this.#once = content;
  }

  async #look(): Promise<void> {
    const say = (what: string): void => void this.violations.push(what);
    for (const [hex, bytes] of this.#kept) {
      const got = await this.#asked((chunks) => chunks.get(nameOf(bytes)));
      if (got?.ok !== true) say(`an acknowledged chunk is gone: ${hex.slice(0, 6)}`);
    }
    const pointer = await this.#asked((_, facts) => facts.getPointer(address));
    const version = Number(/\d+$/.exec(Buffer.from(pointer ?? []).toString())?.[0] ?? 0);
    if (version < this.#version) say(`version ${this.#version} of a record became ${version}`);
    const facts = (await this.#asked((_, store) => store.load('machine', 'key'))) ?? [];
    const texts = facts.map((fact) => Buffer.from(fact).toString());
    let at = -1;
    for (const content of this.#acknowledged) {
      at = texts.indexOf(content, at + 1);
      if (at < 0) say(`the fact ${content} is gone`);
    }
    const outputs = await this.#asked((_, store) => store.listOutputs(0, 16));
    if ((outputs?.entries.length ?? 0) < (this.#acknowledged.length > 0 ? 1 : 0))
      say('a list entry is gone');
    if (this.#once !== null) {
      const value = utf8('another');
      const done = await this.#asked(async (_, store) => {
        await store.appendOnce('machine', 'once', value, { slot: 'slot', value });
        return true;
      });
      if (done === true) say('a slot that was filled took another value');
    }
    const sizes = await this.#asked(async (chunks) => {
      let sum = 0;
      for await (const page of chunks.pages()) for (const { size } of page) sum += size;
      return [sum, chunks.usedBytes()];
    });
    if (sizes === null || sizes[0] !== sizes[1]) say(`sizes do not add up: ${sizes?.join(', ')}`);
    const left = readdirSync(join(this.#folder, 'chunks', 'new'));
    if (left.length > 0) say('something half written was left behind');
  }
}

export const diskScenarios: readonly InjectScenario[] = [
  { name: 'disk', begin: (interrupt) => new DiskRun(interrupt) },
];
