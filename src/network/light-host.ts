/**
 * The light node's libp2p host in a service worker: it dials and is never dialled. It knows transports and
 * peers; its owner chooses the requests and verifies the replies.
 */
import './rtc/install.ts';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { identify } from '@libp2p/identify';
import type { Connection } from '@libp2p/interface';
import { webRTC, webRTCDirect } from '@libp2p/webrtc';
import { webSockets } from '@libp2p/websockets';
import { createLibp2p, type Libp2p } from 'libp2p';
import { nameToId } from '#address/xor-name.ts';
import type { ElderView, Transport, TransportPreference } from '#bridge/worker-messages.ts';
import { err, type Result } from '#core/result.ts';
import { dialAddresses, hostDefaults, rtcConfiguration } from './libp2p-parts.ts';
import { nameToPeerId } from './peer-id.ts';
import { limitPeerStore } from './limits/peer-store.ts';
import { protocolName } from './protocols.ts';
import { addressesFor, orderTransports } from './transport-order.ts';
import { limitRelayedDials } from './limits/relayed-dials.ts';
import type { RequestTimeout, RpcError } from './rpc/rpc-stream.ts';
import { rtcAllowance } from './rtc/budget.ts';
import { hasRtcHost, rtcUsed } from './rtc/worker-proxy.ts';
import { createStreamPool } from './rpc/stream-pool.ts';

export interface LightHostOptions {
  /** Multiaddrs of bootstrap nodes, with their peer ids. */
  readonly bootstrap: readonly string[];
  readonly tag: string;
  /**
   * The app was served from this machine or a private network, so nodes with private addresses are allowed.
   */
  readonly isPrivate: boolean;
  readonly preference: () => TransportPreference;
  /** Resolves when a page hosts connections, or when waiting for one is pointless. */
  readonly rtcReady: () => Promise<void>;
  /** The last working transport of each elder, from previous runs of the worker. */
  readonly lastTransports: ReadonlyMap<string, Transport>;
  readonly onChange: () => void;
}

export interface ElderPeer {
  readonly name: Uint8Array;
  readonly addresses: readonly string[];
}

export interface LightHost {
  /** Sends a request to one elder; connects by the preferred transport first. */
  readonly ask: (
    elder: ElderPeer,
    request: Uint8Array,
    timeout: RequestTimeout,
    signal?: AbortSignal,
  ) => Promise<Result<Uint8Array, RpcError>>;
  /** Sends a request to a bootstrap node over WebSocket. */
  readonly askBootstrap: (
    index: number,
    request: Uint8Array,
    timeoutMs: number,
  ) => Promise<Result<Uint8Array, RpcError>>;
  readonly view: (
    name: Uint8Array,
  ) => Pick<ElderView, 'transport' | 'state' | 'roundTripMs' | 'bytesIn' | 'bytesOut'>;
  /** A dial failed recently: calls fail without a new attempt until the backoff is over. */
  readonly isBackingOff: (name: Uint8Array) => boolean;
  /**
   * Closes connections that a preferred transport could replace (a page now hosts WebRTC, or the choice
   * changed).
   */
  readonly reconnectByPreference: () => void;
  readonly stop: () => Promise<void>;
}

/** Dials run a few at a time: a burst would spend the WebRTC budget on elders that are not needed. */
const maxDialsAtOnce = 3;
/** Elders whose state is kept; above this, the oldest without a connection are evicted. */
const maxPeerStates = 1_024;
const dialTimeoutMs: Readonly<Record<Transport, number>> = {
  relayed: 8_000,
  direct: 6_000,
  websocket: 5_000,
};
const backOffMs = [500, 1_000, 2_000, 5_000, 10_000, 30_000] as const;

export async function createLightHost(options: LightHostOptions): Promise<LightHost> {
  const libp2p = await createDialOnlyLibp2p(options.bootstrap);
  await libp2p.start();
  const streams = createStreamPool();
  const protocol = protocolName('client', options.tag);
  const elders = new ElderConnections(libp2p, options, streams.drop);

  return {
    ask: async (elder, request, timeout, signal) => {
      const id = nameToId(elder.name);
      const startedMs = performance.now();
      const reply = await streams.request(
        id,
        protocol,
        () => elders.connect(elder, id),
        request,
        timeout,
        signal,
      );
      if (reply.ok && request.length < 1_024) {
        elders.stateOf(id).roundTripMs = Math.round(performance.now() - startedMs);
      }
      return reply;
    },
    askBootstrap: async (index, request, timeoutMs) => {
      const address = options.bootstrap[index % options.bootstrap.length];
      if (address === undefined) return err({ kind: 'unreachable' });
      const connect = (): Promise<Connection> => dialAddresses(libp2p, [address], timeoutMs);
      return streams.request(address, protocol, connect, request, timeoutMs);
    },
    view: (name) => {
      const id = nameToId(name);
      const { transport, state, roundTripMs } = elders.stateOf(id);
      return { transport, state, roundTripMs, ...streams.counters(id) };
    },
    isBackingOff: (name) => {
      const { connection, connecting, retryAtMs } = elders.stateOf(nameToId(name));
      return connection?.status !== 'open' && connecting === undefined && Date.now() < retryAtMs;
    },
    reconnectByPreference: () => elders.reconnectByPreference(),
    stop: async () => {
      await libp2p.stop();
    },
  };
}

async function createDialOnlyLibp2p(bootstrap: readonly string[]): Promise<Libp2p> {
  const libp2p = await createLibp2p({
    ...hostDefaults,
    addresses: { listen: [] },
    transports: [
      webSockets(),
      limitRelayedDials(circuitRelayTransport(), () => false),
      webRTC({ rtcConfiguration }),
      webRTCDirect({ rtcConfiguration }),
    ],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: { maxConnections: 30, maxParallelDials: 4, dialTimeout: 10_000 },
    services: { identify: identify() },
  });
  const relays = new Set(bootstrap.map((each) => each.split('/p2p/').at(-1)));
  limitPeerStore(libp2p, (peerId) => relays.has(peerId.toString()));
  return libp2p;
}

interface ElderState {
  transport: Transport | null;
  state: ElderView['state'];
  roundTripMs: number | null;
  lastWorking: Transport | null;
  readonly failed: Set<Transport>;
  failures: number;
  retryAtMs: number;
  connecting: Promise<Connection> | undefined;
  connection: Connection | undefined;
}

/** One connection to each elder, by the transport that works and is preferred. */
class ElderConnections {
  readonly #libp2p: Libp2p;
  readonly #options: LightHostOptions;
  readonly #onClosed: (id: string) => void;
  readonly #states = new Map<string, ElderState>();
  readonly #limitDials = createSemaphore(maxDialsAtOnce);
  /** WebRTC connections made before this worker first dialled (-1: not read yet), and by it. */
  #rtcUsedBefore = -1;
  #rtcOpened = 0;
  #isDirectRefused = false;

  constructor(libp2p: Libp2p, options: LightHostOptions, onClosed: (id: string) => void) {
    this.#libp2p = libp2p;
    this.#options = options;
    this.#onClosed = onClosed;
  }

  stateOf(id: string): ElderState {
    const known = this.#states.get(id);
    if (known !== undefined) return known;
    const state: ElderState = {
      transport: null,
      state: 'idle',
      roundTripMs: null,
      lastWorking: this.#options.lastTransports.get(id) ?? null,
      failed: new Set<Transport>(),
      failures: 0,
      retryAtMs: 0,
      connecting: undefined,
      connection: undefined,
    };
    this.#evictIdle();
    this.#states.set(id, state);
    return state;
  }

  async connect(elder: ElderPeer, id: string): Promise<Connection> {
    const state = this.stateOf(id);
    if (state.connection?.status === 'open') return state.connection;
    if (state.connecting !== undefined) return state.connecting;
    if (Date.now() < state.retryAtMs) throw new Error('backing off');
    state.connecting = this.#limitDials(() => this.#open(elder, id, state));
    return state.connecting;
  }

  reconnectByPreference(): void {
    const preference = this.#options.preference();
    for (const state of this.#states.values()) {
      state.failed.clear();
      state.failures = 0;
      state.retryAtMs = 0;
      const better =
        preference === 'automatic'
          ? state.transport === 'websocket' && hasRtcHost() && this.#rtcLeft() > 0
          : state.transport !== preference;
      if (better) void state.connection?.close().catch(() => undefined);
    }
  }

  async #open(elder: ElderPeer, id: string, state: ElderState): Promise<Connection> {
    const { onChange } = this.#options;
    state.state = 'dialling';
    onChange();
    try {
      const connection = await this.#dial(elder, state);
      state.connection = connection;
      state.state = 'connected';
      state.failures = 0;
      connection.addEventListener('close', () => {
        if (state.connection !== connection) return;
        state.connection = undefined;
        state.transport = null;
        state.state = 'idle';
        this.#onClosed(id);
        onChange();
      });
      return connection;
    } catch (error) {
      state.state = 'unreachable';
      state.retryAtMs = Date.now() + (backOffMs[state.failures] ?? 30_000);
      state.failures += 1;
      throw error;
    } finally {
      state.connecting = undefined;
      onChange();
    }
  }

  async #dial(elder: ElderPeer, state: ElderState): Promise<Connection> {
    await this.#options.rtcReady();
    let last: unknown = new Error('no connection to this elder');
    const transports = orderTransports({
      preference: this.#options.preference(),
      rtcHost: hasRtcHost(),
      rtcUsed: rtcUsed(),
      rtcLeft: this.#rtcLeft(),
      lastWorking: state.lastWorking,
      failed: state.failed,
      directRefused: this.#isDirectRefused,
    });
    for (const transport of transports) {
      try {
        const connection = await this.#dialOver(elder, transport);
        state.failed.delete(transport);
        state.transport = transport;
        state.lastWorking = transport;
        return connection;
      } catch (error) {
        state.failed.add(transport);
        // Chrome refuses changed SDP for every elder, not only for this one.
        if (transport === 'direct' && isSdpRefusal(error)) this.#isDirectRefused = true;
        last = error;
      }
    }
    throw last;
  }

  async #dialOver({ name, addresses }: ElderPeer, transport: Transport): Promise<Connection> {
    const { bootstrap, isPrivate } = this.#options;
    const peerId = nameToPeerId(name).toString();
    const usable = addressesFor(transport, peerId, addresses, bootstrap, isPrivate);
    if (usable.length === 0) throw new Error(`no ${transport} address`);
    if (transport !== 'websocket') this.#rtcOpened += 1;
    return dialAddresses(this.#libp2p, usable, dialTimeoutMs[transport]);
  }

  #rtcLeft(): number {
    if (this.#rtcUsedBefore < 0) this.#rtcUsedBefore = rtcUsed();
    return rtcAllowance(this.#rtcUsedBefore) - this.#rtcOpened;
  }

  #evictIdle(): void {
    for (const [id, { connection, connecting }] of this.#states) {
      if (this.#states.size < maxPeerStates) return;
      if (connection === undefined && connecting === undefined) this.#states.delete(id);
    }
  }
}

const isSdpRefusal = (error: unknown): boolean =>
  error instanceof Error &&
  /InvalidModification|SDP is modified/.test(`${error.name} ${error.message}`);

/** Runs at most `width` tasks at the same time, the others in order of arrival. */
function createSemaphore(width: number): <T>(task: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (task) => {
    if (running >= width) await new Promise<void>((resolve) => waiting.push(resolve));
    running += 1;
    try {
      return await task();
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  };
}
