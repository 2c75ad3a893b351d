/** Which multiaddrs received from other nodes may be dialled. Text only: nothing is resolved here. */

/**
 * @returns the address with the peer id it must lead to; undefined when it names another peer, because a
 * connection to that peer would be mistaken for one to this peer.
 */
export function addressOfPeer(address: string, peerId: string): string | undefined {
  const peers = [...address.matchAll(/\/(?:p2p|ipfs)\/([^/]*)/g)];
  if (peers.length === 0) return `${address}/p2p/${peerId}`;
  return address.endsWith(`/p2p/${peerId}`) && peers.length === 1 ? address : undefined;
}

/** `/ip4/…/tcp/…`, optionally followed by a peer id. */
const ipAndTcp = /^\/ip([46])\/([0-9a-fA-F.:]+)\/tcp\/([1-9]\d{0,4})(?:\/p2p\/[^/]+)?$/;

/**
 * May a node dial this address from an unknown peer's record? Only an IP address and a TCP port: resolving
 * a name would serve the record's author, and unroutable addresses belong to no node.
 * @param loopback whether loopback addresses are allowed
 */
export function isDialledByNodes(address: string, loopback: boolean): boolean {
  const [, version, ip = '', port] = ipAndTcp.exec(address) ?? [];
  if (version === undefined || Number(port) > 65_535) return false;
  if (isUnroutable(version, ip)) return false;
  return loopback || !isLoopback(ip);
}

export const isLoopback = (ip: string): boolean =>
  ip.startsWith('127.') || ip === '::1' || /^::ffff:(127\.|7f)/i.test(ip);

/** Unspecified, multicast, broadcast, reserved, or an IPv4-mapped IPv6 address. */
function isUnroutable(version: string, ip: string): boolean {
  if (version === '6') return /^(::|0*(:0*)+)$/.test(ip) || /^(ff|::ffff:)/i.test(ip);
  const first = Number(ip.split('.')[0]);
  return first === 0 || first >= 224;
}

/** Is this URL host on the user's own machine or network? Pages from the internet must not reach it. */
export function isPrivateHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  if (name === 'localhost' || /\.(localhost|local|internal|home\.arpa)$/.test(name)) return true;
  if (name.includes(':')) {
    return isLoopback(name) || isUnroutable('6', name) || /^(fe[89ab]|f[cd])/.test(name);
  }
  const [a = '', b = ''] = name.split('.');
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(name)) return false;
  const second = Number(b);
  return (
    isLoopback(name) ||
    isUnroutable('4', name) ||
    a === '10' ||
    (a === '172' && second >= 16 && second < 32) ||
    (a === '192' && second === 168) ||
    (a === '169' && second === 254) ||
    (a === '100' && second >= 64 && second < 128)
  );
}
