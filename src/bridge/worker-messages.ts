/** What page, vault and service worker exchange besides calls (worker-calls.ts): headers, notices, views. */
import {
  bool,
  intBetween,
  listOf,
  nullable,
  oneOf,
  record,
  textUpTo,
  union,
  type Shape,
} from '#core/codec/shape.ts';

export const rpcPath = '/safe/rpc/';
export const filesPath = '/safe/files/';
/** Present on every response of the worker, to distinguish it from a static server's 404. */
export const workerHeader = 'x-safe-worker';
/** Names the network of the vault's Safe: a worker on another one refuses the call. */
export const networkHeader = 'x-safe-network';
/** On every call: a form of another site cannot send it. */
export const callHeader = 'x-safe-call';

type Value<S> = S extends Shape<infer T> ? T : never;

const transports = ['relayed', 'direct', 'websocket'] as const;
export type Transport = (typeof transports)[number];
export const transportPreferences = ['automatic', ...transports] as const;
export type TransportPreference = (typeof transportPreferences)[number];

/** More than a network of a million nodes has. */
const maxShownSections = 64 * 1024;
const maxShownMembers = 4096;
const hex = textUpTo(256);
const sentence = textUpTo(1024);
const count = intBetween(0, Number.MAX_SAFE_INTEGER);

const elderShape = record({
  /** Hex of the elder's name. */
  name: hex,
  age: count,
  transport: nullable(oneOf(...transports)),
  state: oneOf('idle', 'dialling', 'connected', 'unreachable'),
  roundTripMs: nullable(count),
  bytesIn: count,
  bytesOut: count,
});
export type ElderView = Value<typeof elderShape>;

/** A member that is not an elder; `name` is hex. */
const adultShape = record({ name: hex, age: count });

const stallShape = record({
  /** Elders whose last call was answered; those never asked are not included. */
  answering: count,
  /** How many answer, what waits because of it, and that it is retried automatically. */
  sentence,
});
/** Too few elders answer this device for the section to decide (N29). */
export type StallView = Value<typeof stallShape>;

const sectionShape = record({
  /** Its bits as text; "()" is the whole network. */
  prefix: textUpTo(512),
  /** Hex. */
  key: hex,
  /** Handovers since genesis. */
  epoch: count,
  generation: count,
  elders: listOf(elderShape, maxShownMembers),
  adults: listOf(adultShape, maxShownMembers),
  /** Null while it can decide, or while that is unknown. */
  stall: nullable(stallShape),
});
/** One section as this device has verified it. */
export type SectionView = Value<typeof sectionShape>;

export const networkViewShape = record({
  /** Changes when the browser has restarted the worker. */
  instance: textUpTo(64),
  network: nullable(record({ name: textUpTo(64), networkId: hex })),
  /** `verified` once the section authority's signature fits the genesis key. */
  trust: oneOf('unknown', 'verified', 'refused'),
  /** One sentence on the basis of `trust`, or why it is refused. */
  sentence,
  /** The section this device asks first. */
  section: nullable(sectionShape),
  /** Every section verified so far, by prefix. */
  sections: listOf(sectionShape, maxShownSections),
  /** The newest epoch of any of them (N33). */
  verifiedEpoch: count,
  /** The newest epoch that shipped with this version of the app; null where none did (N33). */
  checkpointEpoch: nullable(count),
  /** Five elders have signed two successors of one key; the second was not accepted (N33). */
  fork: nullable(record({ epoch: count, prefix: textUpTo(512) })),
  rtc: record({
    /** RTCPeerConnections made since the hosting tab was opened, and the count that turns WebRTC off. */
    used: count,
    /** How many of them are open for this run of the worker. */
    open: count,
    limit: count,
    host: bool,
  }),
  preference: oneOf(...transportPreferences),
  offlineReady: bool,
});
/** What the Network page shows. */
export type NetworkView = Value<typeof networkViewShape>;

/** Messages a page posts to `registration.active`; others are ignored, for example of another version. */
export const pageToWorkerShape = union({
  /** Offers a port on which this page hosts RTCPeerConnections; `used`: how many it has made. */
  rtcHost: record({ used: count }),
  /** Keeps the worker alive during transfers or while a visible Safe is unlocked. */
  keepAlive: record({}),
  /** A page that was loaded past the worker (hard reload) asks to be controlled. */
  claim: record({}),
  applyUpdate: record({}),
});
export type PageToWorker = Value<typeof pageToWorkerShape>;

/** Messages the worker posts to its pages. */
export const workerToPageShape = union({
  network: record({ view: networkViewShape }),
  needRtcHost: record({ instance: textUpTo(64) }),
  alive: record({ instance: textUpTo(64) }),
  /** The worker was restarted and has lost the read key of a file being opened. */
  needFileKey: record({ token: textUpTo(64) }),
});
export type WorkerToPage = Value<typeof workerToPageShape>;
