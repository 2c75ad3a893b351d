/** One run of a story: devices, a network, and the conditions at its end. */
import type { VaultView } from '#bridge/vault.ts';
import type { CallInput } from '#bridge/worker-calls.ts';
import { toHex } from '#core/codec/bytes.ts';
import { Secret } from '#core/secret.ts';
import { STRETCH_STANDARD } from '#crypto/stretch-parameters.ts';
import { decodePointer, pointerAddress } from '#data/pointer-record.ts';
import { addressOf } from '#money/wallet-address.ts';
import { formatAmount } from '#money/amount.ts';
import type { CommittedTransaction } from '#money/spend-certificate.ts';
import { walletKeys, type WalletKeys } from '#money/wallet-keys.ts';
import { stretchUnchecked } from '#runtime/jobs/argon2.ts';
import { StrongKey, unlockRoot, type RootKeys } from '#safe/credentials/derive-root-keys.ts';
import { toPassword } from '#safe/credentials/password-rules.ts';
import type { SafeIndex } from '#safe/index/index-set.ts';
import { decodeBundle } from '#safe/payment/index.ts';
import {
  balanceOf,
  decodeWallet,
  emptyWallet,
  scanCommitted,
  scanEntry,
} from '#safe/wallet/index.ts';
import type { SafeRecord } from '#storage/browser/vault-store.ts';
import { openLocal, openIndexLocation } from '../../../src/vault/session/open-safe.ts';
import { readIndex } from '../../../src/vault/session/remote-index.ts';
import type { WorkerRpc } from '../../../src/vault/network/worker-rpc.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import { Device, type BrowserTab } from './browser.ts';
import { clock, runAs } from '../clock.ts';
import type { Interrupt } from '../faults.ts';
import { storyPassword, SafeUser, Refused, type OpenView } from './safe-user.ts';
import { currentProcess, type Interruption, type Process, type Watcher } from '../process.ts';
import { moneyKeys, Network, networkId } from './network.ts';

const settleMs = 2_000;
const restMs = 120_000;
const lookEveryMs = 3_000;

export class World implements Watcher {
  readonly network = new Network();
  readonly here: Device;
  readonly elsewhere: Device;
  readonly user: SafeUser;
  readonly password = storyPassword;
  otherTab: BrowserTab | null = null;
  /** False before the story begins and after it has ended: no faults then. */
  isArmed = false;
  readonly #interrupt: Interrupt;
  readonly #paid = new Map<string, CommittedTransaction>();
  #root: { readonly strong: StrongKey; readonly keys: RootKeys } | null = null;
  readonly #secrets = new Map<Process, Set<Secret>>();

  constructor(interrupt: Interrupt) {
    this.#interrupt = interrupt;
    this.here = new Device('here', this.network, this);
    this.elsewhere = new Device('elsewhere', this.network, this);
    this.user = new SafeUser(this.here);
    watchSecrets(this);
  }

  reached(process: Process, label: string, given: readonly unknown[]): Interruption {
    const interruption = this.isArmed ? this.#interrupt(process, label) : {};
    if (label !== 'payments.putIntent' || process.role !== 'tab') return interruption;
    const before = async (): Promise<void> => {
      await interruption.before?.();
      if (process.isDead) return;
      const bundle = given[1] as Uint8Array;
      await runAs(this.user, () => this.#mustBeStored(String(given[0]), bundle));
    };
    return { ...interruption, before };
  }

  readonly readSafes = readSafes;

  // Acts of the stories.

  async pay(amounts: readonly bigint[]): Promise<void> {
    this.network.pay(addressOf(await this.#wallet()), amounts);
  }

  async payOnce(name: string, amounts: readonly bigint[], isListed = true): Promise<void> {
    if (this.#paid.has(name)) return;
    this.#paid.set(name, this.network.pay(addressOf(await this.#wallet()), amounts, isListed));
  }

  paidFor(name: string): CommittedTransaction {
    const paid = this.#paid.get(name);
    if (paid === undefined) throw new Error(`nothing was paid for ${name}`);
    return paid;
  }

  async openElsewhere(): Promise<BrowserTab> {
    const { user } = this;
    const tab = await this.elsewhere.openTab();
    await user.until(tab, (view) => view.kind !== 'starting', 'the app starts');
    if (tab.view.kind === 'locked')
      await user.ask(tab, { kind: 'unlockHere', password: storyPassword });
    if (tab.view.kind === 'none') await user.enter(tab);
    return tab;
  }

  /** The second tab or device of a story, open. */
  async other(): Promise<BrowserTab> {
    const before = this.otherTab;
    if (before === null || before.process.isDead) {
      const isElsewhere = before?.device === this.elsewhere;
      this.otherTab = isElsewhere ? await this.openElsewhere() : await this.user.openTab();
    }
    const tab = this.otherTab ?? before;
    if (tab === null) throw new Error('a second tab');
    const unlock = async (): Promise<void> => {
      if (tab.view.kind !== 'locked') return;
      await this.user.ask(tab, { kind: 'unlockHere', password: storyPassword });
    };
    // Forgotten or reopened in another tab just before: wait for the next view and retry once.
    await unlock().catch(async () => {
      await clock.wait(lookEveryMs);
      await unlock();
    });
    if (tab.view.kind === 'none') await this.user.enter(tab);
    return tab;
  }

  // Conditions.

  /**
   * After all faults have ended: the story must be able to finish, with nothing lost that was
   * shown.
   */
  async conclude(finish: () => Promise<void>): Promise<void> {
    const { user } = this;
    await this.#mustBeShown();
    await finish();
    const tab = await user.atHome();
    await this.#rest(tab, 'same tab');
    if (this.otherTab !== null && !this.otherTab.process.isDead) {
      if (this.otherTab.view.kind === 'open') await this.#rest(this.otherTab, 'other tab');
      this.otherTab.close();
    }
    await user.lock();
    await clock.wait(settleMs);
    this.#mustBeClean(tab.process);
    await this.#rest(await user.atHome(), 'after locking');
    user.tab?.close();
    await this.#rest(await user.atHome(), 'opened anew');
    const last = await this.openElsewhere();
    await this.#rest(last, 'second device');
    this.#noZeroOwner();
  }

  /** Runs before any step is repeated: adding a file again would hide its loss. */
  async #mustBeShown(): Promise<void> {
    const { user } = this;
    if (user.words === '') return;
    const tab = await user.atHome();
    const end = clock.now() + restMs;
    while (user.missing(tab.view).length > 0 && clock.now() < end && !tab.process.isDead) {
      if (tab.view.kind === 'locked')
        await user.ask(tab, { kind: 'unlockHere', password: storyPassword });
      if (tab.view.kind === 'none') await user.enter(tab);
      await user.ask(tab, { kind: 'refresh' }).catch(() => undefined);
      await clock.wait(lookEveryMs);
    }
    user.check(tab.view, 'before going on');
  }

  async #rest(tab: BrowserTab, where: string): Promise<void> {
    const { user } = this;
    const isOver = (view: OpenView, truth: string): boolean =>
      view.published === 'published' &&
      view.money.balance === truth &&
      view.money.payments.every(({ stage }) => stage === 'registered' || stage === 'replaced') &&
      view.transfers.every(({ state }) => state === 'needsFile' || state === 'failed');
    const end = clock.now() + restMs;
    let truth = '';
    let isAtRest = false;
    while (!isAtRest && clock.now() < end && !tab.process.isDead) {
      // Lock or Forget, pressed in the last moment of the story, may only take effect now.
      if (tab.view.kind === 'locked')
        await user.ask(tab, { kind: 'unlockHere', password: storyPassword });
      if (tab.view.kind === 'none') await user.enter(tab);
      await user.ask(tab, { kind: 'refresh' }).catch(() => undefined);
      truth = formatAmount(await this.#truth());
      // Changes of another device arrive with a later poll of the network.
      const isAllHere = user.missing(tab.view).length === 0;
      isAtRest = isAllHere && tab.view.kind === 'open' && isOver(tab.view, truth);
      if (!isAtRest) await clock.wait(lookEveryMs);
    }
    if (!isAtRest) user.broken(`${where}: it does not come to rest: ${showView(tab.view, truth)}`);
    user.check(tab.view, where);
    if (tab.view.kind !== 'open') return;
    const names = new Set(
      [...tab.view.files, ...tab.view.removedFiles, ...tab.view.transfers].map(({ name }) => name),
    );
    if (where !== 'second device') {
      for (const name of user.transfers) {
        if (!names.has(name)) user.broken(`${where}: the upload of ${name} is gone`);
      }
    }
    const memos = tab.view.money.payments.filter((each) => each.direction === 'out');
    for (const memo of user.refusedSends) {
      if (memos.some((each) => each.memo === memo && each.stage !== 'replaced')) {
        const times = memos.filter((each) => each.memo === memo).length;
        if (times > 1) user.broken(`${where}: “${memo}” was refused once and paid ${times} times`);
      }
    }
  }

  /** The person's balance, computed only from the elders' lists and the bank's receipts. */
  async #truth(): Promise<bigint> {
    const keys = await this.#wallet();
    const scanner = { keys, sections: moneyKeys, suite: toySuite };
    let state = emptyWallet;
    for (const paid of this.network.paid) state = scanCommitted(keys, state, paid, 1);
    // Two passes: an entry may be listed before the coin that pays for it.
    for (const line of [...this.network.lines(), ...this.network.lines()]) {
      const scanned = scanEntry(scanner, state, line, 1);
      if (scanned.ok) state = scanned.value.state;
    }
    return balanceOf(state).available;
  }

  async #open(): Promise<{ readonly strong: StrongKey; readonly keys: RootKeys }> {
    if (this.#root !== null) return this.#root;
    const strong = StrongKey.fromPhrase(this.user.words);
    const typed = toPassword(storyPassword);
    if (!strong.ok || !typed.ok) throw new Error('a phrase and a password');
    const keys = await unlockRoot(strong.value, typed.value, STRETCH_STANDARD, (bytes, salt) =>
      stretchUnchecked(bytes, salt, { memoryKiB: 64, passes: 1 }),
    );
    if (!keys.ok) throw new Error('memory');
    this.#root = { strong: strong.value, keys: keys.value };
    return this.#root;
  }

  async #wallet(): Promise<WalletKeys> {
    return walletKeys((await this.#open()).keys.wallet.reveal().slice());
  }

  /** A payment must be stored before it is sent: on a device, or on the network. */
  async #mustBeStored(id: string, bytes: Uint8Array): Promise<void> {
    const bundle = decodeBundle(bytes);
    // A receipt that is passed on is not a payment of this person.
    if (!bundle.ok || bundle.value.certificates !== null) return;
    for (const index of await this.#indexes()) {
      const wallet = decodeWallet(index.wallet);
      if (wallet.ok && wallet.value.payments.get(id)?.bundle) return;
    }
    this.user.broken('a payment was sent that was stored nowhere');
  }

  async #indexes(): Promise<readonly SafeIndex[]> {
    const root = await this.#open();
    const found: SafeIndex[] = [];
    for (const device of [this.here, this.elsewhere]) {
      for (const record of await readSafes(device)) {
        const index = await openLocal(root, record);
        if (index.ok) found.push(index.value);
      }
    }
    const address = pointerAddress(networkId, root.strong.owner);
    const kept = this.network.pointers.get(toHex(address));
    const pointer = kept === undefined ? undefined : decodePointer(kept);
    const place = pointer?.ok ? await openIndexLocation(root, pointer.value.ciphertext) : null;
    if (place?.ok === true) {
      const getChunk = async (_call: 'chunk/get', { name }: CallInput<'chunk/get'>) =>
        this.network.chunks.get(toHex(name)) ?? new Uint8Array();
      found.push(await readIndex(getChunk as WorkerRpc, place.value));
    }
    return found;
  }

  /** An all-zero key is public: every client could write under it. */
  #noZeroOwner(): void {
    const { owner } = StrongKey.fromDevice(new Uint8Array(32));
    if (this.network.pointers.has(toHex(pointerAddress(networkId, owner)))) {
      this.user.broken('the index was published under a key of zeros');
    }
  }

  revealed(secret: Secret): void {
    const process = currentProcess();
    if (process === undefined) return;
    const known = this.#secrets.get(process) ?? new Set();
    this.#secrets.set(process, known.add(secret));
  }

  usedAfterWipe(): void {
    if (currentProcess()?.isDead === false) this.user.broken('a wiped key was used');
  }

  #mustBeClean(process: Process): void {
    for (const secret of this.#secrets.get(process) ?? []) {
      if (!isWiped(secret)) {
        this.user.broken('a key is still in memory after locking');
        return;
      }
    }
  }
}

function showView(view: VaultView, truth: string): string {
  if (view.kind !== 'open') return `the Safe is ${view.kind}`;
  const { balance, payments } = view.money;
  const states = payments.map(({ memo, stage, sentence }) => `${memo} ${stage} (${sentence})`);
  const transfers = view.transfers.map(({ name, state }) => `${name} ${state}`);
  return `${view.published}, balance ${balance} of ${truth}, ${[...states, ...transfers].join(', ')} ${view.notice}`;
}

export const isRefused = (error: unknown): error is Refused => error instanceof Refused;

let watching: World | null = null;
const wiped = new WeakSet<Secret>();
const isWiped = (secret: Secret): boolean => wiped.has(secret);
let isPatched = false;

function watchSecrets(world: World): void {
  watching = world;
  if (isPatched) return;
  isPatched = true;
  const { reveal, wipe } = Secret.prototype;
  Secret.prototype.reveal = function (): Uint8Array {
    const bytes = reveal.call(this);
    if (wiped.has(this)) watching?.usedAfterWipe();
    else watching?.revealed(this);
    return bytes;
  };
  Secret.prototype.wipe = function (): void {
    wiped.add(this);
    wipe.call(this);
  };
}

/** Reads the device's disk directly, as anyone with the device could. */
async function readSafes(device: Device): Promise<readonly SafeRecord[]> {
  const name = 'safe-vault';
  // Opening would create it, and the app would find a version without records.
  if (!(await device.idb.databases()).some((each) => each.name === name)) return [];
  return new Promise((done, fail) => {
    const opening = device.idb.open(name);
    opening.onerror = () => fail(new Error('the records cannot be read'));
    opening.onsuccess = () => {
      const db = opening.result;
      const all = db.transaction('safes').objectStore('safes').getAll();
      all.onsuccess = () => {
        db.close();
        done(all.result as readonly SafeRecord[]);
      };
    };
  });
}
