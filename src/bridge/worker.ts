/**
 * Page and vault ⇄ service worker. Calls are `POST /safe/rpc/<name>` with a CBOR or binary body: a
 * functional event, which wakes a worker the browser has put to sleep. Every call may be repeated.
 */

export const rpcPath = '/safe/rpc/';
export const filesPath = '/safe/files/';
/** Present on every answer of the worker, so that a static server's 404 is never taken for one. */
export const workerHeader = 'x-safe-worker';
/** The vault names the network its Safe belongs to: a worker on another one refuses the call. */
export const networkHeader = 'x-safe-network';
/** On every call: a form of another site cannot send it. */
export const callHeader = 'x-safe-call';

export type Road = 'relayed' | 'direct' | 'websocket';
export type RoadPreference = 'automatic' | Road;

export interface ElderView {
  /** Hex of the elder's name. */
  readonly name: string;
  readonly age: number;
  readonly road: Road | null;
  readonly state: 'idle' | 'dialling' | 'connected' | 'unreachable';
  readonly roundTripMs: number | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** A member that is no elder. */
export interface AdultView {
  /** Hex of its name. */
  readonly name: string;
  readonly age: number;
}

/** So few elders answer this device that the section cannot decide (N29). */
export interface StallView {
  /** Elders whose last call was answered; those never asked are not among them. */
  readonly answering: number;
  /** How many answer, what waits because of it, and that it goes on by itself. */
  readonly sentence: string;
}

/** One section as this device has verified it. */
export interface SectionView {
  /** Its bits as text; "()" is the whole network. */
  readonly prefix: string;
  /** Hex. */
  readonly key: string;
  /** Handovers since the birth of the network. */
  readonly epoch: number;
  readonly generation: number;
  readonly elders: readonly ElderView[];
  readonly adults: readonly AdultView[];
  /** Null while it can decide, or while it is not known that it cannot. */
  readonly stall: StallView | null;
}

/**
 * What the Network page shows; the answer to `POST /safe/rpc/status` as JSON. With `?look` the
 * worker also asks an elder whether a section has moved on, at most every few seconds.
 */
export interface NetworkView {
  /** Changes when the browser has restarted the worker. */
  readonly instance: string;
  readonly network: { readonly name: string; readonly networkId: string } | null;
  /** `verified` once the section authority's signature fits the genesis key. */
  readonly trust: 'unknown' | 'verified' | 'refused';
  /** One sentence on what `trust` rests on, or why it is refused. */
  readonly sentence: string;
  /** The section this device asks first. */
  readonly section: SectionView | null;
  /** Every section verified so far, by prefix. */
  readonly sections: readonly SectionView[];
  /** The newest epoch of any of them (N33). */
  readonly verifiedEpoch: number;
  /** The newest epoch that shipped with this version of the app; null where none did (N33). */
  readonly checkpointEpoch: number | null;
  /** Five elders have signed two successors of one key; the second was not believed (N33). */
  readonly fork: { readonly epoch: number; readonly prefix: string } | null;
  readonly rtc: {
    /** RTCPeerConnections constructed in the hosting tab's life, and where WebRTC is switched off. */
    readonly used: number;
    /** How many of them are open for this life of the worker. */
    readonly open: number;
    readonly limit: number;
    readonly host: boolean;
  };
  readonly preference: RoadPreference;
  readonly offlineReady: boolean;
}

/** Messages a page posts to `registration.active`. */
export type PageToWorker =
  /** Offers a port on which this page hosts RTCPeerConnections; `used`: how many it has made. */
  | { readonly kind: 'rtcHost'; readonly used: number }
  /** Keeps the worker alive while something is in flight or a visible Safe is unlocked. */
  | { readonly kind: 'keepAlive' }
  /** A page that was loaded past the worker (hard reload) asks to be taken over. */
  | { readonly kind: 'claim' }
  | { readonly kind: 'applyUpdate' };

/** Messages the worker posts to its pages. */
export type WorkerToPage =
  | { readonly kind: 'network'; readonly view: NetworkView }
  | { readonly kind: 'needRtcHost'; readonly instance: string }
  | { readonly kind: 'alive'; readonly instance: string }
  /** The worker was restarted and has lost the read key of a file being opened. */
  | { readonly kind: 'needFileKey'; readonly token: string };
