/**
 * What a host listens on, as its listeners say it. libp2p's own list leaves out public addresses
 * until a peer has confirmed them, which nobody does here: a node signs where it is, and whoever
 * admits it dials it there.
 */
import type { Libp2p, Listener } from '@libp2p/interface';

export interface OwnListeners {
  /** With our peer id; what reaches furthest comes first, for a record has room for a few only. */
  readonly addresses: () => readonly string[];
  /** @param road what follows the host in a multiaddr, such as `/tcp/4100/ws` */
  readonly has: (road: string) => boolean;
}

/** To be called before the host starts. */
export function watchListeners(libp2p: Pick<Libp2p, 'addEventListener' | 'peerId'>): OwnListeners {
  const open = new Set<Listener>();
  libp2p.addEventListener('transport:listening', ({ detail }) => void open.add(detail));
  libp2p.addEventListener('transport:close', ({ detail }) => void open.delete(detail));
  const bare = (): readonly string[] =>
    [...open].flatMap((listener) => listener.getAddrs().map(String));
  const self = `/p2p/${libp2p.peerId.toString()}`;
  return {
    addresses: () => furthestFirst([...new Set(bare())]).map((each) => each + self),
    has: (road) => bare().some((each) => roadOf(each) === road),
  };
}

/** Without the host, and without the certificate that a WebRTC-Direct listener adds. */
const roadOf = (address: string): string =>
  address.replace(/^\/ip[46]\/[^/]+/, '').replace(/\/certhash\/.*$/, '');

const hostOf = (address: string): string => address.split('/')[2] ?? '';

/**
 * Public hosts, then those of a private network, then this machine; all roads of one host together,
 * TCP first, which every node needs: the fewer things an address names, the shorter it is.
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
