/**
 * A node's libp2p host (Node.js). Nodes connect to each other by TCP; browsers by `/webrtc` with signalling
 * through the bootstrap node's relay, by WebRTC-Direct, or by WebSocket.
 */
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import {
  circuitRelayServer,
  circuitRelayTransport,
  type CircuitRelayService,
} from '@libp2p/circuit-relay-v2';
import { identify } from '@libp2p/identify';
import { FaultTolerance, type Connection, type PeerId, type Stream } from '@libp2p/interface';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { webRTC, webRTCDirect, type TransportCertificate } from '@libp2p/webrtc';
import { webSockets } from '@libp2p/websockets';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2p } from 'libp2p';
import { err, type Result } from '#core/result.ts';
import { addressOfPeer } from './address-checks.ts';
import { watchListeners } from './own-listeners.ts';
import { dialAddresses, hostDefaults, rtcConfiguration } from './libp2p-parts.ts';
import { addressGroupOf, PeerAccess } from './limits/peer-access.ts';
import { nameToPeerId, peerIdToName } from './peer-id.ts';
import { protocolName, type ProtocolKind } from './protocols.ts';
import { limitPeerStore } from './limits/peer-store.ts';
import { serveRpc, type ByteStream, type RpcError } from './rpc/rpc-stream.ts';
import { limitRelayedDials } from './limits/relayed-dials.ts';
import { limitInboundDials } from './rtc/inbound-limit.ts';
import { createStreamPool } from './rpc/stream-pool.ts';

export interface NodeHostOptions {
  /** ed25519 seed, 32 bytes: name and PeerId are derived from the same key. */
  readonly identitySeed: Uint8Array;
  /** An `adult` host listens on TCP only; the others also accept browsers. */
  readonly role: 'bootstrap' | 'elder' | 'adult';
  /** The address to listen on; loopback by default. */
  readonly listen?: string;
  /** Null for a dial-only host. */
  readonly tcpPort: number | null;
  readonly wsPort: number | null;
  readonly rtcDirectPort: number | null;
  /** A long-lived certificate keeps the certhash in addresses constant. */
  readonly rtcCertificate?: TransportCertificate;
  /** The relay for signalling, if any; `null` for the bootstrap node itself. */
  readonly bootstrap: { readonly tcpAddress: string | null } | null;
}

export interface Remote {
  readonly peerId: string;
  /** The remote's 32-byte name, or `null` for other kinds of keys. */
  readonly name: Uint8Array | null;
  /** See addressGroup; null where addresses do not distinguish peers. */
  readonly address: string | null;
  /** Reports that none of our programs sends such a request; repeated reports ban the sender. */
  readonly reportInvalid: () => void;
}

type RequestHandler = (request: Uint8Array, from: Remote) => Promise<Uint8Array>;

export interface NodeHost {
  readonly name: Uint8Array;
  readonly peerId: string;
  readonly addresses: () => readonly string[];
  readonly serve: (kind: ProtocolKind, tag: string, handler: RequestHandler) => Promise<void>;
  readonly request: (
    to: { readonly name: Uint8Array; readonly addresses: readonly string[] },
    kind: ProtocolKind,
    tag: string,
    request: Uint8Array,
    options: { readonly timeoutMs: number },
  ) => Promise<Result<Uint8Array, RpcError>>;
  /**
   * Opens a new connection to these addresses, whatever connections are open. @returns whether the peer
   * there has that name
   */
  readonly checkReachable: (
    to: { readonly name: Uint8Array; readonly addresses: readonly string[] },
    options: { readonly timeoutMs: number },
  ) => Promise<boolean>;
  /** The address groups (see addressGroup) from which this name is connected now. */
  readonly addressGroupsOf: (name: Uint8Array) => ReadonlySet<string | null>;
  /**
   * Sets the membership test for the sections this node knows. Until it is set, every peer may reserve a
   * slot at its relay: a network is being founded.
   */
  readonly setMembership: (isMember: (name: Uint8Array) => boolean) => void;
  /** Bytes held for requests that are incomplete, being processed, or answered and not sent. */
  readonly heldBytes: () => number;
  readonly connections: () => number;
  readonly stop: () => Promise<void>;
}

/** For all addresses together; inbound-limits.ts has the limits of one address. */
const maxInboundPerSecond = 2_000;
const maxConnections = 2_000;
/** Our programs use one; another may be opened before the old one has ended. */
const maxStreamsPerProtocol = 16;
/** Relay reservations the bootstrap node grants: elders and nodes behind routers. */
const maxReservations = 512;
/** New WebRTC-Direct handshakes per second; each may cost 130 kB before the peer is authenticated. */
const maxRtcHandshakesPerSecond = 25;
/** The part of it for one address. */
const maxRtcHandshakesPerAddress = 5;

/** Errors: throws {@link PortTaken}. */
export async function createNodeHost(options: NodeHostOptions): Promise<NodeHost> {
  const access = new PeerAccess();
  const libp2p = await createOwnLibp2p(options, access);
  const listeners = watchListeners(libp2p);
  await libp2p.start();
  // Only a relay may be missing: without its own port a node would lack a transport and not notice.
  const missing = listenTargets(options).find(({ suffix }) => !listeners.listensAt(suffix));
  if (missing !== undefined) {
    // A WebRTC-Direct listener that failed to listen also fails to close: stop() rejects after it has
    // closed all others.
    await Promise.allSettled([libp2p.stop()]);
    throw new PortTaken(missing.port);
  }
  const streams = createStreamPool();

  return {
    name: peerIdToName(libp2p.peerId) as Uint8Array,
    peerId: libp2p.peerId.toString(),
    addresses: listeners.addresses,
    serve: (kind, tag, handler) =>
      libp2p.handle(protocolName(kind, tag), streamHandler(libp2p, access, handler), {
        maxInboundStreams: maxStreamsPerProtocol,
        maxOutboundStreams: maxStreamsPerProtocol,
      }),
    request: async (to, kind, tag, request, { timeoutMs }) => {
      const peerId = nameToPeerId(to.name);
      if (peerId.equals(libp2p.peerId)) return err({ kind: 'unreachable' });
      const connect = async (): Promise<Connection> =>
        libp2p.getConnections(peerId)[0] ?? dial(libp2p, peerId, to.addresses, timeoutMs, false);
      return streams.request(
        peerId.toString(),
        protocolName(kind, tag),
        connect,
        request,
        timeoutMs,
      );
    },
    checkReachable: async (to, { timeoutMs }) => {
      const peerId = nameToPeerId(to.name);
      if (peerId.equals(libp2p.peerId)) return false;
      const wasOpen = libp2p.getConnections(peerId).length > 0;
      try {
        const connection = await dial(libp2p, peerId, to.addresses, timeoutMs, true);
        // One connection is enough: the other keeps carrying requests in progress.
        if (wasOpen) await connection.close();
        return true;
      } catch {
        return false;
      }
    },
    addressGroupsOf: (name) =>
      new Set(libp2p.getConnections(nameToPeerId(name)).map(addressGroupOf)),
    setMembership: (isMember) => access.setMembership(isMember),
    heldBytes: access.inbound.heldBytes,
    connections: () => libp2p.getConnections().length,
    stop: async () => {
      await libp2p.stop();
    },
  };
}

async function createOwnLibp2p(options: NodeHostOptions, access: PeerAccess): Promise<Libp2p> {
  const relayName = multiaddrName(options.bootstrap?.tcpAddress ?? '');
  const ownRelay = relayName === undefined ? undefined : nameToPeerId(relayName);
  const isOwnRelay = (peerId: PeerId): boolean => ownRelay?.equals(peerId) === true;
  const isBootstrap = options.bootstrap === null;
  const libp2p = await createLibp2p({
    ...hostDefaults,
    privateKey: await generateKeyPairFromSeed('Ed25519', options.identitySeed),
    addresses: { listen: listenAddresses(options) },
    transports: transportsFor(options, isOwnRelay),
    // An unreachable relay must not keep a node from starting.
    transportManager: { faultTolerance: FaultTolerance.NO_FATAL },
    connectionGater: access.gater,
    connectionManager: {
      maxConnections,
      inboundConnectionThreshold: maxInboundPerSecond,
      maxIncomingPendingConnections: maxInboundPerSecond,
    },
    services: {
      identify: identify(),
      ping: ping(),
      ...(isBootstrap ? { relay: circuitRelayServer({ reservations: { maxReservations } }) } : {}),
    },
  });
  const { relay } = libp2p.services as { readonly relay?: CircuitRelayService };
  access.watch(libp2p, relay);
  limitPeerStore(libp2p, isOwnRelay);
  return libp2p;
}

function transportsFor(
  { role, bootstrap, rtcDirectPort, rtcCertificate }: NodeHostOptions,
  isOwnRelay: (peerId: PeerId) => boolean,
) {
  const reachable = role !== 'adult';
  const direct = webRTCDirect({
    rtcConfiguration,
    ...(rtcCertificate === undefined ? {} : { certificate: rtcCertificate }),
  });
  return [
    tcp(),
    ...(reachable ? [webSockets(), limitRelayedDials(circuitRelayTransport(), isOwnRelay)] : []),
    ...(reachable && bootstrap !== null ? [webRTC({ rtcConfiguration })] : []),
    ...(rtcDirectPort === null
      ? []
      : [limitInboundDials(direct, maxRtcHandshakesPerSecond, maxRtcHandshakesPerAddress)]),
  ];
}

/** Serves the requests of each inbound stream, within the limits of its peer. */
function streamHandler(
  libp2p: Libp2p,
  access: PeerAccess,
  handler: RequestHandler,
): (stream: Stream, connection: Connection) => void {
  const { inbound } = access;
  return (stream, connection) => {
    const { remotePeer } = connection;
    const caller = access.callerOf(remotePeer, connection);
    const reportInvalid = (): void => {
      if (!inbound.strike(caller)) return;
      for (const open of libp2p.getConnections(remotePeer)) {
        open.abort(new Error('too many invalid requests'));
      }
    };
    const { peerId, address } = caller;
    const from: Remote = { peerId, name: peerIdToName(remotePeer), address, reportInvalid };
    if (inbound.isBanned(caller)) {
      connection.abort(new Error('too many invalid or refused requests'));
      return;
    }
    const account = inbound.open(caller, () =>
      stream.abort(new Error('others need what this peer holds')),
    );
    const answer = async (request: Uint8Array): Promise<Uint8Array> => {
      if (inbound.isBanned(caller)) throw new Error('cut off');
      return handler(request, from);
    };
    serveRpc(stream as unknown as ByteStream, answer, undefined, account, reportInvalid);
  };
}

/** Errors: rejects when no peer with that name answers at any of the addresses. */
async function dial(
  libp2p: Libp2p,
  peerId: PeerId,
  addresses: readonly string[],
  timeoutMs: number,
  force: boolean,
): Promise<Connection> {
  const fitting = addresses
    .filter(isOwnTcp)
    .flatMap((address) => addressOfPeer(address, peerId.toString()) ?? []);
  if (fitting.length === 0) throw new Error('no address');
  const connection = await dialAddresses(libp2p, fitting, timeoutMs, force);
  if (connection.remotePeer.equals(peerId)) return connection;
  connection.abort(new Error('another peer than the one dialled'));
  throw new Error('another peer than the one dialled');
}

/** A host that sends requests under a temporary name: it listens nowhere. */
export async function createDialOnlyHost(): Promise<NodeHost> {
  // Without a listener nothing keeps the program alive while it waits for a dial or a reply.
  const keepAlive = setInterval(() => undefined, 60_000);
  const starting = createNodeHost({
    identitySeed: crypto.getRandomValues(new Uint8Array(32)),
    role: 'adult',
    tcpPort: null,
    wsPort: null,
    rtcDirectPort: null,
    bootstrap: { tcpAddress: null },
  });
  const stopKeepAlive = (): void => clearInterval(keepAlive);
  starting.catch(stopKeepAlive);
  const host = await starting;
  return { ...host, stop: () => host.stop().finally(stopKeepAlive) };
}

/** Another program uses a requested port, or the address is not of this machine. */
export class PortTaken extends Error {
  readonly port: number;

  constructor(port: number) {
    super(`port ${port} cannot be listened on`);
    this.name = 'PortTaken';
    this.port = port;
  }
}

function listenAddresses(options: NodeHostOptions): string[] {
  const { listen = '127.0.0.1', bootstrap, role } = options;
  const at = `/${listen.includes(':') ? 'ip6' : 'ip4'}/${listen}`;
  const own = listenTargets(options).map(({ suffix }) => `${at}${suffix}`);
  const relay = role === 'adult' ? null : (bootstrap?.tcpAddress ?? null);
  return relay === null ? own : [...own, `${relay}/p2p-circuit`, '/webrtc'];
}

/** The configured listen targets, as suffixes after the host in a multiaddr. */
function listenTargets({
  tcpPort,
  wsPort,
  rtcDirectPort,
}: NodeHostOptions): readonly { readonly port: number; readonly suffix: string }[] {
  const targets: { readonly port: number; readonly suffix: string }[] = [];
  if (tcpPort !== null) targets.push({ port: tcpPort, suffix: `/tcp/${tcpPort}` });
  if (wsPort !== null) targets.push({ port: wsPort, suffix: `/tcp/${wsPort}/ws` });
  if (rtcDirectPort !== null) {
    targets.push({ port: rtcDirectPort, suffix: `/udp/${rtcDirectPort}/webrtc-direct` });
  }
  return targets;
}

const isOwnTcp = (address: string): boolean =>
  address.includes('/tcp/') && !address.includes('/ws') && !address.includes('/p2p-circuit');

/** The name at the end of a multiaddr (`…/p2p/<peer id>`), undefined when there is none. */
export function multiaddrName(text: string): Uint8Array | undefined {
  try {
    const id = /\/p2p\/([^/]+)$/.exec(multiaddr(text).toString())?.[1];
    return id === undefined ? undefined : (peerIdToName(peerIdFromString(id)) ?? undefined);
  } catch {
    return undefined;
  }
}
