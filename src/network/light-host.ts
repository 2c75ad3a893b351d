/**
 * The light node's libp2p host, made for a service worker: it dials, and is never dialled.
 * It knows roads and peers; what is asked and whether answers are true is its owner's matter.
 */
import './rtc/install.ts';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { identify } from '@libp2p/identify';
import type { Connection } from '@libp2p/interface';
import { webRTC, webRTCDirect } from '@libp2p/webrtc';
import { webSockets } from '@libp2p/websockets';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2p } from 'libp2p';
import { nameToId } from '#address/xor-name.ts';
import type { ElderView, Road, RoadPreference } from '#bridge/worker.ts';
import { err, type Result } from '#core/result.ts';
import { nameToPeerId } from './peer.ts';
import { boundPeerStore } from './peer-store.ts';
import { protocolName } from './protocols.ts';
import { addressesFor, orderRoads } from './roads.ts';
import { limitRelayedDials } from './relayed-dials.ts';
import type { Patience, RpcError } from './rpc.ts';
import { rtcAllowance } from './rtc/budget.ts';
import { hasRtcHost, rtcUsed } from './rtc/stand-in.ts';
import { createStreamPool } from './streams.ts';

export interface LightHostOptions {
  /** Multiaddrs of bootstrap nodes, with their peer ids. */
  readonly bootstrap: readonly string[];
  readonly tag: string;
  /** The app came from this machine or a private network: its nodes may be there, too. */
  readonly isPrivate: boolean;
  readonly preference: () => RoadPreference;
  /** Resolves when a page hosts connections, or when waiting for one is pointless. */
  readonly rtcReady: () => Promise<void>;
  /** The roads that worked in earlier lives of the worker, by elder. */
  readonly lastRoads: ReadonlyMap<string, Road>;
  readonly onChange: () => void;
}

export interface ElderPeer {
  readonly name: Uint8Array;
  readonly addresses: readonly string[];
}

export interface LightHost {
  /** Asks one elder; connects by the best road first. */
  readonly ask: (
    elder: ElderPeer,
    request: Uint8Array,
    patience: Patience,
    signal?: AbortSignal,
  ) => Promise<Result<Uint8Array, RpcError>>;
  /** Asks a bootstrap node over WebSocket. */
  readonly askBootstrap: (
    index: number,
    request: Uint8Array,
    timeoutMs: number,
  ) => Promise<Result<Uint8Array, RpcError>>;
  readonly view: (
    name: Uint8Array,
  ) => Pick<ElderView, 'road' | 'state' | 'roundTripMs' | 'bytesIn' | 'bytesOut'>;
  /** It could not be reached a moment ago and is not dialled now: a call fails without a try. */
  readonly resting: (name: Uint8Array) => boolean;
  /** Lets connections go that a better road could replace (a page has come, or a choice changed). */
  readonly reconsider: () => void;
  readonly stop: () => Promise<void>;
}

/** Dials run a few at a time: a burst would spend the budget on elders that are not needed. */
const maxDialsAtOnce = 3;
/** Elders whose state is kept; beyond, those without a connection are forgotten, the oldest first. */
const maxPeerStates = 1_024;
const dialTimeoutMs: Readonly<Record<Road, number>> = {
  relayed: 8_000,
  direct: 6_000,
  websocket: 5_000,
};
const backOffMs = [500, 1_000, 2_000, 5_000, 10_000, 30_000] as const;

interface PeerState {
  road: Road | null;
  state: ElderView['state'];
  roundTripMs: number | null;
  lastGood: Road | null;
  readonly failed: Set<Road>;
  failures: number;
  notBefore: number;
  connecting: Promise<Connection> | undefined;
  connection: Connection | undefined;
}

export async function createLightHost(options: LightHostOptions): Promise<LightHost> {
  const rtcConfiguration = { iceServers: [] };
  const libp2p: Libp2p = await createLibp2p({
    start: false,
    addresses: { listen: [] },
    transports: [
      webSockets(),
      limitRelayedDials(circuitRelayTransport(), () => false),
      webRTC({ rtcConfiguration }),
      webRTCDirect({ rtcConfiguration }),
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: { maxConnections: 30, maxParallelDials: 4, dialTimeout: 10_000 },
    services: { identify: identify() },
  });
  const relays = new Set(options.bootstrap.map((each) => each.split('/p2p/').at(-1)));
  boundPeerStore(libp2p, (peerId) => relays.has(peerId.toString()));
  await libp2p.start();
  const streams = createStreamPool();
  const protocol = protocolName('client', options.tag);
  const peers = new Map<string, PeerState>();
  const gate = createGate(maxDialsAtOnce);
  const rtcAtStart = { used: -1, opened: 0 };
  let directRefused = false;

  const forgetIdle = (): void => {
    for (const [id, { connection, connecting }] of peers) {
      if (peers.size < maxPeerStates) return;
      if (connection === undefined && connecting === undefined) peers.delete(id);
    }
  };
  const stateOf = (id: string): PeerState => {
    const known = peers.get(id) ?? {
      road: null,
      state: 'idle',
      roundTripMs: null,
      lastGood: options.lastRoads.get(id) ?? null,
      failed: new Set<Road>(),
      failures: 0,
      notBefore: 0,
      connecting: undefined,
      connection: undefined,
    };
    if (!peers.has(id)) forgetIdle();
    peers.set(id, known);
    return known;
  };

  const rtcLeft = (): number => {
    if (rtcAtStart.used < 0) rtcAtStart.used = rtcUsed();
    return rtcAllowance(rtcAtStart.used) - rtcAtStart.opened;
  };

  const dialRoad = async (elder: ElderPeer, road: Road): Promise<Connection> => {
    const peerId = nameToPeerId(elder.name).toString();
    const addresses = addressesFor(
      road,
      peerId,
      elder.addresses,
      options.bootstrap,
      options.isPrivate,
    );
    if (addresses.length === 0) throw new Error(`no ${road} address`);
    if (road !== 'websocket') rtcAtStart.opened += 1;
    const signal = AbortSignal.timeout(dialTimeoutMs[road]);
    return libp2p.dial(
      addresses.map((address) => multiaddr(address)),
      { signal },
    );
  };

  const dial = async (elder: ElderPeer, peer: PeerState): Promise<Connection> => {
    await options.rtcReady();
    let last: unknown = new Error('no road to this elder');
    const roads = orderRoads({
      preference: options.preference(),
      rtcHost: hasRtcHost(),
      rtcUsed: rtcUsed(),
      rtcLeft: rtcLeft(),
      lastGood: peer.lastGood,
      failed: peer.failed,
      directRefused,
    });
    for (const road of roads) {
      try {
        const connection = await dialRoad(elder, road);
        peer.failed.delete(road);
        peer.road = road;
        peer.lastGood = road;
        return connection;
      } catch (error) {
        peer.failed.add(road);
        // Chrome's refusal of changed SDP is the browser's, not this elder's.
        if (road === 'direct' && isSdpRefusal(error)) directRefused = true;
        last = error;
      }
    }
    throw last;
  };

  const connect = async (elder: ElderPeer, id: string): Promise<Connection> => {
    const peer = stateOf(id);
    if (peer.connection?.status === 'open') return peer.connection;
    if (peer.connecting !== undefined) return peer.connecting;
    if (Date.now() < peer.notBefore) throw new Error('backing off');
    const connecting = gate(async () => {
      peer.state = 'dialling';
      options.onChange();
      try {
        const connection = await dial(elder, peer);
        peer.connection = connection;
        peer.state = 'connected';
        peer.failures = 0;
        connection.addEventListener('close', () => {
          if (peer.connection !== connection) return;
          peer.connection = undefined;
          peer.road = null;
          peer.state = 'idle';
          streams.drop(id);
          options.onChange();
        });
        return connection;
      } catch (error) {
        peer.state = 'unreachable';
        peer.notBefore = Date.now() + (backOffMs[peer.failures] ?? 30_000);
        peer.failures += 1;
        throw error;
      } finally {
        peer.connecting = undefined;
        options.onChange();
      }
    });
    peer.connecting = connecting;
    return connecting;
  };

  return {
    ask: async (elder, request, patience, signal) => {
      const id = nameToId(elder.name);
      const startedMs = performance.now();
      const reply = await streams.request(
        id,
        protocol,
        () => connect(elder, id),
        request,
        patience,
        signal,
      );
      if (reply.ok && request.length < 1_024) {
        stateOf(id).roundTripMs = Math.round(performance.now() - startedMs);
      }
      return reply;
    },
    askBootstrap: async (index, request, timeoutMs) => {
      const address = options.bootstrap[index % options.bootstrap.length];
      if (address === undefined) return err({ kind: 'unreachable' });
      const connectBootstrap = (): Promise<Connection> =>
        libp2p.dial(multiaddr(address), { signal: AbortSignal.timeout(timeoutMs) });
      return streams.request(address, protocol, connectBootstrap, request, timeoutMs);
    },
    view: (name) => {
      const id = nameToId(name);
      const { road, state, roundTripMs } = stateOf(id);
      return { road, state, roundTripMs, ...streams.counters(id) };
    },
    resting: (name) => {
      const { connection, connecting, notBefore } = stateOf(nameToId(name));
      return connection?.status !== 'open' && connecting === undefined && Date.now() < notBefore;
    },
    reconsider: () => {
      for (const peer of peers.values()) {
        peer.failed.clear();
        peer.failures = 0;
        peer.notBefore = 0;
        const preference = options.preference();
        const better =
          preference === 'automatic'
            ? peer.road === 'websocket' && hasRtcHost() && rtcLeft() > 0
            : peer.road !== preference;
        if (better) void peer.connection?.close().catch(() => undefined);
      }
    },
    stop: async () => {
      await libp2p.stop();
    },
  };
}

const isSdpRefusal = (error: unknown): boolean =>
  error instanceof Error &&
  /InvalidModification|SDP is modified/.test(`${error.name} ${error.message}`);

/** Runs at most `width` tasks at once, the others in order of arrival. */
function createGate(width: number): <T>(task: () => Promise<T>) => Promise<T> {
  const turns: (() => void)[] = [];
  let running = 0;
  return async (task) => {
    if (running >= width) await new Promise<void>((turn) => turns.push(turn));
    running += 1;
    try {
      return await task();
    } finally {
      running -= 1;
      turns.shift()?.();
    }
  };
}
