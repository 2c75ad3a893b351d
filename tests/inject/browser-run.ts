/** A story of a Safe, told while something goes wrong in one of its browsers. */
import { clock, runAs } from './clock.ts';
import { failureOf, type Fault, type Interrupt, type Run, type Scenario } from './faults.ts';
import { password } from './person.ts';
import { never, type Interruption, type Process } from './process.ts';
import { stories, type Step, type Story } from './stories.ts';
import { isRefused, World } from './world.ts';

/** A call that is not answered before something ends it. */
function endless(): { readonly until: Promise<never>; readonly end: () => void } {
  let end: () => void = () => undefined;
  const until = new Promise<never>((_, reject) => {
    end = () => reject(new TypeError('the worker has gone'));
  });
  until.catch(() => undefined);
  return { until, end };
}

export const browserScenarios: readonly Scenario[] = stories.map((story) => ({
  name: story.name,
  begin: (interrupt) => new BrowserRun(story, interrupt),
}));

/** Whoever waits inside a lock must not wait for somebody who waits for that lock. */
/** So long may Lock or Forget take after the network is back. */
const pressedMs = 60_000;
const soon = (): Promise<void> => clock.wait(3_000);

class BrowserRun implements Run {
  readonly #story: Story;
  readonly #world: World;
  #step: Step | null = null;
  #lasting: (label: string, process: Process) => Interruption = () => ({});
  #ending: () => void = () => undefined;
  /** What was done at the site of the fault, and may still be going on: Lock, Forget, another tab. */
  #doing: Promise<unknown> = Promise.resolve();

  constructor(story: Story, interrupt: Interrupt) {
    this.#story = story;
    this.#world = new World(interrupt);
  }

  get violations(): readonly string[] {
    return this.#world.person.violations;
  }

  async tell(): Promise<void> {
    const world = this.#world;
    await runAs(world.person, async () => {
      await this.#story.before(world);
      world.isArmed = true;
      await this.#steps(false);
      world.isArmed = false;
      world.person.cannotTakeBack = false;
      for (const device of [world.here, world.elsewhere]) device.isOnline = true;
      world.network.takesRecords = true;
      world.network.alters = 0;
      // A person who has pressed Lock or Forget waits for it, and does nothing else in that tab meanwhile.
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
    const { person } = this.#world;
    for (const step of this.#story.steps) {
      this.#step = step;
      try {
        await step.act(this.#world);
      } catch (error) {
        if (!isRefused(error)) throw error;
        if (mustSucceed) person.broken(`“${step.name}” cannot be done any more: ${error.message}`);
      }
    }
  }

  still(process: Process, label: string): Interruption {
    return this.#lasting(label, process);
  }

  strike(process: Process, label: string, fault: Fault): Interruption {
    const { before, after, ...rest } = this.#meant(process, label, fault);
    const inTime = (act: () => Promise<void> | void) => async (): Promise<void> => {
      // The call of the site may end when the story is over.
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
    const { person } = this.#world;
    const { tab } = person;
    const fail = { instead: () => failureOf(label) };
    const isLasting = fault.startsWith('fails from here on') || fault === 'never answers';
    if (label === 'rpc.file/forget' && isLasting) person.cannotTakeBack = true;
    const lock = async (): Promise<void> => {
      person.isCut = true;
      // The person presses the button; nobody waits for the answer here.
      await begun(tab?.ask({ kind: 'lock' }));
    };
    const begun = (doing: Promise<unknown> = Promise.resolve()): Promise<void> => {
      this.#doing = doing.catch(() => undefined);
      return Promise.race([this.#doing.then(() => undefined), soon()]);
    };
    const close = (): void => {
      person.isCut = true;
      tab?.close();
    };
    const closeLater = (): void => {
      this.#ending = () => person.tab?.close();
    };
    const alter = (count: number): void => {
      this.#world.network.alters = count;
    };
    const endWorker = (): void => person.device.worker?.process.kill();
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
        person.isCut = true;
        // The browser ends what hangs, sooner or later: a call of the worker with the worker, and a tab.
        this.#ending = () => {
          person.tab?.close();
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

  /** Another tab, opened at this moment, in which the person does the same. */
  async #again(): Promise<void> {
    const world = this.#world;
    const { person } = world;
    const step = this.#step;
    if (step === null || step.isOnce === true || person.words === '') return;
    await runAs(person, async () => {
      try {
        const tab = await person.openTab();
        if (tab.view.kind === 'locked') await person.ask(tab, { kind: 'unlockHere', password });
        await step.act(world, tab);
      } catch (error) {
        if (!isRefused(error)) throw error;
      }
    });
  }

  /** Another tab, opened at this moment, that nobody can ask any more soon after. */
  async #addElsewhere(): Promise<void> {
    const { person } = this.#world;
    if (person.words === '') return;
    await runAs(person, async () => {
      try {
        const tab = await person.openTab();
        if (tab.view.kind === 'locked') await person.ask(tab, { kind: 'unlockHere', password });
        await person.add('meanwhile.txt', 40, tab);
        tab.close();
      } catch (error) {
        if (!isRefused(error)) throw error;
      }
    });
  }

  async #forget(): Promise<void> {
    const { person } = this.#world;
    const { tab } = person;
    if (tab === null || tab.process.isDead) return;
    await runAs(person, async () => {
      try {
        person.isCut = true;
        await person.ask(tab, { kind: 'forget', evenUnsaved: false });
        person.transfers.clear();
      } catch (error) {
        if (!isRefused(error)) throw error;
      }
    });
  }

  /** What is read from the disk, this once, with one bit of each envelope turned. */
  async #damaged(label: string): Promise<unknown> {
    const records = await this.#world.readSafes(this.#world.person.device);
    const turned = records.map((each) => {
      const envelope = each.envelope.slice();
      const at = envelope.length - 1;
      envelope[at] = (envelope[at] ?? 0) ^ 1;
      return { ...each, envelope };
    });
    return label === 'store.getSafe' ? turned[0] : turned;
  }
}
