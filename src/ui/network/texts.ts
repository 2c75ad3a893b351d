import type {
  ElderView,
  NetworkView,
  Transport,
  TransportPreference,
} from '#bridge/worker-messages.ts';

/** "()" of the worker is no bits at all. */
export const bitsOf = (prefix: string): string => (prefix === '()' ? '' : prefix);
const section = (prefix: string): string =>
  bitsOf(prefix) === '' ? 'The section' : `Section ${prefix}`;
const inside = (prefix: string): string =>
  bitsOf(prefix) === '' ? 'the section' : `section ${prefix}`;

export const networkTexts = {
  title: 'Network',
  lead: 'Who keeps your Safe, and how this device reaches them.',
  starting: 'The light node on this device is starting…',
  startingHint: 'If this stays, reload the page.',
  trust: {
    unknown: 'Not verified yet',
    verified: 'Verified',
    refused: 'Refused',
  } satisfies Record<NetworkView['trust'], string>,
  verifiedUpTo: (epoch: number) => `Verified up to epoch ${epoch}.`,
  forkTitle: 'Refused: two successors',
  sections: 'Sections',
  sectionsLead:
    'Seven elders speak for a section; five of them sign. Adults store. A section that grows splits in two.',
  place: (prefix: string) => (bitsOf(prefix) === '' ? 'The whole network' : `Section ${prefix}`),
  yours: 'asked first',
  cannotDecide: 'cannot decide now',
  epochAndGeneration: (epoch: number, generation: number) =>
    `epoch ${epoch} · generation ${generation}`,
  membersCount: (count: number) => (count === 1 ? '1 member' : `${count} members`),
  adults: (count: number) => (count === 0 ? 'No adults' : `Adults (${count})`),
  adult: (short: string, age: number) => `${short}, age ${age}`,
  map: (prefixes: readonly string[]) =>
    `Picture: the names of the network, divided among the sections ${prefixes.join(', ')}`,
  unknownHalf: 'not seen yet',
  happened: 'While you watched',
  nothingHappened: 'Nothing has changed yet. News shows up here by itself.',
  handedOver: (prefix: string, epoch: number, fresh: readonly string[]) =>
    `${section(prefix)} handed over to a new key, epoch ${epoch}` +
    (fresh.length === 0 ? '.' : `; new among its elders: ${fresh.join(', ')}.`),
  split: (whole: string, half: string) =>
    `${section(whole)} split: ${half} has elders of its own now.`,
  found: (prefix: string) => `${section(prefix)} was verified.`,
  joined: (name: string, prefix: string) => `${name} joined ${inside(prefix)}.`,
  left: (name: string, prefix: string) => `${name} is no longer in ${inside(prefix)}.`,
  picture: (connected: number, all: number) =>
    `Picture: this device in the middle, ${all} elders around it, ${connected} of them connected`,
  you: 'you',
  connected: (connected: number, all: number) => `${connected} of ${all} elders connected`,
  elders: (prefix: string) => (bitsOf(prefix) === '' ? 'Elders' : `Elders of ${prefix}`),
  elder: (short: string) => `Elder ${short}`,
  age: (age: number) => `age ${age}`,
  roads: {
    direct: 'Direct',
    relayed: 'Relayed',
    websocket: 'WebSocket',
  } satisfies Record<Transport, string>,
  noRoad: 'No road',
  states: {
    idle: 'Not needed right now',
    dialling: 'Connecting…',
    connected: 'Connected',
    unreachable: 'Not reachable',
  } satisfies Record<ElderView['state'], string>,
  traffic: (down: string, up: string) => `${down} in · ${up} out`,
  preference: 'Road to use',
  preferences: {
    automatic: 'Automatic',
    relayed: 'Relayed',
    direct: 'Direct',
    websocket: 'WebSocket',
  } satisfies Record<TransportPreference, string>,
  preferenceHints: {
    automatic: 'The best road that works for each elder.',
    relayed: 'Through the relay. Slower, and works behind most firewalls.',
    direct: 'Straight to each elder (WebRTC).',
    websocket: 'An ordinary web connection. It also works when no page is open.',
  } satisfies Record<TransportPreference, string>,
  changing: 'Changing the road…',
  network: 'Network',
  networkId: 'Network id',
  sectionKey: 'Key',
  checkpoint: 'Shipped with this app',
  checkpointValue: (epoch: number | null) =>
    epoch === null ? 'No keys of this network' : `Its keys up to epoch ${epoch}`,
  checkpointHint:
    'Keys that come with the app cannot be hidden or replaced by whoever answers first.',
  budget: 'WebRTC connections made',
  budgetValue: (used: number, limit: number) => (limit > 0 ? `${used} of ${limit}` : `${used}`),
  budgetHint: 'A browser tab can make only so many. When they are used up, WebSocket takes over.',
  host: 'WebRTC in this browser',
  hostYes: 'A page lends it to the light node',
  hostNo: 'No page lends it; WebSocket is used',
  instance: 'Light node instance',
  details: 'Details',
} as const;
