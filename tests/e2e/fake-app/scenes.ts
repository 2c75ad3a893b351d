/** The data shown on the screens: one name per state a person can meet. */
import type { ShellView } from '../../../src/bridge/page.ts';
import type { VaultView } from '../../../src/bridge/vault.ts';
import type { ElderView, NetworkView, SectionView } from '../../../src/bridge/worker-messages.ts';
import { unreadableWallet } from '../../../src/vault/wallet/unreadable-wallet.ts';

export const phrase: readonly string[] =
  'legal winner thank year wave sausage worth useful legal winner thank yellow orbit'.split(' ');

export const shells = {
  ready: { offlineReady: true, online: true, updateReady: false, unsupported: null },
  preparing: { offlineReady: false, online: true, updateReady: false, unsupported: null },
  offline: { offlineReady: true, online: false, updateReady: false, unsupported: null },
  update: { offlineReady: true, online: true, updateReady: true, unsupported: null },
  unsupported: {
    offlineReady: false,
    online: true,
    updateReady: false,
    unsupported:
      'This browser does not allow service workers here. Open Safe in a normal (not private) window, or use another browser.',
  },
} satisfies Record<string, ShellView>;

const hour = 3_600_000;
const now = Date.now();

export const openSafe: Extract<VaultView, { kind: 'open' }> = {
  kind: 'open',
  fingerprint: 'harbor lantern oxide',
  published: 'published',
  files: [
    {
      id: 'a',
      name: 'Grandmother’s recipes, scanned.pdf',
      size: 48_210_334,
      type: 'application/pdf',
      addedAt: now - 2 * hour,
    },
    { id: 'b', name: 'harbour.jpg', size: 3_481_204, type: 'image/jpeg', addedAt: now - 30 * hour },
    {
      id: 'c',
      name: 'a-file-name-that-somebody-made-very-very-long-without-a-single-space-in-it-2026-final.tar.gz',
      size: 812_000_001,
      type: 'application/gzip',
      addedAt: now - 24 * 40 * hour,
    },
    { id: 'd', name: 'notes', size: 1, type: 'text/plain', addedAt: now - 24 * 400 * hour },
  ],
  removedFiles: [
    { id: 'r', name: 'old draft.txt', size: 2_300, type: 'text/plain', addedAt: now - 50 * hour },
  ],
  transfers: [],
  money: {
    balance: '1250.75',
    readable: true,
    address: 'safe1qw508d6qejxtdg4y5r3zarvary0c5xw7kg3g4tyqw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4',
    addressWords: 'copper meadow violin',
    faucet: true,
    notice: '',
    payments: [
      {
        id: 'p1',
        direction: 'out',
        amount: '12.5',
        memo: 'Bread and cheese',
        at: now - hour / 4,
        stage: 'committing',
        sentence: 'Five of seven elders have to sign; four have.',
        recipientUnknown: false,
      },
      {
        id: 'p2',
        direction: 'out',
        amount: '40',
        memo: '',
        at: now - 3 * hour,
        stage: 'registered',
        sentence: 'The other person can see it.',
        recipientUnknown: true,
      },
      {
        id: 'p3',
        direction: 'in',
        amount: '300',
        memo: 'Rent, October',
        at: now - 28 * hour,
        stage: 'registered',
        sentence: '',
        recipientUnknown: false,
      },
      {
        id: 'p4',
        direction: 'out',
        amount: '7',
        memo: '',
        at: now - 29 * hour,
        stage: 'replaced',
        sentence:
          'Another device of this Safe had already begun a payment with the same money, of 40; it was completed. Nothing was sent twice and nothing is lost: send again if it is still owed.',
        recipientUnknown: false,
      },
      {
        id: 'p5',
        direction: 'in',
        amount: '1000',
        memo: 'Test money',
        at: now - 24 * 60 * hour,
        stage: 'final',
        sentence: '',
        recipientUnknown: false,
      },
    ],
  },
  notice: '',
};

const elder = (
  name: string,
  age: number,
  transport: ElderView['transport'],
  state: ElderView['state'],
  roundTripMs: number | null,
): ElderView => ({
  name: name.repeat(8),
  age,
  transport,
  state,
  roundTripMs,
  bytesIn: state === 'connected' ? 4_200_000 * age : 0,
  bytesOut: state === 'connected' ? 31_000 * age : 900,
});

const adult = (name: string, age: number): SectionView['adults'][number] => ({
  name: name.repeat(8),
  age,
});

const whole: SectionView = {
  prefix: '()',
  key: 'b1a6f7c04d2e9b853c6f11a0e45d79028c3b6e5fd10492a7bb3c86e0d97f5a12',
  epoch: 0,
  generation: 3,
  elders: [
    elder('0c41e2b7', 98, 'direct', 'connected', 12.4),
    elder('1fa0934d', 96, 'direct', 'connected', 14),
    elder('4b22c801', 95, 'relayed', 'connected', 48),
    elder('7d9e6613', 93, 'websocket', 'connected', 9),
    elder('a3075bfe', 92, 'relayed', 'dialling', null),
    elder('c86f1d24', 91, null, 'unreachable', null),
    elder('e90b47aa', 90, null, 'idle', null),
  ],
  adults: [
    adult('2e7741b0', 7),
    adult('91d6a0c3', 6),
    adult('b85500fe', 6),
    adult('33c9e812', 5),
    adult('58f2d7a9', 5),
    adult('d41b96e6', 5),
  ],
  stall: null,
};
/** The unreachable elder is gone, and the oldest adult has replaced it. */
const handedOver: SectionView = {
  ...whole,
  key: '4e90c2d7a1835f6be2047d19c6b8fa3305d1e97b62f4a8c01d3957e6b0824fca',
  epoch: 1,
  generation: 9,
  elders: [
    ...whole.elders.filter(({ name }) => !name.startsWith('c86f')),
    elder('2e7741b0', 7, 'websocket', 'connected', 11),
  ],
  adults: whole.adults.slice(1),
};
const zero: SectionView = {
  ...handedOver,
  prefix: '0',
  key: 'a77c10be54d2f9e6308b1c4d95ae62f7031b8dc46e5f90a2b7c3d18e4f6059ab',
  epoch: 2,
  generation: 31,
};
const one: SectionView = {
  prefix: '1',
  key: '90d3ef61b2a4c785d01e96fb34c8a5720e6fb19d83c24a57f1e0962bd8437c5e',
  epoch: 2,
  generation: 33,
  elders: [
    elder('8a10f3d2', 12, null, 'idle', null),
    elder('96b7c0e4', 11, null, 'idle', null),
    elder('a3075bfe', 92, 'relayed', 'connected', 51),
    elder('b85500fe', 9, null, 'idle', null),
    elder('c2290d71', 8, null, 'idle', null),
    elder('d41b96e6', 8, null, 'unreachable', null),
    elder('e90b47aa', 90, null, 'idle', null),
  ],
  adults: [adult('f00dcafe', 5), adult('88aa1177', 5)],
  stall: null,
};

const stalledWhole =
  'The section cannot decide at the moment: 4 of its 7 elders answer this device, and 5 are needed. Payments wait and nothing is lost; files can still be read. Safe continues as soon as 5 answer again.';
const stalledOne =
  'Section 1 cannot decide at the moment: at most 4 of its 7 elders answer this device, and 5 are needed. Payments wait and nothing is lost; files can still be read. Safe continues as soon as 5 answer again.';
const undecided: SectionView = {
  ...whole,
  elders: whole.elders.map((each, at) =>
    at < 4 ? each : { ...each, transport: null, state: 'unreachable', roundTripMs: null },
  ),
  stall: { answering: 4, sentence: stalledWhole },
};

const good: NetworkView = {
  instance: '7f3a91',
  network: {
    name: 'Local network',
    networkId: '9f1c44de0b7a5ce2aa80431bd2295c1a55ce7b01d4c7e0a49d2b8130ff0c6e21',
  },
  trust: 'verified',
  sentence:
    'Five of seven elders signed this section, and their key is the one this network was created with.',
  section: whole,
  sections: [whole],
  verifiedEpoch: 0,
  checkpointEpoch: null,
  fork: null,
  rtc: { used: 12, open: 5, limit: 400, host: true },
  preference: 'automatic',
  offlineReady: true,
};
const followed =
  'Five of seven elders signed this section. Each key since the network was created was signed by the one before it.';

export const networks = {
  good,
  handedOver: {
    ...good,
    sentence: followed,
    section: handedOver,
    sections: [handedOver],
    verifiedEpoch: 1,
  },
  split: {
    ...good,
    checkpointEpoch: 1,
    sentence: followed,
    section: zero,
    sections: [zero, one],
    verifiedEpoch: 2,
  },
  /** Further splits; one half is not known yet. */
  many: {
    ...good,
    sentence: followed,
    section: { ...zero, prefix: '00', epoch: 3 },
    sections: [
      { ...zero, prefix: '00', epoch: 3 },
      { ...one, prefix: '01', key: `01${one.key}`, epoch: 3 },
      { ...one, prefix: '110', key: `11${one.key}`, epoch: 5 },
      { ...one, prefix: '111', key: `12${one.key}`, epoch: 5 },
    ],
    verifiedEpoch: 5,
  },
  /** N29: three elders are gone, in the section this device asks first. */
  stalled: { ...good, section: undecided, sections: [undecided] },
  /** One half of a split decides, the other cannot. */
  halfStalled: {
    ...good,
    sentence: followed,
    section: zero,
    sections: [zero, { ...one, stall: { answering: 1, sentence: stalledOne } }],
    verifiedEpoch: 2,
  },
  forked: {
    ...good,
    trust: 'refused',
    sentence:
      'A section has named two different successors, so some of its elders are cheating: Safe keeps to the first and sends nothing to the second. Ask the operator of this network.',
    section: handedOver,
    sections: [handedOver],
    verifiedEpoch: 1,
    fork: { epoch: 1, prefix: '()' },
  },
  refused: {
    ...good,
    trust: 'refused',
    sentence:
      'The section’s signature does not fit the genesis key. Nothing is sent. Check that you opened the right address.',
    section: null,
    sections: [],
    rtc: { used: 0, open: 0, limit: 400, host: false },
  },
  unknown: {
    ...good,
    trust: 'unknown',
    sentence: 'No elder has answered yet. Safe keeps trying.',
    section: null,
    sections: [],
  },
} satisfies Record<string, NetworkView>;

export interface Scene {
  readonly vault: VaultView;
  readonly network?: NetworkView;
  readonly shell?: ShellView;
}

const none: VaultView = { kind: 'none' };

export const scenes = {
  starting: { vault: { kind: 'starting' }, shell: shells.preparing },
  none: { vault: none },
  offline: { vault: none, shell: shells.offline, network: networks.unknown },
  unsupported: { vault: none, shell: shells.unsupported },
  locked: { vault: { kind: 'locked', fingerprint: 'harbor lantern oxide' } },
  otherNetwork: {
    vault: {
      kind: 'otherNetwork',
      pinned: { name: 'Local network', networkId: good.network?.networkId ?? '' },
      served: {
        name: 'Somebody’s network',
        networkId: '00aa44de0b7a5ce2aa80431bd2295c1a55ce7b01d4c7e0a49d2b8130ff0cffff',
      },
    },
  },
  open: { vault: openSafe },
  unreadableMoney: {
    vault: {
      ...openSafe,
      money: { ...openSafe.money, ...unreadableWallet.view() },
    },
  },
  update: { vault: openSafe, shell: shells.update },
  fresh: {
    vault: {
      ...openSafe,
      published: 'waiting',
      files: [],
      removedFiles: [],
      money: { ...openSafe.money, balance: '0', address: '', addressWords: '', payments: [] },
    },
  },
  sending: {
    vault: {
      ...openSafe,
      notice: 'The network did not answer just now. Safe tries again by itself; you can go on.',
      transfers: [
        {
          id: 't1',
          name: 'holiday.mp4',
          size: 64_000_000,
          doneBytes: 22_400_000,
          bytesPerSecond: 3_200_000,
          state: 'sending',
          sentence: '',
        },
        {
          id: 't2',
          name: 'backup.zip',
          size: 900_000_000,
          doneBytes: 310_000_000,
          bytesPerSecond: 0,
          state: 'needsFile',
          sentence: '',
        },
        {
          id: 't3',
          name: 'letter.odt',
          size: 48_000,
          doneBytes: 0,
          bytesPerSecond: 0,
          state: 'preparing',
          sentence: '',
        },
        {
          id: 't4',
          name: 'song.flac',
          size: 31_000_000,
          doneBytes: 30_900_000,
          bytesPerSecond: 0,
          state: 'waiting',
          sentence: 'No elder answers right now. Safe keeps trying.',
        },
        {
          id: 't5',
          name: 'archive.iso',
          size: 700_000_000,
          doneBytes: 1_000,
          bytesPerSecond: 0,
          state: 'failed',
          sentence: 'This device is out of space. Free some and add the file again.',
        },
      ],
    },
  },
  refused: { vault: openSafe, network: networks.refused },
  handedOver: { vault: openSafe, network: networks.handedOver },
  split: { vault: openSafe, network: networks.split },
  many: { vault: openSafe, network: networks.many },
  forked: { vault: openSafe, network: networks.forked },
  stalled: {
    vault: {
      ...openSafe,
      money: {
        ...openSafe.money,
        payments: openSafe.money.payments.map((payment) =>
          payment.stage === 'committing' ? { ...payment, sentence: stalledWhole } : payment,
        ),
      },
      transfers: [
        {
          id: 't1',
          name: 'holiday.mp4',
          size: 64_000_000,
          doneBytes: 22_400_000,
          bytesPerSecond: 0,
          state: 'waiting',
          sentence: stalledWhole,
        },
      ],
    },
    network: networks.stalled,
  },
  halfStalled: { vault: openSafe, network: networks.halfStalled },
} satisfies Record<string, Scene>;

export type SceneName = keyof typeof scenes;
