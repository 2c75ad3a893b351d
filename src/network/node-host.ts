/**
 * A node's libp2p host (Node.js). Nodes speak TCP with each other; browsers come by `/webrtc`
 * signalled through the bootstrap node's relay, by WebRTC-Direct, or by WebSocket.
 */
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
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
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { nameToId } from '#address/xor-name.ts';
import { err, type Result } from '#core/result.ts';
import { addressOfPeer } from './dial.ts';
import { watchListeners } from './own-listeners.ts';
import { addressGroup, createInbound, type Caller } from './inbound.ts';
import { namesByAddress } from './names-by-address.ts';
import { nameToPeerId, peerIdToName } from './peer.ts';
import { protocolName, type ProtocolKind } from './protocols.ts';
import { boundPeerStore } from './peer-store.ts';
import { serveRpc, type ByteStream, type RpcError } from './rpc.ts';
import { limitRelayedDials } from './relayed-dials.ts';
import { mayReserve } from './relay-places.ts';
import { limitInboundDials } from './rtc/inbound-limit.ts';
import { createStreamPool } from './streams.ts';

export interface NodeHostOptions {
  /** ed25519 seed, 32 bytes: name and PeerId come from the same key. */
  readonly identitySeed: Uint8Array;
  /** An `adult` host is reached by TCP alone; any other by browsers too. */
  readonly role: 'bootstrap' | 'elder' | 'adult';
  /** The address to listen on; loopback when nothing is said. */
  readonly listen?: string;
  /** Null for a host that only asks. */
  readonly tcpPort: number | null;
  readonly wsPort: number | null;
  readonly rtcDirectPort: number | null;
  /** A long-lived certificate keeps the certhash in addresses constant. */
  readonly rtcCertificate?: TransportCertificate;
  /** The relay for signalling, when there is one; `null` for the bootstrap node itself. */
  readonly bootstrap: { readonly tcpAddress: string | null } | null;
}

export interface Remote {
  readonly peerId: string;
  /** The remote's 32-byte name, or `null` for other kinds of keys. */
  readonly name: Uint8Array | null;
  /** See {@link addressGroup}; null where no address tells peers apart. */
  readonly address: string | null;
  /** Says that this request was one no program of ours sends; repeated, its sender is cut off. */
  readonly invalid: () => void;
}

export interface NodeHost {
  readonly name: Uint8Array;
  readonly peerId: string;
  readonly addresses: () => readonly string[];
  readonly serve: (
    kind: ProtocolKind,
    tag: string,
    handler: (request: Uint8Array, from: Remote) => Promise<Uint8Array>,
  ) => Promise<void>;
  readonly request: (
    to: { readonly name: Uint8Array; readonly addresses: readonly string[] },
    kind: ProtocolKind,
    tag: string,
    request: Uint8Array,
    options: { readonly timeoutMs: number },
  ) => Promise<Result<Uint8Array, RpcError>>;
  /**
   * Dials these addresses anew, whatever connections are open. @returns whether the one behind them
   * has that name
   */
  readonly reach: (
    to: { readonly name: Uint8Array; readonly addresses: readonly string[] },
    options: { readonly timeoutMs: number },
  ) => Promise<boolean>;
  /** The groups of the addresses (see addressGroup) from which this name is connected now. */
  readonly comesFrom: (name: Uint8Array) => ReadonlySet<string | null>;
  /** No traffic with these names (hex) from now on, in either direction: fault injection. */
  readonly cut: (names: ReadonlySet<string>) => Promise<void>;
  /**
   * Who is a member of a section this node knows. Until it is told, everybody may reserve a place at
   * its relay: a network is being founded.
   */
  readonly know: (isMember: (name: Uint8Array) => boolean) => void;
  /** Bytes held for requests that are incomplete, at work, or answered and not sent. */
  readonly heldBytes: () => number;
  readonly connections: () => number;
  readonly stop: () => Promise<void>;
}

/** All addresses together; what one address may have is in inbound.ts. */
const maxInboundPerSecond = 2_000;
const maxConnections = 2_000;
/** A program of ours uses one; another may be opened before the old one has ended. */
const maxStreamsPerProtocol = 16;
/** Relay reservations the bootstrap node grants: elders and nodes behind routers. */
const maxReservations = 512;
/** New WebRTC-Direct handshakes per second; each may cost 130 kB before it proves anything. */
const maxRtcHandshakesPerSecond = 25;
/** Of these, what one address may take. */
const maxRtcHandshakesPerAddress = 5;

/** Errors: throws {@link PortTaken}. */
export async function createNodeHost(options: NodeHostOptions): Promise<NodeHost> {
  const privateKey = await generateKeyPairFromSeed('Ed25519', options.identitySeed);
  const isBootstrap = options.bootstrap === null;
  const reachable = options.role !== 'adult';

  const at = `/${options.listen?.includes(':') === true ? 'ip6' : 'ip4'}/${options.listen ?? '127.0.0.1'}`;
  const own = ownRoads(options);
  const listen = own.map(({ road }) => `${at}${road}`);
  if (options.bootstrap !== null && options.bootstrap.tcpAddress !== null && reachable) {
    listen.push(`${options.bootstrap.tcpAddress}/p2p-circuit`, '/webrtc');
  }
  const rtcConfiguration = { iceServers: [] };
  const direct = webRTCDirect({
    rtcConfiguration,
    ...(options.rtcCertificate === undefined ? {} : { certificate: options.rtcCertificate }),
  });

  let cutOff: ReadonlySet<string> = new Set();
  const isCut = (peerId: PeerId): boolean => {
    const name = cutOff.size === 0 ? null : peerIdToName(peerId);
    return name !== null && cutOff.has(nameToId(name));
  };
  const relayName = multiaddrName(options.bootstrap?.tcpAddress ?? '');
  const ownRelay = relayName === undefined ? undefined : nameToPeerId(relayName);
  const isOwnRelay = (peerId: PeerId): boolean => ownRelay?.equals(peerId) === true;
  const inbound = createInbound();
  let isMember: ((name: Uint8Array) => boolean) | null = null;
  const isKnown = (name: Uint8Array | null): boolean => name !== null && isMember?.(name) === true;
  const addressOf = ({ remoteAddr }: { readonly remoteAddr: Multiaddr }): string | null =>
    addressGroup(remoteAddr.toString());

  const libp2p = await createLibp2p({
    start: false,
    privateKey,
    addresses: { listen },
    transports: [
      tcp(),
      ...(reachable ? [webSockets(), limitRelayedDials(circuitRelayTransport(), isOwnRelay)] : []),
      ...(reachable && !isBootstrap ? [webRTC({ rtcConfiguration })] : []),
      ...(options.rtcDirectPort === null
        ? []
        : [limitInboundDials(direct, maxRtcHandshakesPerSecond, maxRtcHandshakesPerAddress)]),
    ],
    // A relay that is away must not keep a node from starting.
    transportManager: { faultTolerance: FaultTolerance.NO_FATAL },
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: {
      denyDialMultiaddr: () => false,
      denyDialPeer: isCut,
      // Before any key agreement: what is refused here costs its sender more than this node.
      denyInboundConnection: (connection) => {
        const address = addressOf(connection);
        const hasMember = (): boolean => connected.some(address, isKnown);
        if (!inbound.connect(address, hasMember)) return true;
        connection.addEventListener('close', () => inbound.disconnected(address));
        return false;
      },
      denyInboundEncryptedConnection: (peerId, connection) =>
        isCut(peerId) ||
        !inbound.mayStay({
          peerId: peerId.toString(),
          address: addressOf(connection),
          isKnown: () => isKnown(peerIdToName(peerId)),
        }),
      denyInboundRelayReservation: (peerId) => !mayTakePlace(peerId),
    },
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
  // The library keeps a place for two hours, also when its holder is gone.
  libp2p.addEventListener('peer:disconnect', ({ detail: peerId }) => {
    if (isMember !== null && !isKnown(peerIdToName(peerId))) relay?.reservations.delete(peerId);
  });
  const mayTakePlace = (peerId: PeerId): boolean => {
    if (isMember === null || isKnown(peerIdToName(peerId))) return true;
    const taken = [...(relay?.reservations ?? [])].flatMap(([holder, { addr }]) =>
      isKnown(peerIdToName(holder)) || holder.equals(peerId) ? [] : [addressGroup(addr.toString())],
    );
    const from = libp2p.getConnections(peerId)[0];
    return mayReserve(taken, from === undefined ? null : addressOf(from));
  };
  const connected = namesByAddress(libp2p, addressOf);
  boundPeerStore(libp2p, isOwnRelay);
  const listeners = watchListeners(libp2p);
  await libp2p.start();
  // Only a relay may be missing: without a port of its own a node would lack a road and not know it.
  const missing = own.find(({ road }) => !listeners.has(road));
  if (missing !== undefined) {
    // A WebRTC-Direct listener that could not listen cannot be closed either: the stop fails once it
    // has closed all others.
    await Promise.allSettled([libp2p.stop()]);
    throw new PortTaken(missing.port);
  }
  const streams = createStreamPool();
  const name = privateKey.publicKey.raw;

  /** Errors: rejects when nobody with that name answers at any of them. */
  const dial = async (
    peerId: PeerId,
    addresses: readonly string[],
    timeoutMs: number,
    force: boolean,
  ): Promise<Connection> => {
    const fitting = addresses
      .filter(isOwnTcp)
      .flatMap((address) => addressOfPeer(address, peerId.toString()) ?? []);
    if (fitting.length === 0) throw new Error('no address');
    const connection = await libp2p.dial(
      fitting.map((address) => multiaddr(address)),
      { signal: AbortSignal.timeout(timeoutMs), force },
    );
    if (connection.remotePeer.equals(peerId)) return connection;
    connection.abort(new Error('another peer than the one dialled'));
    throw new Error('another peer than the one dialled');
  };

  return {
    name,
    peerId: libp2p.peerId.toString(),
    addresses: listeners.addresses,
    serve: async (kind, tag, handler) => {
      const accept = (stream: Stream, connection: Connection): void => {
        const peerId = connection.remotePeer.toString();
        const name = peerIdToName(connection.remotePeer);
        const caller: Caller = {
          peerId,
          address: addressOf(connection),
          isKnown: () => isKnown(name),
        };
        const from: Remote = {
          peerId,
          name,
          address: caller.address,
          invalid: () => {
            if (!inbound.strike(caller)) return;
            for (const open of libp2p.getConnections(connection.remotePeer)) {
              open.abort(new Error('too many invalid requests'));
            }
          },
        };
        if (inbound.isCutOff(caller)) {
          connection.abort(new Error('too many invalid or refused requests'));
          return;
        }
        const account = inbound.open(caller, () =>
          stream.abort(new Error('others need what this peer holds')),
        );
        serveRpc(
          stream as unknown as ByteStream,
          async (request) => {
            if (isCut(connection.remotePeer) || inbound.isCutOff(caller)) {
              throw new Error('cut off');
            }
            return handler(request, from);
          },
          undefined,
          account,
          from.invalid,
        );
      };
      await libp2p.handle(protocolName(kind, tag), accept, {
        maxInboundStreams: maxStreamsPerProtocol,
        maxOutboundStreams: maxStreamsPerProtocol,
      });
    },
    request: async (to, kind, tag, request, { timeoutMs }) => {
      const peerId = nameToPeerId(to.name);
      if (peerId.equals(libp2p.peerId) || isCut(peerId)) return err({ kind: 'unreachable' });
      const connect = async (): Promise<Connection> =>
        libp2p.getConnections(peerId)[0] ?? dial(peerId, to.addresses, timeoutMs, false);
      return streams.request(
        peerId.toString(),
        protocolName(kind, tag),
        connect,
        request,
        timeoutMs,
      );
    },
    reach: async (to, { timeoutMs }) => {
      const peerId = nameToPeerId(to.name);
      if (peerId.equals(libp2p.peerId) || isCut(peerId)) return false;
      const wasOpen = libp2p.getConnections(peerId).length > 0;
      try {
        const connection = await dial(peerId, to.addresses, timeoutMs, true);
        // One is enough: the other one goes on carrying what is under way.
        if (wasOpen) await connection.close();
        return true;
      } catch {
        return false;
      }
    },
    comesFrom: (name) =>
      new Set(libp2p.getConnections(nameToPeerId(name)).map((each) => addressOf(each))),
    cut: async (names) => {
      cutOff = names;
      const open = libp2p.getConnections().filter(({ remotePeer }) => isCut(remotePeer));
      for (const { remotePeer } of open) streams.drop(remotePeer.toString());
      for (const connection of open) connection.abort(new Error('cut off'));
    },
    know: (members) => {
      isMember = members;
    },
    heldBytes: inbound.heldBytes,
    connections: () => libp2p.getConnections().length,
    stop: async () => {
      await libp2p.stop();
    },
  };
}

/** A host that asks nodes under a name of the moment: it listens nowhere, and nobody knows it. */
export async function createAskingHost(): Promise<NodeHost> {
  // Without a listener nothing keeps the program alive while it waits for a dial or an answer.
  const awake = setInterval(() => undefined, 60_000);
  const begun = createNodeHost({
    identitySeed: crypto.getRandomValues(new Uint8Array(32)),
    role: 'adult',
    tcpPort: null,
    wsPort: null,
    rtcDirectPort: null,
    bootstrap: { tcpAddress: null },
  });
  const rest = (): void => clearInterval(awake);
  begun.catch(rest);
  const host = await begun;
  return { ...host, stop: () => host.stop().finally(rest) };
}

/** One of the asked-for ports is held by another program, or the address is not this machine's. */
export class PortTaken extends Error {
  readonly port: number;

  constructor(port: number) {
    super(`port ${port} cannot be listened on`);
    this.name = 'PortTaken';
    this.port = port;
  }
}

/** What it was told to listen on itself, as it stands after the host in a multiaddr. */
function ownRoads({
  tcpPort,
  wsPort,
  rtcDirectPort,
}: NodeHostOptions): readonly { readonly port: number; readonly road: string }[] {
  const roads: { readonly port: number; readonly road: string }[] = [];
  if (tcpPort !== null) roads.push({ port: tcpPort, road: `/tcp/${tcpPort}` });
  if (wsPort !== null) roads.push({ port: wsPort, road: `/tcp/${wsPort}/ws` });
  if (rtcDirectPort !== null) {
    roads.push({ port: rtcDirectPort, road: `/udp/${rtcDirectPort}/webrtc-direct` });
  }
  return roads;
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
