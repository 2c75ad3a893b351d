/** What somebody does with a Safe, step by step; every step can be asked for again. */
import type { Tab } from './browser.ts';
import { Refused, type Address, type HowToRead, type Person } from './person.ts';
import { addressText, receiptOf, unit } from './section.ts';
import type { World } from './world.ts';

export interface Step {
  readonly name: string;
  /** @param tab another tab that does the same, where the story has none of its own */
  readonly act: (world: World, tab?: Tab) => Promise<void>;
  /** Nothing of it can be asked of a second tab. */
  readonly isOnce?: boolean;
}

export interface Story {
  readonly name: string;
  /** Happens before anything goes wrong. */
  readonly before: (world: World) => Promise<void>;
  readonly steps: readonly Step[];
}

const step = (name: string, act: Step['act']): Step => ({ name, act });
const once = (name: string, act: Step['act']): Step => ({ name, act, isOnce: true });
const add = (name: string, size?: number): Step =>
  step(`add ${name}`, (world, tab) => world.person.add(name, size, tab));
const remove = (name: string): Step =>
  step(`remove ${name}`, (world, tab) => world.person.remove(name, tab));
const restore = (name: string): Step =>
  step(`restore ${name}`, (world, tab) => world.person.restore(name, tab));
const send = (amount: string, memo: string): Step =>
  step(`send ${amount}`, async (world, tab) => {
    const { person } = world;
    const other = tab === undefined ? '' : ' from another tab';
    await person.send(amount, addressText('bob'), memo + other, tab);
  });
const lockAndUnlock = once('lock and unlock', async ({ person }) => {
  await person.lock();
  await person.atHome();
});
const records = (taken: boolean): Step =>
  once(
    taken ? 'the network takes records again' : 'the network takes no records',
    async (world) => {
      world.network.takesRecords = taken;
    },
  );

async function newSafe({ person }: World): Promise<void> {
  await person.create();
  await person.published();
}

async function funded(world: World): Promise<void> {
  await newSafe(world);
  await world.pay([100n * unit, 100n * unit, 90n * unit]);
  await world.person.balance('290');
  await world.person.published();
}

const files: Story = {
  name: 'files',
  before: async () => undefined,
  steps: [
    once('create', ({ person }) =>
      person.words === '' ? person.create() : person.atHome().then(() => undefined),
    ),
    add('a.txt'),
    add('b.txt', 300),
    remove('a.txt'),
    restore('a.txt'),
    lockAndUnlock,
  ],
};

/** The network takes no record for a while: what was shown is on this device alone. */
const unpublished: Story = {
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

const pays: Story = {
  name: 'pays',
  before: funded,
  steps: [
    send('85', 'tea'),
    once('it is final', async ({ person }) => {
      const tab = await person.atHome();
      await person.untilOpen(
        tab,
        ({ money }) =>
          money.payments.some(({ memo, state }) => memo === 'tea' && state === 'registered'),
        'the payment is registered',
      );
    }),
    send('5', 'milk'),
    lockAndUnlock,
  ],
};

const receives: Story = {
  name: 'receives',
  before: newSafe,
  steps: [
    once('five come', async (world) => world.payOnce('five', [5n * unit])),
    once('five are shown', ({ person }) => shown(person, 5)),
    records(false),
    once('seven come', async (world) => world.payOnce('seven', [7n * unit])),
    once('twelve are shown', ({ person }) => shown(person, 12)),
    lockAndUnlock,
    records(true),
  ],
};

async function shown(person: Person, least: number): Promise<void> {
  const tab = await person.atHome();
  await person.untilOpen(
    tab,
    ({ money }) => Number(money.balance) >= least,
    `the balance is ${least}`,
  );
}

const redeems: Story = {
  name: 'redeems',
  before: newSafe,
  steps: [
    step('redeem', async (world) => {
      await world.payOnce('receipt', [9n * unit], false);
      const committed = world.paidFor('receipt');
      await world.person.redeem(receiptOf(committed));
    }),
    lockAndUnlock,
  ],
};

/** There is money for one of two payments: whichever is first. */
async function sendUnless(
  rival: string,
  { person }: World,
  amount: string,
  memo: string,
  tab?: Tab,
): Promise<void> {
  try {
    await person.send(amount, addressText('bob'), memo, tab);
  } catch (error) {
    const isSpent = [...person.payments.values()].some((payment) => payment.memo === rival);
    const isRefusal = error instanceof Refused && error.kind === 'notEnoughMoney';
    if (!isSpent || !isRefusal) throw error;
  }
}

/** Both tabs were opened before anything changed. */
const tabs: Story = {
  name: 'tabs',
  before: async (world) => {
    await funded(world);
    world.otherTab = await world.person.openTab();
    await world.person.ask(world.otherTab, { kind: 'unlockHere', password: world.password });
  },
  steps: [
    records(false),
    add('x.txt'),
    once('the other tab adds', async (world) => world.person.add('y.txt', 40, await world.other())),
    once('send 85', async (world) => sendUnless('rent', world, '85', 'tea')),
    once('the other tab sends', async (world) =>
      sendUnless('tea', world, '250', 'rent', await world.other()),
    ),
    remove('x.txt'),
    lockAndUnlock,
    records(true),
  ],
};

/** A tab that was loaded while the Safe was locked, and is used when much has happened since. */
const laterTab: Story = {
  name: 'later tab',
  before: async (world) => {
    await newSafe(world);
    world.otherTab = await world.person.openTab();
  },
  steps: [
    records(false),
    add('x.txt'),
    once('the other tab opens', async (world) => void (await world.other())),
    once('the other tab adds', async (world) => world.person.add('y.txt', 40, await world.other())),
    records(true),
  ],
};

/** Each tab is closed before the next one is used: what it had not stored is gone with it. */
const relay: Story = {
  name: 'relay',
  before: async (world) => {
    await newSafe(world);
    world.otherTab = await world.person.openTab();
    await world.person.ask(world.otherTab, { kind: 'unlockHere', password: world.password });
  },
  steps: [
    records(false),
    add('x.txt'),
    once('the first tab is closed', async ({ person }) => person.tab?.close()),
    once('the other tab adds', async (world) => world.person.add('y.txt', 40, await world.other())),
    once('the other tab is closed', async ({ otherTab }) => otherTab?.close()),
    add('z.txt'),
    records(true),
  ],
};

/** More files than a bound allows; a test that plants a smaller bound tells it. */
const crowded: Story = {
  name: 'crowded',
  before: newSafe,
  steps: [
    ...[1, 2, 3, 4, 5].map((count) =>
      once(`add file ${count} if there is room`, async ({ person }) => {
        try {
          await person.add(`${count}.txt`);
        } catch (error) {
          if (!(error instanceof Refused) || error.kind !== 'storageFull') throw error;
        }
      }),
    ),
    lockAndUnlock,
  ],
};

const devices: Story = {
  name: 'devices',
  before: async (world) => {
    await funded(world);
    world.otherTab = await world.openElsewhere();
  },
  steps: [
    add('x.txt'),
    once('the other device adds', async (world) =>
      world.person.add('y.txt', 40, await world.other()),
    ),
    send('85', 'tea'),
    once('the other device removes', async (world) =>
      world.person.remove('x.txt', await world.other()),
    ),
    once('the other device sends', async (world) => {
      await world.person.send('50', addressText('bob'), 'rent', await world.other());
    }),
    lockAndUnlock,
  ],
};

/** A Safe that this device is not to remember. */
const guest: Story = {
  name: 'guest',
  before: async (world) => {
    await funded(world);
    world.person.tab?.close();
    world.person.tab = null;
    world.person.remembers = false;
    world.person.device = world.elsewhere;
    await world.person.atHome();
  },
  steps: [
    send('5', 'tea'),
    once('the tab is closed at once', async ({ person }) => person.tab?.close()),
    add('x.txt'),
    once('the tab is closed again', async ({ person }) => person.tab?.close()),
  ],
};

const read = (name: string, part: HowToRead = {}): Step =>
  step(
    `open and read ${name} ${part.from === undefined ? '' : `from ${part.from}`}`,
    async (world, tab) => world.person.read(await world.person.open(name, tab), part),
  );

/** While a file is read something else happens, after its first piece. @returns how the read ended */
async function whileReading(
  person: Person,
  address: Address,
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

const endWorker = ({ worker }: Tab['device']): void => worker?.process.kill();

/** Files of several pieces, as a page reads them; see smallPieces in load.ts. */
const opens: Story = {
  name: 'opens',
  before: async (world) => {
    const { person } = world;
    await newSafe(world);
    await person.add('a.bin', 8_000);
    await person.add('bb.bin', 2_500);
    await person.published();
    world.otherTab = await person.openTab();
    await person.ask(world.otherTab, { kind: 'unlockHere', password: world.password });
    await person.untilOpen(world.otherTab, (view) => view.files.length === 2, 'both are listed');
  },
  steps: [
    read('a.bin'),
    read('bb.bin', { from: 1_000, to: 2_100 }),
    step('the worker dies, and the key is asked for again', async ({ person }, tab) => {
      const address = await person.open('bb.bin', tab);
      endWorker(address.tab.device);
      await person.read(address);
      await whileReading(person, address, () => endWorker(address.tab.device));
      await person.read(address, { from: 2_000 });
    }),
    once('Lock ends what is read', async ({ person }) => {
      const address = await person.open('a.bin');
      const ended = await whileReading(person, address, () => person.lock());
      if (ended === null) throw new Refused({ kind: 'busy', message: 'It was read before Lock.' });
      // Its bytes would be found to come after Lock.
      const isGiven = await person.read(address).then(
        () => true,
        () => false,
      );
      if (isGiven && !person.cannotTakeBack) person.broken('an address gives a file after Lock');
      await person.atHome();
    }),
    once('Lock here ends nothing in the other tab', async (world) => {
      const { person } = world;
      await person.atHome();
      const mine = await person.open('bb.bin');
      await person.read(mine, { to: 10 });
      const address = await person.open('a.bin', await world.other());
      const ended = await whileReading(person, address, () => person.lock());
      await person.atHome();
      if (ended !== null) throw ended;
    }),
  ],
};

export const stories: readonly Story[] = [
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
