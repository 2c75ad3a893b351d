/** Plays a story of a Safe with one fault in one of its browsers. */
import { clock, runAs } from '../clock.ts';
import {
  failureOf,
  type Fault,
  type Interrupt,
  type FaultRun,
  type InjectScenario,
} from '../faults.ts';
import { storyPassword } from './safe-user.ts';
import { never, type Interruption, type Process } from '../process.ts';
import { stories, type StoryStep, type SafeStory } from './stories.ts';
import { isRefused, World } from './world.ts';

/** A call that stays unanswered until `end` rejects it. */
function endless(): { readonly until: Promise<never>; readonly end: () => void } {
  let end: () => void = () => undefined;
  const until = new Promise<never>((_, reject) => {
    end = () => reject(new TypeError('the worker has gone'));
  });
  until.catch(() => undefined);
  return { until, end };
}

export const browserScenarios: readonly InjectScenario[] = stories.map((story) => ({
  name: story.name,
  begin: (interrupt) => new BrowserRun(story, interrupt),
}));

/** Time limit for Lock or Forget after the network is back. */
const pressedMs = 60_000;
const soon = (): Promise<void> => clock.wait(3_000);

class BrowserRun implements FaultRun {
  readonly #story: SafeStory;
  readonly #world: World;
  #step: StoryStep | null = null;
  #lasting: (label: string, process: Process) => Interruption = () => ({});
  #ending: () => void = () => undefined;
  /** Acts started at the site of the fault that may still be running: Lock, Forget, another tab. */
  #doing: Promise<unknown> = Promise.resolve();

  constructor(story: SafeStory, interrupt: Interrupt) {
    this.#story = story;
    this.#world = new World(interrupt);
  }

  get violations(): readonly string[] {
    return this.#world.user.violations;
  }

  async play(): Promise<void> {
    const world = this.#world;
    await runAs(world.user, async () => {
      await this.#story.before(world);
      world.isArmed = true;
      await this.#steps(false);
      world.isArmed = false;
      world.user.cannotTakeBack = false;
      for (const device of [world.here, world.elsewhere]) device.isOnline = true;
      world.network.takesRecords = true;
      world.network.alters = 0;
      // A person who has pressed Lock or Forget waits for it and does nothing else in that tab.
      await Promise.race([this.#doing, clock.wait(pressedMs)]);
      this.#ending();
      await world.conclude(() => this.#steps(true));
    });
  }

  end(): void {
    this.#world.here.kill();
    this.#world.elsewhere.kill();
  }

  async #steps(mustSucceed: boolean): Promise<void> {
    const { user } = this.#world;
    for (const step of this.#story.steps) {
      this.#step = step;
      try {
        await step.act(this.#world);
      } catch (error) {
        if (!isRefused(error)) throw error;
        if (mustSucceed) user.broken(`“${step.name}” cannot be done any more: ${error.message}`);
      }
    }
  }

  faultStillActive(process: Process, label: string): Interruption {
    return this.#lasting(label, process);
  }

  injectFault(process: Process, label: string, fault: Fault): Interruption {
    const { before, after, ...rest } = this.#meant(process, label, fault);
    const inTime = (act: () => Promise<void> | void) => async (): Promise<void> => {
      // The call of the site may end after the story.
      if (!this.#world.isArmed) return;
      await act();
    };
    return {
      ...rest,
      ...(before === undefined ? {} : { before: inTime(before) }),
      ...(after === undefined ? {} : { after: inTime(after) }),
    };
  }

  #meant(process: Process, label: string, fault: Fault): Interruption {
    const { user } = this.#world;
    const { tab } = user;
    const fail = { instead: () => failureOf(label) };
    const isLasting = fault.startsWith('fails from here on') || fault === 'never answers';
    if (label === 'rpc.file/forget' && isLasting) user.cannotTakeBack = true;
    const lock = async (): Promise<void> => {
      user.isCut = true;
      // The person presses Lock without waiting for its answer.
      await begun(tab?.ask({ kind: 'lock' }));
    };
    const begun = (doing: Promise<unknown> = Promise.resolve()): Promise<void> => {
      this.#doing = doing.catch(() => undefined);
      return Promise.race([this.#doing.then(() => undefined), soon()]);
    };
    const close = (): void => {
      user.isCut = true;
      tab?.close();
    };
    const closeLater = (): void => {
      this.#ending = () => user.tab?.close();
    };
    const alter = (count: number): void => {
      this.#world.network.alters = count;
    };
    const endWorker = (): void => user.device.worker?.process.kill();
    switch (fault) {
      case 'fails once':
        return fail;
      case 'fails from here on':
        this.#lasting = (other) => (other === label ? fail : {});
        return fail;
      case 'fails from here on, tab closed':
        closeLater();
        this.#lasting = (other) => (other === label ? fail : {});
        return fail;
      case 'never answers':
        user.isCut = true;
        // The browser eventually ends a hanging call: a worker's call with the worker, a tab's with
        // the tab.
        this.#ending = () => {
          user.tab?.close();
          const { otherTab } = this.#world;
          const isElsewhere = otherTab?.device === this.#world.elsewhere;
          if (otherTab?.process === process && !isElsewhere) otherTab.close();
          endWorker();
          hung.end();
        };
        const hung = endless();
        return { instead: label.startsWith('rpc.') ? () => hung.until : never };
      case 'damaged':
        if (label.startsWith('elder.')) return { before: () => alter(1) };
        return { instead: () => this.#damaged(label) };
      case 'damaged from here on': {
        if (label.startsWith('elder.')) return { before: () => alter(Infinity) };
        const damaged = { instead: () => this.#damaged(label) };
        this.#lasting = (other, reader) => (reader === process && other === label ? damaged : {});
        return damaged;
      }
      case 'device full from here on': {
        closeLater();
        const isPut = (other: string): boolean => /^(store|payments|pins)\.put[A-Z]/.test(other);
        this.#lasting = (other) => (isPut(other) ? { instead: () => failureOf(other) } : {});
        return fail;
      }
      case 'offline from here on':
        for (const device of [this.#world.here, this.#world.elsewhere]) device.isOnline = false;
        return {};
      case 'lock before':
        return { before: lock };
      case 'lock after':
        return { after: lock };
      case 'close before':
        return { before: close };
      case 'close after':
        return { after: close };
      case 'worker dies before':
        return { before: endWorker };
      case 'worker dies after':
        return { after: endWorker };
      case 'second tab':
        return { before: () => begun(this.#again()) };
      case 'another tab adds and closes':
        return { before: () => begun(this.#addElsewhere()) };
      case 'forget':
        return { before: () => begun(this.#forget()) };
      case 'node restarts before':
      case 'node restarts after':
        return {};
    }
  }

  /** Opens another tab at this moment, in which the person repeats the step. */
  async #again(): Promise<void> {
    const world = this.#world;
    const { user } = world;
    const step = this.#step;
    if (step === null || step.isOnce === true || user.words === '') return;
    await runAs(user, async () => {
      try {
        const tab = await user.openTab();
        if (tab.view.kind === 'locked')
          await user.ask(tab, { kind: 'unlockHere', password: storyPassword });
        await step.act(world, tab);
      } catch (error) {
        if (!isRefused(error)) throw error;
      }
    });
  }

  /** Opens another tab at this moment and closes it soon after. */
  async #addElsewhere(): Promise<void> {
    const { user } = this.#world;
    if (user.words === '') return;
    await runAs(user, async () => {
      try {
        const tab = await user.openTab();
        if (tab.view.kind === 'locked')
          await user.ask(tab, { kind: 'unlockHere', password: storyPassword });
        await user.add('meanwhile.txt', 40, tab);
        tab.close();
      } catch (error) {
        if (!isRefused(error)) throw error;
      }
    });
  }

  async #forget(): Promise<void> {
    const { user } = this.#world;
    const { tab } = user;
    if (tab === null || tab.process.isDead) return;
    await runAs(user, async () => {
      try {
        user.isCut = true;
        await user.ask(tab, { kind: 'forget', evenUnsaved: false });
        user.transfers.clear();
      } catch (error) {
        if (!isRefused(error)) throw error;
      }
    });
  }

  /** Runs the read from disk, with one bit of each envelope flipped. */
  async #damaged(label: string): Promise<unknown> {
    const records = await this.#world.readSafes(this.#world.user.device);
    const turned = records.map((each) => {
      const envelope = each.envelope.slice();
      const at = envelope.length - 1;
      envelope[at] = (envelope[at] ?? 0) ^ 1;
      return { ...each, envelope };
    });
    return label === 'store.getSafe' ? turned[0] : turned;
  }
}
