/** What of a multiaddr that somebody told is dialled at all. Text only: nothing is resolved here. */

/**
 * The address with the peer id it has to lead to; undefined when it names another peer, for a
 * connection to that one would be taken for a connection to this one.
 */
export function addressOfPeer(address: string, peerId: string): string | undefined {
  const peers = [...address.matchAll(/\/(?:p2p|ipfs)\/([^/]*)/g)];
  if (peers.length === 0) return `${address}/p2p/${peerId}`;
  return address.endsWith(`/p2p/${peerId}`) && peers.length === 1 ? address : undefined;
}

/** `/ip4/…/tcp/…`, and nothing behind it but perhaps a peer id. */
const ipAndTcp = /^\/ip([46])\/([0-9a-fA-F.:]+)\/tcp\/([1-9]\d{0,4})(?:\/p2p\/[^/]+)?$/;

/**
 * May a node dial this for a stranger's record? An IP address and a TCP port alone: a name would be
 * resolved for whoever wrote it down, and an address that is everybody's is nobody's.
 * @param loopback whether addresses of this machine alone may be meant
 */
export function isDialledByNodes(address: string, loopback: boolean): boolean {
  const [, version, ip = '', port] = ipAndTcp.exec(address) ?? [];
  if (version === undefined || Number(port) > 65_535) return false;
  if (isNobodys(version, ip)) return false;
  return loopback || !isLoopback(ip);
}

export const isLoopback = (ip: string): boolean =>
  ip.startsWith('127.') || ip === '::1' || /^::ffff:(127\.|7f)/i.test(ip);

/** Unspecified, multicast, broadcast, reserved; an IPv4 address in the clothes of an IPv6 one. */
function isNobodys(version: string, ip: string): boolean {
  if (version === '6') return /^(::|0*(:0*)+)$/.test(ip) || /^(ff|::ffff:)/i.test(ip);
  const first = Number(ip.split('.')[0]);
  return first === 0 || first >= 224;
}

/**
 * Is this host of a URL on the reader's own machine or network? A page from the internet has no
 * business there.
 */
export function isPrivateHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  if (name === 'localhost' || /\.(localhost|local|internal|home\.arpa)$/.test(name)) return true;
  if (name.includes(':')) {
    return isLoopback(name) || isNobodys('6', name) || /^(fe[89ab]|f[cd])/.test(name);
  }
  const [a = '', b = ''] = name.split('.');
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(name)) return false;
  const second = Number(b);
  return (
    isLoopback(name) ||
    isNobodys('4', name) ||
    a === '10' ||
    (a === '172' && second >= 16 && second < 32) ||
    (a === '192' && second === 168) ||
    (a === '169' && second === 254) ||
    (a === '100' && second >= 64 && second < 128)
  );
}
