/**
 * The addresses a host listens on, as its listeners report them. libp2p's own list omits public addresses
 * until a peer has confirmed them, which no peer does here: a node signs its addresses, and the section
 * that admits it dials them.
 */
import type { Libp2p, Listener } from '@libp2p/interface';

export interface OwnListeners {
  /** With our peer id; the most widely reachable first, because a record has room for a few only. */
  readonly addresses: () => readonly string[];
  /** @param suffix the part after the host in a multiaddr, such as `/tcp/4100/ws` */
  readonly listensAt: (suffix: string) => boolean;
}

/** Must be called before the host starts. */
export function watchListeners(libp2p: Pick<Libp2p, 'addEventListener' | 'peerId'>): OwnListeners {
  const open = new Set<Listener>();
  libp2p.addEventListener('transport:listening', ({ detail }) => void open.add(detail));
  libp2p.addEventListener('transport:close', ({ detail }) => void open.delete(detail));
  const bare = (): readonly string[] =>
    [...open].flatMap((listener) => listener.getAddrs().map(String));
  const self = `/p2p/${libp2p.peerId.toString()}`;
  return {
    addresses: () => furthestFirst([...new Set(bare())]).map((each) => each + self),
    listensAt: (suffix) => bare().some((each) => suffixOf(each) === suffix),
  };
}

/** Without the host, and without the certificate hash that a WebRTC-Direct listener adds. */
const suffixOf = (address: string): string =>
  address.replace(/^\/ip[46]\/[^/]+/, '').replace(/\/certhash\/.*$/, '');

const hostOf = (address: string): string => address.split('/')[2] ?? '';

/**
 * Public hosts, then private networks, then this machine. All transports of a host stay together, shortest
 * first: TCP, which every node needs.
 */
function furthestFirst(addresses: readonly string[]): readonly string[] {
  const hosts = [...new Set(addresses.map(hostOf))];
  const rank = (address: string): number =>
    reachOf(hostOf(address)) * hosts.length + hosts.indexOf(hostOf(address));
  return [...addresses].sort((a, b) => rank(a) - rank(b) || a.length - b.length);
}

const thisMachine = /^(127\.|::1$)/;
/** RFC 1918, 6598, 3927; RFC 4193, 4291. */
const privateNetwork =
  /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|169\.254\.|f[cd]|fe[89ab])/i;

const reachOf = (host: string): number =>
  thisMachine.test(host) ? 2 : privateNetwork.test(host) ? 1 : 0;
