/** A person's steps with a Safe; each step can be repeated. */
import type { BrowserTab } from './browser.ts';
import { Refused, type FileAddress, type ReadOptions, type SafeUser } from './safe-user.ts';
import { addressText, receiptOf, coinUnit } from './network.ts';
import type { World } from './world.ts';

export interface StoryStep {
  readonly name: string;
  /** @param tab another tab that does the same, in a story without a second tab of its own */
  readonly act: (world: World, tab?: BrowserTab) => Promise<void>;
  /** The step cannot be repeated in a second tab. */
  readonly isOnce?: boolean;
}

export interface SafeStory {
  readonly name: string;
  /** Runs before any fault. */
  readonly before: (world: World) => Promise<void>;
  readonly steps: readonly StoryStep[];
}

const step = (name: string, act: StoryStep['act']): StoryStep => ({ name, act });
const once = (name: string, act: StoryStep['act']): StoryStep => ({ name, act, isOnce: true });
const add = (name: string, size?: number): StoryStep =>
  step(`add ${name}`, (world, tab) => world.user.add(name, size, tab));
const remove = (name: string): StoryStep =>
  step(`remove ${name}`, (world, tab) => world.user.remove(name, tab));
const restore = (name: string): StoryStep =>
  step(`restore ${name}`, (world, tab) => world.user.restore(name, tab));
const send = (amount: string, memo: string): StoryStep =>
  step(`send ${amount}`, async (world, tab) => {
    const { user } = world;
    const other = tab === undefined ? '' : ' from another tab';
    await user.send(amount, addressText('bob'), memo + other, tab);
  });
const lockAndUnlock = once('lock and unlock', async ({ user }) => {
  await user.lock();
  await user.atHome();
});
const records = (taken: boolean): StoryStep =>
  once(
    taken ? 'the network takes records again' : 'the network takes no records',
    async (world) => {
      world.network.takesRecords = taken;
    },
  );

async function newSafe({ user }: World): Promise<void> {
  await user.create();
  await user.published();
}

async function funded(world: World): Promise<void> {
  await newSafe(world);
  await world.pay([100n * coinUnit, 100n * coinUnit, 90n * coinUnit]);
  await world.user.balance('290');
  await world.user.published();
}

const files: SafeStory = {
  name: 'files',
  before: async () => undefined,
  steps: [
    once('create', ({ user }) =>
      user.words === '' ? user.create() : user.atHome().then(() => undefined),
    ),
    add('a.txt'),
    add('b.txt', 300),
    remove('a.txt'),
    restore('a.txt'),
    lockAndUnlock,
  ],
};

/** The network rejects records for a while: changes shown meanwhile are on this device only. */
const unpublished: SafeStory = {
  name: 'unpublished',
  before: newSafe,
  steps: [
    add('a.txt'),
    records(false),
    add('b.txt'),
    remove('a.txt'),
    lockAndUnlock,
    add('c.txt'),
    records(true),
  ],
};

const pays: SafeStory = {
  name: 'pays',
  before: funded,
  steps: [
    send('85', 'tea'),
    once('it is final', async ({ user }) => {
      const tab = await user.atHome();
      await user.untilOpen(
        tab,
        ({ money }) =>
          money.payments.some(({ memo, stage }) => memo === 'tea' && stage === 'registered'),
        'the payment is registered',
      );
    }),
    send('5', 'milk'),
    lockAndUnlock,
  ],
};

const receives: SafeStory = {
  name: 'receives',
  before: newSafe,
  steps: [
    once('five come', async (world) => world.payOnce('five', [5n * coinUnit])),
    once('five are shown', ({ user }) => shown(user, 5)),
    records(false),
    once('seven come', async (world) => world.payOnce('seven', [7n * coinUnit])),
    once('twelve are shown', ({ user }) => shown(user, 12)),
    lockAndUnlock,
    records(true),
  ],
};

async function shown(person: SafeUser, least: number): Promise<void> {
  const tab = await person.atHome();
  await person.untilOpen(
    tab,
    ({ money }) => Number(money.balance) >= least,
    `the balance is ${least}`,
  );
}

const redeems: SafeStory = {
  name: 'redeems',
  before: newSafe,
  steps: [
    step('redeem', async (world) => {
      await world.payOnce('receipt', [9n * coinUnit], false);
      const committed = world.paidFor('receipt');
      await world.user.redeem(receiptOf(committed));
    }),
    lockAndUnlock,
  ],
};

/** The balance covers one of two payments: the first one sent. */
async function sendUnless(
  rival: string,
  { user }: World,
  amount: string,
  memo: string,
  tab?: BrowserTab,
): Promise<void> {
  try {
    await user.send(amount, addressText('bob'), memo, tab);
  } catch (error) {
    const isSpent = [...user.payments.values()].some((payment) => payment.memo === rival);
    const isRefusal = error instanceof Refused && error.kind === 'notEnoughMoney';
    if (!isSpent || !isRefusal) throw error;
  }
}

/** Two tabs, both opened before any change. */
const tabs: SafeStory = {
  name: 'tabs',
  before: async (world) => {
    await funded(world);
    world.otherTab = await world.user.openTab();
    await world.user.ask(world.otherTab, { kind: 'unlockHere', password: world.password });
  },
  steps: [
    records(false),
    add('x.txt'),
    once('the other tab adds', async (world) => world.user.add('y.txt', 40, await world.other())),
    once('send 85', async (world) => sendUnless('rent', world, '85', 'tea')),
    once('the other tab sends', async (world) =>
      sendUnless('tea', world, '250', 'rent', await world.other()),
    ),
    remove('x.txt'),
    lockAndUnlock,
    records(true),
  ],
};

/** A tab loaded while the Safe was locked, first used after many changes. */
const laterTab: SafeStory = {
  name: 'later tab',
  before: async (world) => {
    await newSafe(world);
    world.otherTab = await world.user.openTab();
  },
  steps: [
    records(false),
    add('x.txt'),
    once('the other tab opens', async (world) => void (await world.other())),
    once('the other tab adds', async (world) => world.user.add('y.txt', 40, await world.other())),
    records(true),
  ],
};

/** Each tab is closed before the next one is used: unsaved changes are lost with it. */
const relay: SafeStory = {
  name: 'relay',
  before: async (world) => {
    await newSafe(world);
    world.otherTab = await world.user.openTab();
    await world.user.ask(world.otherTab, { kind: 'unlockHere', password: world.password });
  },
  steps: [
    records(false),
    add('x.txt'),
    once('the first tab is closed', async ({ user }) => user.tab?.close()),
    once('the other tab adds', async (world) => world.user.add('y.txt', 40, await world.other())),
    once('the other tab is closed', async ({ otherTab }) => otherTab?.close()),
    add('z.txt'),
    records(true),
  ],
};

/** More files than a bound allows; the test plants a smaller bound. */
const crowded: SafeStory = {
  name: 'crowded',
  before: newSafe,
  steps: [
    ...[1, 2, 3, 4, 5].map((count) =>
      once(`add file ${count} if there is room`, async ({ user }) => {
        try {
          await user.add(`${count}.txt`);
        } catch (error) {
          if (!(error instanceof Refused) || error.kind !== 'storageFull') throw error;
        }
      }),
    ),
    lockAndUnlock,
  ],
};

const devices: SafeStory = {
  name: 'devices',
  before: async (world) => {
    await funded(world);
    world.otherTab = await world.openElsewhere();
  },
  steps: [
    add('x.txt'),
    once('the other device adds', async (world) =>
      world.user.add('y.txt', 40, await world.other()),
    ),
    send('85', 'tea'),
    once('the other device removes', async (world) =>
      world.user.remove('x.txt', await world.other()),
    ),
    once('the other device sends', async (world) => {
      await world.user.send('50', addressText('bob'), 'rent', await world.other());
    }),
    lockAndUnlock,
  ],
};

/** A Safe that this device does not remember. */
const guest: SafeStory = {
  name: 'guest',
  before: async (world) => {
    await funded(world);
    world.user.tab?.close();
    world.user.tab = null;
    world.user.remembers = false;
    world.user.device = world.elsewhere;
    await world.user.atHome();
  },
  steps: [
    send('5', 'tea'),
    once('the tab is closed at once', async ({ user }) => user.tab?.close()),
    add('x.txt'),
    once('the tab is closed again', async ({ user }) => user.tab?.close()),
  ],
};

const read = (name: string, part: ReadOptions = {}): StoryStep =>
  step(
    `open and read ${name} ${part.from === undefined ? '' : `from ${part.from}`}`,
    async (world, tab) => world.user.read(await world.user.open(name, tab), part),
  );

/** Runs `act` after the first piece of a file has been read. @returns how the read ended */
async function whileReading(
  person: SafeUser,
  address: FileAddress,
  act: () => Promise<void> | void,
): Promise<Refused | null> {
  let begin = (): void => undefined;
  const begun = new Promise<void>((go) => {
    begin = go;
  });
  const ended = person.read(address, { pauseMs: 4, came: begin }).then(
    () => null,
    (error: unknown) => {
      if (error instanceof Refused) return error;
      throw error;
    },
  );
  await Promise.race([begun, ended]);
  await act();
  return ended;
}

const endWorker = ({ worker }: BrowserTab['device']): void => worker?.process.kill();

/** Files of several pieces, as a page reads them; see smallPieces in ../load.ts. */
const opens: SafeStory = {
  name: 'opens',
  before: async (world) => {
    const { user } = world;
    await newSafe(world);
    await user.add('a.bin', 8_000);
    await user.add('bb.bin', 2_500);
    await user.published();
    world.otherTab = await user.openTab();
    await user.ask(world.otherTab, { kind: 'unlockHere', password: world.password });
    await user.untilOpen(world.otherTab, (view) => view.files.length === 2, 'both are listed');
  },
  steps: [
    read('a.bin'),
    read('bb.bin', { from: 1_000, to: 2_100 }),
    step('the worker dies, and the key is asked for again', async ({ user }, tab) => {
      const address = await user.open('bb.bin', tab);
      endWorker(address.tab.device);
      await user.read(address);
      await whileReading(user, address, () => endWorker(address.tab.device));
      await user.read(address, { from: 2_000 });
    }),
    once('Lock ends what is read', async ({ user }) => {
      const address = await user.open('a.bin');
      const ended = await whileReading(user, address, () => user.lock());
      if (ended === null) throw new Refused({ kind: 'busy', message: 'It was read before Lock.' });
      // Bytes that arrive now would arrive after Lock.
      const isGiven = await user.read(address).then(
        () => true,
        () => false,
      );
      if (isGiven && !user.cannotTakeBack) user.broken('an address gives a file after Lock');
      await user.atHome();
    }),
    once('Lock here ends nothing in the other tab', async (world) => {
      const { user } = world;
      await user.atHome();
      const mine = await user.open('bb.bin');
      await user.read(mine, { to: 10 });
      const address = await user.open('a.bin', await world.other());
      const ended = await whileReading(user, address, () => user.lock());
      await user.atHome();
      if (ended !== null) throw ended;
    }),
  ],
};

export const stories: readonly SafeStory[] = [
  files,
  unpublished,
  pays,
  receives,
  redeems,
  tabs,
  laterTab,
  relay,
  crowded,
  devices,
  guest,
  opens,
];
